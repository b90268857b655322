//! Building a token request. Pure: a document and values in, bytes out.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{SecretBox, SecretString};
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::Serializer;

use super::client_auth::Client;
use super::endpoint::{Endpoint, Provenance};
use super::identity::Identity;
use super::occasion::Occasion;
use super::request_template::{FORM, JSON, RequestTemplate};
use super::supplies::Supplies;
use super::template::invalid;
use super::url_template::UrlTemplate;
use super::values::Values;
use crate::api::{Encoding, Method, OAuthClientTokenSpec};
use crate::error::{Error, Reason};

/// What a token asks for, beyond what its provider's document says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// `spec.scopes`.
    pub scopes: Vec<String>,
    /// `spec.parameters`.
    pub parameters: BTreeMap<String, String>,
    /// The names of `spec.tokenRefs`.
    pub token_refs: BTreeSet<String>,
    /// Whether there is a `spec.serviceAccountRef`.
    pub service_account: bool,
    /// Which tokens and which ServiceAccount those are: other ones give another token. Null where
    /// there are none.
    pub sources: Value,
}

impl Asking {
    /// What a token's spec asks for.
    pub fn of(spec: &OAuthClientTokenSpec) -> Self {
        let (tokens, account) = (&spec.token_refs, &spec.service_account_ref);
        let sources = match (tokens.is_empty(), account) {
            (true, None) => Value::Null,
            _ => json!([tokens, account]),
        };
        Self {
            sources,
            scopes: spec.scopes.clone(),
            parameters: spec.parameters.clone(),
            token_refs: spec.token_refs.keys().cloned().collect(),
            service_account: spec.service_account_ref.is_some(),
        }
    }
}

/// A request, ready to be sent once. It holds secrets wherever it holds values, and shows none of
/// them.
pub struct TokenRequest {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<SecretBox<Vec<u8>>>,
    pub(super) provenance: Provenance,
    pub(super) ca_bundle: Option<String>,
    /// What the client shows when it connects.
    pub(super) identity: Option<Identity>,
}

impl TokenRequest {
    /// Where it goes. Path and query may be secret.
    pub fn url(&self) -> &Url {
        &self.url
    }
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
    /// Refuses what the document has no place for, which would be dropped in silence, and what it
    /// takes and is not there.
    pub fn check(&self, asking: &Asking) -> Result<(), Error> {
        self.needs.check(asking)?;
        match asking.scopes.iter().all(|scope| is_scope(scope)) {
            true => Ok(()),
            false => Err(Error::new(
                Reason::InvalidSpec,
                "spec.scopes: a scope is one or more printable ASCII characters other than space, \
                 \" and \\ (RFC 6749 section 3.3)",
            )),
        }
    }

    /// Builds the token request.
    pub fn request(
        &self,
        asking: &Asking,
        supplies: &Supplies,
        occasion: &Occasion,
    ) -> Result<TokenRequest, Error> {
        self.check(asking)?;
        if let Some(metadata) = &occasion.metadata {
            metadata.admits(self)?;
        }
        let mut values = Values::new(self, asking, (supplies, occasion));
        let url = self.token_url(&values)?;
        values.url = Some(url.clone());
        values.mint()?;
        self.build(&self.request, &values, url)
    }

    /// Builds the request that revokes a token; `None` where nothing tells where to.
    pub fn revocation(
        &self,
        token: &SecretString,
        asking: &Asking,
        (supplies, occasion): (&Supplies, &Occasion),
    ) -> Result<Option<TokenRequest>, Error> {
        let mut values = Values::new(self, asking, (supplies, occasion)).with_revoked(token);
        let template = self.revocation.as_ref();
        let own = template.and_then(|template| template.url.as_ref());
        let told = occasion.metadata.as_ref().and_then(|told| told.revocation_endpoint(self));
        let url = match (own, told) {
            (Some(url), _) => values.render_url(url)?,
            (None, Some(url)) => url.clone(),
            (None, None) => return Ok(None),
        };
        // The audience of an assertion is the token endpoint, here too (RFC 7521 section 4.2).
        values.url = Some(self.token_url(&values).unwrap_or_else(|_| url.clone()));
        values.mint()?;
        match template {
            Some(template) => self.build(template, &values, url).map(Some),
            None => Ok(None),
        }
    }

    fn build(
        &self,
        template: &RequestTemplate,
        values: &Values<'_>,
        mut url: Url,
    ) -> Result<TokenRequest, Error> {
        let mut headers = headers(&self.client, template, values)?;
        let parameters = parameters(template, values)?;
        let body = match template.encoding {
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
            method: template.method,
            url,
            headers,
            body: body.map(|bytes| SecretBox::new(Box::new(bytes))),
            provenance: self.provenance,
            ca_bundle: self.ca_bundle.clone(),
            identity: self.identity(values.supplies)?,
        })
    }

    /// What the client shows when it connects, where the document wants it to.
    fn identity(&self, supplies: &Supplies) -> Result<Option<Identity>, Error> {
        self.client.shows_certificate().then(|| Identity::of(supplies)).transpose()
    }
}

/// Every header but that of the body, of those that do not render empty.
pub(super) fn headers(
    client: &Client,
    template: &RequestTemplate,
    values: &Values<'_>,
) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(JSON));
    if let Some(basic) = client.basic(values)? {
        headers.insert(AUTHORIZATION, basic);
    }
    for (name, template) in &template.headers {
        match values.render_header(name, template)? {
            Some(value) => drop(headers.insert(name, value)),
            None => drop(headers.remove(name)),
        }
    }
    Ok(headers)
}

/// Every parameter, of those that do not render empty.
pub(super) fn parameters(
    template: &RequestTemplate,
    values: &Values<'_>,
) -> Result<BTreeMap<String, Value>, Error> {
    let mut parameters = BTreeMap::new();
    for (name, template) in &template.parameters {
        if let Some(value) = values.render_parameter(template)? {
            parameters.insert(name.clone(), value);
        }
    }
    Ok(parameters)
}

impl Values<'_> {
    pub(super) fn render_url(&self, url: &UrlTemplate) -> Result<Url, Error> {
        self.check_then(url.names(), || url.render(|name| self.get(name).unwrap_or_default()))
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
pub(super) fn pairs(parameters: &BTreeMap<String, Value>) -> Result<Vec<(&str, String)>, Error> {
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

#[cfg(test)]
#[path = "revocation_tests.rs"]
mod revocation_tests;
