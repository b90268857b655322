//! Building a token request. Pure: a document and values in, bytes out.

use std::collections::BTreeMap;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretBox};
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use super::client_auth;
use super::credentials::Credentials;
use super::endpoint::{Endpoint, FORM, JSON, Provenance};
use super::headers;
use super::parameters::ParameterTemplate;
use super::template::{Name, Template, invalid};
use crate::api::{Encoding, Grant, Method};
use crate::error::{Error, Reason, nearest};

/// What a token asks for, beyond what its provider's document says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// `spec.scopes`.
    pub scopes: Vec<String>,
    /// `spec.parameters`.
    pub parameters: BTreeMap<String, String>,
}

/// A token request, ready to be sent once. It holds secrets wherever it holds values, and shows
/// none of them.
pub struct TokenRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<SecretBox<Vec<u8>>>,
    pub(super) provenance: Provenance,
    pub(super) ca_bundle: Option<String>,
}

impl std::fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenRequest")
            .field("method", &self.method)
            .field("origin", &self.url.origin().ascii_serialization())
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Refuses scopes and parameters that the document has no place for: they would be dropped in
    /// silence.
    pub fn check(&self, asking: &Asking) -> Result<(), Error> {
        let spec = |message| Err(Error::new(Reason::InvalidSpec, message));
        if !asking.scopes.is_empty() && !self.takes_scopes() {
            return spec("spec.scopes: the provider's document takes no scopes".to_owned());
        }
        if !asking.scopes.iter().all(|scope| is_scope(scope)) {
            return spec(
                "spec.scopes: a scope is one or more printable ASCII characters other than space, \
                 \" and \\ (RFC 6749 section 3.3)"
                    .to_owned(),
            );
        }
        for name in asking.parameters.keys() {
            if !self.parameter_names().any(|known| known == name) {
                let hint = nearest(name, self.parameter_names());
                return spec(format!(
                    "spec.parameters.{name}: the provider's document has no place for it{hint}"
                ));
            }
        }
        Ok(())
    }

    /// Builds the request.
    pub fn request(
        &self,
        asking: &Asking,
        credentials: &Credentials,
    ) -> Result<TokenRequest, Error> {
        self.check(asking)?;
        let values = Values { endpoint: self, asking, credentials };
        let mut headers = self.headers(&values)?;
        let parameters = self.parameters(&values)?;
        let mut url = values.check_then(self.url.names(), || {
            self.url.render(|name| values.get(name).unwrap_or_default())
        })?;
        let body = match self.encoding {
            Encoding::Form => {
                content_type(&mut headers, FORM);
                let pairs = pairs(&parameters)?;
                Some(Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes())
            }
            Encoding::Json => {
                content_type(&mut headers, JSON);
                let text = serde_json::to_vec(&parameters);
                Some(text.map_err(|_| invalid("request.parameters cannot be written as JSON"))?)
            }
            Encoding::Query => {
                let pairs = pairs(&parameters)?;
                if !pairs.is_empty() {
                    url.query_pairs_mut().extend_pairs(pairs);
                }
                None
            }
            Encoding::None => None,
        };
        Ok(TokenRequest {
            method: self.method,
            url,
            headers,
            body: body.map(|bytes| SecretBox::new(Box::new(bytes))),
            provenance: self.provenance,
            ca_bundle: self.ca_bundle.clone(),
        })
    }

    fn headers(&self, values: &Values<'_>) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(JSON));
        if let Some(basic) = client_auth::basic(self, values.credentials)? {
            headers.insert(AUTHORIZATION, basic);
        }
        for (name, template) in &self.headers {
            match values.render_header(name, template)? {
                Some(value) => drop(headers.insert(name, value)),
                None => drop(headers.remove(name)),
            }
        }
        Ok(headers)
    }

    /// Every parameter: what the grant and the client authentication imply, then what the
    /// document spells out, which wins.
    fn parameters(&self, values: &Values<'_>) -> Result<BTreeMap<String, Value>, Error> {
        let mut parameters = BTreeMap::new();
        if self.grant == Grant::ClientCredentials {
            parameters.insert("grant_type".to_owned(), "client_credentials".into());
            if !values.asking.scopes.is_empty() {
                parameters.insert("scope".to_owned(), values.asking.scopes.join(" ").into());
            }
        }
        client_auth::parameters(self, values.credentials, &mut parameters)?;
        for (name, template) in &self.parameters {
            match values.render_parameter(template)? {
                Some(value) => drop(parameters.insert(name.clone(), value)),
                None => drop(parameters.remove(name)),
            }
        }
        Ok(parameters)
    }
}

/// Where the values of names come from.
struct Values<'a> {
    endpoint: &'a Endpoint,
    asking: &'a Asking,
    credentials: &'a Credentials,
}

impl<'a> Values<'a> {
    fn get(&self, name: &Name) -> Result<&'a str, Error> {
        Ok(match name {
            Name::Variable(name) => self.endpoint.variable(name),
            Name::Parameter(name) => self.asking.parameters.get(name).map_or("", String::as_str),
            Name::Credential(key) => self.credentials.get(key)?.expose_secret(),
        })
    }

    /// Runs `then` once every name is known to have a value.
    fn check_then<'n, T>(
        &self,
        names: impl Iterator<Item = &'n Name>,
        then: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        for name in names {
            self.get(name)?;
        }
        then()
    }

    fn render(&self, template: &Template) -> Result<String, Error> {
        self.check_then(template.names(), || {
            Ok(template.render(|name| self.get(name).unwrap_or_default()))
        })
    }

    /// `None` where the header is left out because its value rendered empty.
    fn render_header(
        &self,
        header: &HeaderName,
        template: &Template,
    ) -> Result<Option<HeaderValue>, Error> {
        let place = format!("request.headers.{header}");
        for name in template.names() {
            if !headers::fits(self.get(name)?) {
                return Err(name.refuse(&place, headers::UNFIT));
            }
        }
        let text = self.render(template)?;
        let mut value = HeaderValue::from_bytes(text.as_bytes())
            .map_err(|_| invalid(format!("{place}: {}", headers::UNFIT)))?;
        value.set_sensitive(true);
        Ok(Some(value).filter(|_| !text.is_empty()))
    }

    /// `None` where the value is left out because it rendered empty.
    fn render_parameter(&self, template: &ParameterTemplate) -> Result<Option<Value>, Error> {
        Ok(match template {
            ParameterTemplate::Text(template) => {
                Some(self.render(template)?).filter(|text| !text.is_empty()).map(Value::String)
            }
            ParameterTemplate::Literal(value) => Some(value.clone()),
            ParameterTemplate::List(items) => {
                let items: Result<Vec<_>, _> =
                    items.iter().map(|item| self.render_parameter(item)).collect();
                Some(Value::Array(items?.into_iter().flatten().collect()))
            }
            ParameterTemplate::Object(fields) => {
                let mut object = serde_json::Map::new();
                for (key, field) in fields {
                    if let Some(value) = self.render_parameter(field)? {
                        object.insert(key.clone(), value);
                    }
                }
                Some(Value::Object(object))
            }
        })
    }
}

fn content_type(headers: &mut HeaderMap, value: &'static str) {
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(value));
}

/// RFC 6749 section 3.3, where a space would make it two.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'))
}

/// Parameters as pairs; lists repeat their key.
fn pairs(parameters: &BTreeMap<String, Value>) -> Result<Vec<(&str, String)>, Error> {
    let mut pairs = Vec::new();
    for (name, value) in parameters {
        match value {
            Value::Array(items) => {
                for item in items {
                    pairs.push((name.as_str(), scalar(name, item)?));
                }
            }
            value => pairs.push((name.as_str(), scalar(name, value)?)),
        }
    }
    Ok(pairs)
}

fn scalar(name: &str, value: &Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(invalid(format!(
            "request.parameters.{name}: only request.encoding json can carry this"
        ))),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
