//! A token endpoint: a merged document with its defaults applied, its templates read and every
//! name in it checked. What is wrong with a document is found here, before any request.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::assertion::AssertionTemplate;
use super::client_auth::Client;
use super::discovery::Issuer;
use super::grants;
use super::needs::Needs;
use super::request_template::{Described, Draft, RequestTemplate};
use super::rules::{ErrorRules, ResponseRules, is_of_request, refuse_names};
use super::template::{Given, Name, Template, invalid};
use super::url_template::UrlTemplate;
use super::variables::variables;
use crate::api::{Algorithm, Grant, Limits, ProviderDocument, Request, Revocation};
use crate::catalogue::Merged;
use crate::error::Error;

/// What is said where a token is to be revoked and cannot be.
pub const CANNOT_REVOKE: &str = "nothing tells where this provider revokes tokens: set revocation.url \
     or issuer in its document";

/// What `limits.requestsPer` may be of.
const WINDOWS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(768));

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
    pub(super) request: RequestTemplate,
    pub(super) revocation: Option<RequestTemplate>,
    pub(super) grant: Grant,
    pub(super) client: Client,
    /// Where the grant, or a template, takes a JWT that is signed here.
    pub(super) assertion: Option<AssertionTemplate>,
    pub(super) scope_separator: String,
    pub(super) response: ResponseRules,
    pub(super) errors: ErrorRules,
    pub(super) ca_bundle: Option<String>,
    pub(super) provenance: Provenance,
    pub(super) needs: Needs,
    issuer: Option<Issuer>,
    /// Those origins that a variable reaches.
    varying_origins: Vec<Url>,
    credentials_json: Option<String>,
    variables: BTreeMap<String, String>,
    min_interval: Option<Duration>,
    max_interval: Option<Duration>,
    refresh_token_reuse: Option<Duration>,
    same_token_until: Option<Duration>,
    requests_per: BTreeMap<Duration, u32>,
    shape: Value,
}

impl Endpoint {
    /// Checks a merged document and makes it ready. Every error is `InvalidProvider`.
    pub fn compile(merged: Merged, provenance: Provenance) -> Result<Self, Error> {
        let Merged { document, inputs } = merged;
        let drafts = Drafts::read(&document)?;
        let names = drafts.names()?;
        let values = variables(&document, &inputs, &names)?;
        let variable = |name: &str| values.get(name).map_or("", String::as_str);
        let request = drafts.request.finish(variable)?;
        let issuer = drafts.issuer.as_ref().map(|text| UrlTemplate::compile(text, variable));
        let issuer = issuer.transpose()?;
        let revocation = drafts.revocation.as_ref().map(|draft| draft.finish(variable));
        let revocation = revocation.transpose()?;
        let revoked_at = revocation.as_ref().and_then(|request| request.url.as_ref());
        let varying = [request.url.as_ref(), issuer.as_ref(), revoked_at].into_iter().flatten();
        let varying = varying.filter(|url| url.origin_varies()).map(|url| url.origin().clone());
        let varying_origins = varying.collect();
        let ca_bundle = document.ca_bundle.clone();
        let limits = document.limits.clone().unwrap_or_default();
        let needs = Needs::of(names, drafts.optional_credentials());
        Ok(Self {
            varying_origins,
            issuer: issuer
                .map(|url| Ok(Issuer::new(url.render(|_| "")?, provenance, ca_bundle.clone())))
                .transpose()?,
            request,
            revocation,
            grant: drafts.grant,
            client: drafts.client,
            assertion: drafts.assertion,
            scope_separator: document
                .request
                .as_ref()
                .and_then(|request| request.scope_separator.clone())
                .unwrap_or_else(|| " ".to_owned()),
            response: drafts.response,
            errors: ErrorRules::parse(&document)?,
            ca_bundle,
            provenance,
            credentials_json: document.credentials_json.clone(),
            shape: shape(&document, &values),
            needs,
            variables: values,
            min_interval: limits.min_interval.map(Duration::from),
            max_interval: limits.max_interval.map(Duration::from),
            refresh_token_reuse: limits.refresh_token_reuse.map(Duration::from),
            same_token_until: limits.same_token_until.map(Duration::from),
            requests_per: requests_per(&limits)?,
        })
    }

    /// The least time between a success and the next request, where the document sets one.
    pub fn min_interval(&self) -> Option<Duration> {
        self.min_interval
    }

    /// The longest time between two requests, where the document sets one.
    pub fn max_interval(&self) -> Option<Duration> {
        self.max_interval
    }

    /// How long a refresh token that was used already is taken once more, where the document says.
    pub fn refresh_token_reuse(&self) -> Option<Duration> {
        self.refresh_token_reuse
    }

    /// What is left of a token when the provider gives a new one, where it hands out the same one
    /// until then.
    pub fn same_token_until(&self) -> Option<Duration> {
        self.same_token_until
    }

    /// How many requests may be made in stretches of time of these lengths; 0 takes a default away.
    pub fn requests_per(&self) -> &BTreeMap<Duration, u32> {
        &self.requests_per
    }

    /// The further keys that a target may hold.
    pub fn output_names(&self) -> impl Iterator<Item = &str> {
        self.response.outputs.keys().map(String::as_str)
    }

    /// What the token's spec and its credentials have to bring.
    pub fn needs(&self) -> &Needs {
        &self.needs
    }

    /// A key of the credentials Secret whose value is a JSON object of credentials.
    pub fn credentials_json(&self) -> Option<&str> {
        self.credentials_json.as_deref()
    }

    /// Scheme, host and port of what is asked first; `None` where nothing is asked.
    pub fn origin(&self) -> Option<&Url> {
        let own = self.request.url.as_ref().map(UrlTemplate::origin);
        own.or_else(|| self.issuer.as_ref().map(Issuer::url))
    }

    /// Where requests may go whose scheme, host or port depend on a variable.
    pub fn varying_origins(&self) -> &[Url] {
        &self.varying_origins
    }

    /// Who tells the endpoints that the document does not: to be asked before a request is built.
    pub fn discovery(&self) -> Option<&Issuer> {
        self.issuer.as_ref().filter(|_| self.request.url.is_none())
    }

    /// The issuer, where the document names one.
    pub fn issuer(&self) -> Option<&Issuer> {
        self.issuer.as_ref()
    }

    /// Who tells where tokens are revoked, where the document does not.
    pub fn revocation_discovery(&self) -> Option<&Issuer> {
        let own = self.revocation.as_ref().and_then(|revocation| revocation.url.as_ref());
        self.issuer.as_ref().filter(|_| own.is_none())
    }

    /// Whether anything may tell where tokens are revoked.
    pub fn can_revoke(&self) -> bool {
        self.revocation.as_ref().is_some_and(|own| own.url.is_some()) || self.issuer.is_some()
    }

    /// Whether the provider is cluster-scoped or a tenant's.
    pub fn provenance(&self) -> Provenance {
        self.provenance
    }

    /// Whether the token is signed here, and nobody is asked.
    pub fn is_local(&self) -> bool {
        self.grant == Grant::Local
    }

    /// Whether a request uses up what it is made from: a refresh token, or the current token.
    pub fn renews(&self) -> bool {
        self.grant == Grant::RefreshToken || self.needs.current
    }

    /// Whether a request holds a JWT whose times are those of our clock.
    pub fn signs(&self) -> bool {
        self.assertion.is_some() || self.client.assertion.is_some()
    }

    /// What of the document shapes a request, for digests.
    pub(super) fn shape(&self) -> &Value {
        &self.shape
    }

    pub(super) fn variable(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }
}

/// A document whose templates are read and whose variables are not yet known.
struct Drafts {
    request: Draft,
    revocation: Option<Draft>,
    issuer: Option<Template>,
    grant: Grant,
    client: Client,
    assertion: Option<AssertionTemplate>,
    response: ResponseRules,
}

impl Drafts {
    fn read(document: &ProviderDocument) -> Result<Self, Error> {
        let grant = document.grant.unwrap_or(Grant::ClientCredentials);
        let client = Client::parse(document, grant)?;
        let described = document.request.clone().unwrap_or_default();
        let mut request = Draft::parse(&token_request(&described))?;
        if described.encoding != Some(crate::api::Encoding::None) {
            request.imply(grants::parameters(grant)?);
        }
        let local = grant == Grant::Local;
        if !local {
            request.authenticate(&client, client.parameters(grant)?)?;
            if described.url.is_none() && document.issuer.is_none() {
                return Err(invalid(
                    "spec.request.url is not set: name a preset, or say where the token endpoint \
                     is, or who the spec.issuer is that tells it",
                ));
            }
        }
        // An issuer may tell where to, without a word of the document.
        let own = document.revocation.clone();
        let revocation = own.or_else(|| document.issuer.as_ref().map(|_| Revocation::default()));
        let revocation = revocation.map(|revocation| {
            let mut draft = Draft::parse(&revocation_request(&revocation))?;
            draft.imply(grants::revocation()?);
            draft.authenticate(&client, client.parameters(grant)?)?;
            Ok(draft)
        });
        let issuer = document.issuer.as_deref().map(|text| Template::parse(text, "issuer"));
        let mut drafts = Self {
            request,
            revocation: revocation.transpose()?,
            issuer: issuer.transpose()?,
            grant,
            client,
            assertion: None,
            response: ResponseRules::parse(document)?,
        };
        drafts.assertion = drafts.wanted_assertion(document)?;
        Ok(drafts)
    }

    /// The assertion, where anything takes one.
    fn wanted_assertion(
        &self,
        document: &ProviderDocument,
    ) -> Result<Option<AssertionTemplate>, Error> {
        let mut names = BTreeSet::new();
        self.request.collect_names(&mut names);
        if self.grant != Grant::Local && !names.contains(&Name::Given(Given::Assertion)) {
            return Ok(None);
        }
        let assertion = document.assertion.clone().unwrap_or_default();
        let secret = (&self.client.secret, Algorithm::RS256);
        AssertionTemplate::parse(&assertion, "assertion", secret).map(Some)
    }

    /// Credentials that are used where they are there.
    fn optional_credentials(&self) -> BTreeSet<String> {
        let assertions = [&self.assertion, &self.client.assertion];
        let key_id = assertions.into_iter().flatten().any(AssertionTemplate::takes_any_key_id);
        let keys = [("key_id", key_id), ("ca.crt", self.client.shows_certificate())];
        keys.iter().filter(|(_, used)| *used).map(|(key, _)| (*key).to_owned()).collect()
    }

    /// Every name that a request takes a value of, each known to have one where it stands.
    fn names(&self) -> Result<BTreeSet<Name>, Error> {
        let mut names = BTreeSet::new();
        self.request.collect_names(&mut names);
        self.client.collect_names(&mut names);
        refuse_names(&names, "request", is_of_request)?;
        let mut of_assertion = BTreeSet::new();
        if let Some(assertion) = &self.assertion {
            assertion.collect_names(&self.client.id, &mut of_assertion);
        }
        refuse_names(&of_assertion, "assertion", |name| {
            !matches!(
                name,
                Name::Output(_)
                    | Name::Given(Given::Assertion | Given::ClientAssertion | Given::Revoked)
            )
        })?;
        names.extend(of_assertion);
        if let Some(issuer) = &self.issuer {
            let is_variable = |name: &Name| matches!(name, Name::Variable(_));
            refuse_names(issuer.names(), "issuer", is_variable)?;
            names.extend(issuer.names().cloned());
        }
        if let Some(revocation) = &self.revocation {
            let mut of_revocation = BTreeSet::new();
            revocation.collect_names(&mut of_revocation);
            of_revocation.remove(&Name::Given(Given::Revoked));
            refuse_names(&of_revocation, "revocation", is_of_request)?;
            names.extend(of_revocation);
        }
        names.extend(self.response.names()?);
        Ok(names)
    }
}

fn token_request(request: &Request) -> Described<'_> {
    Described {
        field: "request",
        url: request.url.as_deref(),
        method: request.method,
        encoding: request.encoding,
        headers: &request.headers,
        parameters: &request.parameters,
    }
}

fn revocation_request(revocation: &Revocation) -> Described<'_> {
    Described {
        field: "revocation",
        url: revocation.url.as_deref(),
        method: None,
        encoding: revocation.encoding,
        headers: &revocation.headers,
        parameters: &revocation.parameters,
    }
}

/// Where a length is written in two ways, the stricter limit counts.
fn requests_per(limits: &Limits) -> Result<BTreeMap<Duration, u32>, Error> {
    let mut requests_per: BTreeMap<Duration, u32> = BTreeMap::new();
    for (text, requests) in &limits.requests_per {
        let wrong = || {
            invalid(format!(
                "limits.requestsPer: {text:?} is not a duration from 1s to 768h, as 1h or 24h"
            ))
        };
        let length: kube::core::Duration = text.parse().map_err(|_| wrong())?;
        let length = Duration::from(length);
        if text.starts_with('-') || !(WINDOWS.0..=WINDOWS.1).contains(&length) {
            return Err(wrong());
        }
        let both = |before: &mut u32| *before = (*before).min(*requests);
        requests_per.entry(length).and_modify(both).or_insert(*requests);
    }
    Ok(requests_per)
}

/// The document less what does not shape a request: a gentler pace needs no new token. Of the
/// variables it holds those that are used, defaults too: a new release may change one.
fn shape(document: &ProviderDocument, variables: &BTreeMap<String, String>) -> Value {
    let document = ProviderDocument {
        variables: variables.clone(),
        limits: None,
        errors: None,
        revocation: None,
        ..document.clone()
    };
    serde_json::to_value(document).unwrap_or_else(|_| json!({}))
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
