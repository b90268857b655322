//! What a token request is made from, put together. The same for a cluster and a directory.

use std::sync::Arc;

use chrono::TimeDelta;

use crate::api::OAuthClientTokenSpec;
use crate::decide::{Means, SecretKey};
use crate::error::Error;
use crate::oauth::{Asking, Digester, Endpoint, Transport};

/// A token's provider, admitted, and the credentials that it is asked with.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Where and how to ask.
    pub endpoint: Arc<Endpoint>,
    /// With whose credentials.
    pub credentials: SecretKey,
}

/// What a token request is made from.
#[derive(Clone, Debug)]
pub struct Materials {
    /// Where and how to ask.
    pub endpoint: Arc<Endpoint>,
    /// What for.
    pub asking: Asking,
    /// With whose credentials.
    pub credentials: SecretKey,
}

/// What a request for a token is made from, or why none can be made.
pub fn materials(
    spec: &OAuthClientTokenSpec,
    resolved: Resolved,
    transport: &Transport,
) -> Result<Materials, Error> {
    let Resolved { endpoint, credentials } = resolved;
    let asking = Asking { scopes: spec.scopes.clone(), parameters: spec.parameters.clone() };
    endpoint.check(&asking)?;
    transport.admits(&endpoint)?;
    Ok(Materials { endpoint, asking, credentials })
}

/// What a decision needs to know of it. `version` changes whenever the credentials may have.
pub fn means(materials: &Materials, version: &str, digester: &Digester) -> Means {
    let shape = digester.shape(&materials.endpoint, &materials.asking);
    let min_interval = materials.endpoint.min_interval();
    Means {
        seen: format!("{shape}/{version}"),
        min_interval: min_interval.and_then(|interval| TimeDelta::from_std(interval).ok()),
    }
}
