//! Reading what a request is made from.

use secrecy::SecretString;

use super::renewal::{Kept, seed};
use super::spend::go_on;
use super::{Edge, Engine};
use crate::api::keys;
use crate::decide::{Parent, SecretKey};
use crate::error::{Error, Reason};
use crate::oauth::{Credentials, Digester, Supplies};
use crate::watch::Materials;

/// What was read, and what a person should know of it.
pub(super) struct Supplied {
    pub(super) supplies: Supplies,
    /// Digest of everything that shapes the request.
    pub(super) inputs: String,
    /// The likeliest cause of a wrong secret.
    pub(super) remark: Option<String>,
    /// What is kept of credentials that are renewed, as it was read.
    pub(super) kept: Option<Kept>,
}

/// The credentials that a request is made from, and the digest of its inputs.
pub(super) async fn credentials<E: Edge>(
    edge: &E,
    materials: &Materials,
    digester: &Digester,
) -> Result<(Credentials, String), Error> {
    let endpoint = &materials.endpoint;
    let credentials = match &materials.credentials {
        Some(source) => edge.credentials(&source.secret).await?,
        None => Credentials::default(),
    };
    let credentials = match endpoint.credentials_json() {
        Some(key) => credentials.unpack(key)?,
        None => credentials,
    };
    let inputs =
        digester.inputs(endpoint, &materials.asking, (&credentials, secret_keys(materials)))?;
    Ok((credentials, inputs))
}

impl<E: Edge> Engine<E> {
    /// Everything that a request is made from, apart from what the inputs' digest needs already.
    pub(super) async fn supply(
        &self,
        materials: &Materials,
        namespace: &str,
    ) -> Result<Supplied, Error> {
        let (credentials, inputs) = credentials(&self.edge, materials, &self.digester).await?;
        let wanted = materials.endpoint.needs().keys(secret_keys(materials), &credentials);
        let newlines = credentials.ending_in_newline(wanted);
        let remark = (!newlines.is_empty()).then(|| {
            let (source, keys) = (credentials.source(), newlines.join(", "));
            format!("Secret {source}: {keys} ends in a newline, which is seldom meant")
        });
        let mut supplies = Supplies { credentials, ..Supplies::default() };
        for parent in &materials.parents {
            let token = self.token_of(parent).await?;
            supplies.tokens.insert(parent.reference.clone(), token);
        }
        if let Some(account) = &materials.service_account {
            let token = self.edge.service_account_token(namespace, account).await?;
            supplies.service_account = Some(token);
        }
        let mut kept = None;
        if let Some(credentials) = renewed_of(materials) {
            self.catch_up(credentials).await?;
            kept = self.edge.renewed(credentials).await?;
            let seed = seed(&supplies.credentials, &self.digester);
            supplies.renewed = go_on(kept.as_ref(), &seed);
        }
        Ok(Supplied { supplies, inputs, remark, kept })
    }

    /// The token that another is made from. It is read from its target, where it is kept fresh.
    async fn token_of(&self, parent: &Parent) -> Result<SecretString, Error> {
        let data = self.edge.read(&parent.target, &parent.owner).await?;
        data.and_then(|mut data| data.remove(keys::ACCESS_TOKEN)).ok_or_else(|| {
            let name = &parent.owner.name;
            let message = format!("OAuthClientToken {name:?} has no token any more");
            Error::new(Reason::ParentNotReady, message)
        })
    }
}

/// The credentials that a request uses up; `None` where it uses up none.
pub(super) fn renewed_of(materials: &Materials) -> Option<&SecretKey> {
    let source = materials.credentials.as_ref().filter(|_| materials.endpoint.renews())?;
    Some(&source.secret)
}

/// The keys that hold the client's secret, where the credentials name several.
pub(super) fn secret_keys(materials: &Materials) -> &[String] {
    // Where no secret is sent there is none to take turns.
    let sent = materials.endpoint.needs().credentials().any(|key| key == "client_secret");
    materials.credentials.as_ref().filter(|_| sent).map_or(&[], |source| &source.secret_keys)
}
