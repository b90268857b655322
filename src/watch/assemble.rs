//! What a token request is made from, put together. The same for a cluster and a directory.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;

use crate::api::{OAuthClientTokenSpec, ServiceAccountRef};
use crate::decide::{CredentialsSource, Limits, Means, Parent};
use crate::error::Error;
use crate::oauth::{Asking, Digester, Endpoint, Transport};
use crate::render::Shape;

/// A token's provider, admitted, and what it is asked with.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What it is called: `NAMESPACE/NAME`, or `NAME` of a cluster provider.
    pub provider: String,
    /// Where and how to ask.
    pub endpoint: Arc<Endpoint>,
    /// With whose credentials, where any are named.
    pub credentials: Option<CredentialsSource>,
    /// With which other tokens, each known to be good.
    pub parents: Vec<Parent>,
}

/// What a token request is made from.
#[derive(Clone, Debug)]
pub struct Materials {
    /// What the provider is called: `NAMESPACE/NAME`, or `NAME` of a cluster provider.
    pub provider: String,
    /// Where and how to ask.
    pub endpoint: Arc<Endpoint>,
    /// What for.
    pub asking: Asking,
    /// With whose credentials, where any are needed.
    pub credentials: Option<CredentialsSource>,
    /// With which other tokens.
    pub parents: Vec<Parent>,
    /// With the token of which ServiceAccount.
    pub service_account: Option<ServiceAccountRef>,
}

/// What a request for a token is made from, or why none can be made.
pub fn materials(
    spec: &OAuthClientTokenSpec,
    resolved: Resolved,
    transport: &Transport,
) -> Result<Materials, Error> {
    let Resolved { provider, endpoint, credentials, parents } = resolved;
    let mut asking = Asking::of(spec);
    if !parents.is_empty() || spec.service_account_ref.is_some() {
        // What a parent was asked with, not the parent itself: that renews itself.
        let of_parents: Vec<_> =
            parents.iter().map(|p| (&p.reference, &p.owner.name, &p.inputs)).collect();
        asking.sources = json!([of_parents, spec.service_account_ref]);
    }
    endpoint.check(&asking)?;
    if credentials.is_none() {
        endpoint.needs().without_credentials()?;
    }
    transport.admits(&endpoint)?;
    let service_account = spec.service_account_ref.clone();
    Ok(Materials { provider, endpoint, asking, credentials, parents, service_account })
}

/// What the target ought to look like, beside the outputs of the provider's document where that is
/// known.
pub fn shape(spec: &OAuthClientTokenSpec, endpoint: Option<&Endpoint>) -> Result<Shape, Error> {
    let outputs = endpoint.map(|endpoint| endpoint.output_names().collect());
    Shape::compile(&spec.target, outputs.as_ref())
}

/// What a decision needs to know of it. `version` changes whenever the credentials may have.
pub fn means(materials: &Materials, version: &str, digester: &Digester) -> Means {
    let shape = digester.shape(&materials.endpoint, &materials.asking);
    Means { seen: format!("{shape}/{version}"), limits: limits(&materials.endpoint) }
}

/// What a document says about when to ask.
pub fn limits(endpoint: &Endpoint) -> Limits {
    let interval = |given: Option<Duration>| TimeDelta::from_std(given?).ok();
    Limits {
        min_interval: interval(endpoint.min_interval()),
        max_interval: interval(endpoint.max_interval()),
        same_token_until: interval(endpoint.same_token_until()),
    }
}
