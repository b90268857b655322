//! A token endpoint: a merged document with its defaults applied, its templates read and every
//! name in it checked. What is wrong with a document is found here, before any request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use serde_json::{Value, json};
use url::Url;

use super::parameters::ParameterTemplate;
use super::template::{Name, Template, invalid};
use super::url_template::UrlTemplate;
use super::variables::variables;
use super::{client_auth, headers};
use crate::api::{
    BasicEncoding, ClientAuthentication, Encoding, ErrorRule, ExpiryKind, Grant, Method,
    ProviderDocument,
};
use crate::catalogue::Merged;
use crate::error::Error;

/// The media types of bodies.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
pub(super) const JSON: &str = "application/json";

/// Where a provider comes from, which says how far it may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// A tenant wrote it: private addresses are refused too.
    Namespaced,
    /// A platform team wrote it.
    Cluster,
}

/// A token endpoint, ready to be asked.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub(super) url: UrlTemplate,
    pub(super) method: Method,
    pub(super) encoding: Encoding,
    pub(super) headers: Vec<(HeaderName, Template)>,
    pub(super) parameters: BTreeMap<String, ParameterTemplate>,
    pub(super) grant: Grant,
    pub(super) client_authentication: Vec<ClientAuthentication>,
    pub(super) basic_encoding: BasicEncoding,
    pub(super) response: ResponseRules,
    pub(super) errors: ErrorRules,
    pub(super) ca_bundle: Option<String>,
    pub(super) provenance: Provenance,
    variables: BTreeMap<String, String>,
    credential_keys: BTreeSet<String>,
    parameter_names: BTreeSet<String>,
    min_interval: Option<Duration>,
    shape: Value,
}

/// How an answer is read.
#[derive(Clone, Debug)]
pub(super) struct ResponseRules {
    pub(super) success_status: Vec<u16>,
    pub(super) token: Vec<String>,
    pub(super) token_type: Vec<String>,
    pub(super) scope: Vec<String>,
    pub(super) expiry_kind: ExpiryKind,
    pub(super) expiry_at: Vec<String>,
    pub(super) default_life: Option<Duration>,
}

/// How a refusal is read.
#[derive(Clone, Debug)]
pub(super) struct ErrorRules {
    pub(super) code: Vec<String>,
    pub(super) message: Vec<String>,
    pub(super) rules: Vec<ErrorRule>,
}

impl Endpoint {
    /// Checks a merged document and makes it ready. Every error is `InvalidProvider`.
    pub fn compile(merged: Merged, provenance: Provenance) -> Result<Self, Error> {
        let Merged { document, inputs } = merged;
        let request = document.request.clone().unwrap_or_default();
        let url = request.url.as_deref().ok_or_else(|| {
            invalid(
                "spec.request.url is not set: name a preset, or say where the token endpoint is",
            )
        })?;
        let url = Template::parse(url, "request.url")?;
        let headers = headers::parse(&request.headers)?;
        let parameters = request
            .parameters
            .iter()
            .map(|(name, value)| {
                Ok((
                    name.clone(),
                    ParameterTemplate::parse(value, &format!("request.parameters.{name}"))?,
                ))
            })
            .collect::<Result<BTreeMap<_, _>, Error>>()?;

        let mut names: BTreeSet<Name> = url.names().cloned().collect();
        names.extend(headers.iter().flat_map(|(_, template)| template.names().cloned()));
        for parameter in parameters.values() {
            parameter.collect_names(&mut names);
        }
        let variables = variables(&document, &inputs, &names)?;
        headers::check(&headers, |name| variables.get(name).map_or("", String::as_str))?;
        let url =
            UrlTemplate::compile(&url, |name| variables.get(name).map_or("", String::as_str))?;

        let grant = document.grant.unwrap_or(Grant::ClientCredentials);
        let client_authentication = client_authentication(&document, grant);
        let mut endpoint = Self {
            url,
            method: request.method.unwrap_or(Method::Post),
            encoding: request.encoding.unwrap_or(Encoding::Form),
            headers,
            parameters,
            grant,
            client_authentication,
            basic_encoding: document.basic_encoding.unwrap_or(BasicEncoding::Form),
            response: response_rules(&document),
            errors: error_rules(&document),
            ca_bundle: document.ca_bundle.clone(),
            provenance,
            shape: shape(&document, &variables),
            variables,
            credential_keys: BTreeSet::new(),
            parameter_names: BTreeSet::new(),
            min_interval: document.limits.and_then(|l| l.min_interval).map(Duration::from),
        };
        endpoint.note_names(names);
        endpoint.check_encoding()?;
        endpoint.check_headers()?;
        endpoint.response.check()?;
        Ok(endpoint)
    }

    /// The least time between a success and the next request, where the document sets one.
    pub fn min_interval(&self) -> Option<Duration> {
        self.min_interval
    }

    /// The keys of the credentials Secret that a request is made from.
    pub fn credential_keys(&self) -> impl Iterator<Item = &str> {
        self.credential_keys.iter().map(String::as_str)
    }

    /// The parameters that the document has a place for.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.parameter_names.iter().map(String::as_str)
    }

    /// Whether asking for scopes has any effect.
    pub fn takes_scopes(&self) -> bool {
        self.grant != Grant::None
            && self.encoding != Encoding::None
            && !self.parameters.contains_key("scope")
    }

    /// Scheme, host and port of the token endpoint.
    pub fn origin(&self) -> &Url {
        self.url.origin()
    }

    /// Whether scheme, host or port depend on a variable.
    pub fn origin_varies(&self) -> bool {
        self.url.origin_varies()
    }

    /// Whether the provider is cluster-scoped or a tenant's.
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }

    /// What of the document shapes a request, for digests.
    pub(super) fn shape(&self) -> &Value {
        &self.shape
    }

    pub(super) fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    fn note_names(&mut self, names: BTreeSet<Name>) {
        for name in names {
            match name {
                Name::Credential(key) => drop(self.credential_keys.insert(key)),
                Name::Parameter(name) => drop(self.parameter_names.insert(name)),
                Name::Variable(_) => {}
            }
        }
        let keys: Vec<_> = client_auth::keys(self).map(str::to_owned).collect();
        self.credential_keys.extend(keys);
    }

    /// Refuses what cannot travel in the encoding that is asked for.
    fn check_encoding(&self) -> Result<(), Error> {
        let structured = self.parameters.iter().find(|(_, value)| value.needs_json());
        match (self.encoding, structured) {
            (Encoding::Form | Encoding::Query, Some((name, _))) => Err(invalid(format!(
                "request.parameters.{name}: an object needs request.encoding json"
            ))),
            (Encoding::None, _) if !self.parameters.is_empty() => {
                Err(invalid("request.parameters are set, but request.encoding none sends nothing"))
            }
            (Encoding::None, _) if client_auth::posted(self).next().is_some() => Err(invalid(
                "clientAuthentication wants parameters, but request.encoding none sends nothing",
            )),
            (Encoding::Form | Encoding::Json, _) if self.method == Method::Get => {
                Err(invalid("request.method GET has no body: use request.encoding query or none"))
            }
            _ => Ok(()),
        }
    }

    /// Refuses headers that contradict the rest of the document.
    fn check_headers(&self) -> Result<(), Error> {
        let basic = self.client_authentication.contains(&ClientAuthentication::ClientSecretBasic);
        if basic && self.headers.iter().any(|(header, _)| header == AUTHORIZATION) {
            return Err(invalid(
                "request.headers.authorization: clientAuthentication client_secret_basic sets it \
                 too; keep one of them",
            ));
        }
        let other = match self.encoding {
            Encoding::Form => JSON,
            Encoding::Json => FORM,
            Encoding::Query | Encoding::None => return Ok(()),
        };
        let media_type = headers::literal(&self.headers, &CONTENT_TYPE).unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(other) {
            return Err(invalid(format!(
                "request.headers.content-type: {other} is not how request.encoding writes the body"
            )));
        }
        Ok(())
    }
}

impl ResponseRules {
    /// Refuses rules by which no answer could ever hold a token that lives.
    fn check(&self) -> Result<(), Error> {
        match (self.expiry_kind, self.default_life) {
            (ExpiryKind::None, None) => {
                Err(invalid("response.expiry.kind none needs response.expiry.default"))
            }
            (_, Some(Duration::ZERO)) => Err(invalid("response.expiry.default is zero")),
            _ => Ok(()),
        }
    }
}

fn client_authentication(document: &ProviderDocument, grant: Grant) -> Vec<ClientAuthentication> {
    document.client_authentication.clone().unwrap_or_else(|| match grant {
        Grant::None => vec![ClientAuthentication::None],
        // RFC 6749 section 2.3.1: the one that every server must support.
        Grant::ClientCredentials => vec![ClientAuthentication::ClientSecretBasic],
    })
}

fn response_rules(document: &ProviderDocument) -> ResponseRules {
    let response = document.response.clone().unwrap_or_default();
    let expiry = response.expiry.unwrap_or_default();
    let pointers =
        |given: Option<Vec<String>>, usual: &str| given.unwrap_or(vec![usual.to_owned()]);
    let kind = expiry.kind.unwrap_or(ExpiryKind::Seconds);
    ResponseRules {
        success_status: response.success_status.unwrap_or(vec![200]),
        // Without `at`, a JWT's life is read from the token itself.
        expiry_at: match kind {
            ExpiryKind::Jwt | ExpiryKind::None => expiry.at.unwrap_or_default(),
            _ => pointers(expiry.at, "/expires_in"),
        },
        expiry_kind: kind,
        default_life: expiry.default.map(Duration::from),
        token: pointers(response.token, "/access_token"),
        token_type: pointers(response.token_type, "/token_type"),
        scope: pointers(response.scope, "/scope"),
    }
}

fn error_rules(document: &ProviderDocument) -> ErrorRules {
    let errors = document.errors.clone().unwrap_or_default();
    ErrorRules {
        code: errors.code.unwrap_or(vec!["/error".to_owned()]),
        message: errors.message.unwrap_or(vec!["/error_description".to_owned()]),
        rules: errors.rules.unwrap_or_default(),
    }
}

/// The document less what does not shape a request: a gentler pace needs no new token. Of the
/// variables it holds those that are used, defaults too: a new release may change one.
fn shape(document: &ProviderDocument, variables: &BTreeMap<String, String>) -> Value {
    let document = ProviderDocument {
        variables: variables.clone(),
        limits: None,
        errors: None,
        ..document.clone()
    };
    serde_json::to_value(document).unwrap_or_else(|_| json!({}))
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
