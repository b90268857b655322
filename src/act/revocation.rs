//! Revoking tokens (RFC 7009): former ones once nobody can hold them any more, and the last one of
//! a resource that is deleted. It is done as well as it can be; a failure harms no workload, and is
//! told without the token.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tracing::{info, warn};

use super::ask::secrets_in_order;
use super::retired::{Former, Retired};
use super::supply::{Supplied, secret_keys};
use super::{Case, Edge, Engine};
use crate::api::{RevokeOn, keys};
use crate::decide::{FetchOrder, HeldToken, Outcome, SecretKey};
use crate::error::Error;
use crate::flow::uid;
use crate::watch::Materials;

/// How long a deletion waits for the provider.
const PARTING: Duration = Duration::from_secs(10);

/// What is told where a rotation revokes nothing.
pub(super) const KEPT_ALIVE: &str = "nothing is revoked after a rotation (spec.revoke), for the provider \
     may end the refresh token with it (RFC 7009 section 2.1)";

impl<E: Edge> Engine<E> {
    /// The token that the target holds, where it is to be revoked after it is replaced.
    pub(super) async fn former(
        &self,
        case: &Case,
        (materials, inputs): (&Materials, &str),
        order: &FetchOrder,
    ) -> Option<Former> {
        let held = order.held.as_ref().filter(|_| order.revoke_after.is_some())?;
        if materials.endpoint.renews() {
            return None;
        }
        // Only whoever issued it may see it again.
        let unchanged = case.snapshot.facts.attempted.as_deref() == Some(inputs);
        let issuer = self.retired.published(uid(&case.snapshot.token));
        let issuer = issuer.or_else(|| unchanged.then(|| materials.clone()))?;
        Some(Former { token: self.read_held(case, held).await?, issuer })
    }

    /// Notes a token that was replaced. Tells when it is to be revoked; a provider that hands back
    /// the same token has replaced nothing.
    pub(super) fn retire(
        &self,
        case: &Case,
        (order, new): (&FetchOrder, &HeldToken),
        former: Option<Former>,
    ) -> Option<DateTime<Utc>> {
        let (former, held) = (former?, order.held.as_ref()?);
        if Some(self.digester.token(&former.token)) == new.fingerprint {
            return None;
        }
        let revoke_at = self.clock.now() + order.revoke_after?;
        let retired = Retired { former, revoke_at, expires_at: held.expires_at };
        self.retired.add(uid(&case.snapshot.token), retired, self.clock.now());
        Some(revoke_at)
    }

    /// Revokes what is due.
    pub(super) async fn revoke_due(&self, case: &Case) -> Outcome {
        let now = self.clock.now();
        let (due, next) = self.retired.take_due(uid(&case.snapshot.token), now);
        for retired in due.into_iter().filter(|retired| retired.expires_at > now) {
            self.try_to_revoke(case, &retired.former).await;
        }
        Outcome::Revoked { next }
    }

    /// Revokes everything that a resource leaves behind, where its spec asks for that and with what
    /// still exists. It ends after 10 s at the latest.
    pub async fn part(&self, case: &Case) {
        let retired = self.retired.take_all(uid(&case.snapshot.token));
        if !case.snapshot.token.spec.revoke.contains(&RevokeOn::Deletion) {
            return;
        }
        let owner = case.snapshot.owner();
        let parting = async {
            let last = self.last(case).await;
            for former in retired.into_iter().map(|retired| retired.former).chain(last) {
                self.try_to_revoke(case, &former).await;
            }
        };
        if tokio::time::timeout(PARTING, parting).await.is_err() {
            warn!(token = %owner, "it is deleted before the provider could revoke its token");
        }
    }

    /// The token that a resource holds, while it is good.
    async fn last(&self, case: &Case) -> Option<Former> {
        let now = self.clock.now();
        let held = case.snapshot.facts.held.as_ref().filter(|held| held.expires_at > now)?;
        let issuer = self.retired.published(uid(&case.snapshot.token));
        let Some(issuer) = issuer.or_else(|| unchanged(case)) else {
            let owner = case.snapshot.owner();
            warn!(token = %owner, "a token cannot be revoked: its provider or credentials are gone");
            return None;
        };
        Some(Former { token: self.read_held(case, held).await?, issuer })
    }

    async fn read_held(&self, case: &Case, held: &HeldToken) -> Option<SecretString> {
        let owner = case.snapshot.owner();
        let namespace = case.snapshot.namespace().to_owned();
        let key = SecretKey { namespace, name: held.secret_name.clone() };
        match self.edge.read(&key, &owner).await {
            Ok(data) => data?.remove(keys::ACCESS_TOKEN),
            Err(error) => {
                warn!(token = %owner, %error, "a token cannot be read, nor be revoked");
                None
            }
        }
    }

    async fn try_to_revoke(&self, case: &Case, former: &Former) {
        let owner = case.snapshot.owner();
        match self.supply_and_revoke(case, (&former.issuer, &former.token)).await {
            Ok(()) => info!(token = %owner, "a token that is not needed any more was revoked"),
            Err(error) => warn!(token = %owner, %error, "a token could not be revoked"),
        }
    }

    async fn supply_and_revoke(
        &self,
        case: &Case,
        (materials, token): (&Materials, &SecretString),
    ) -> Result<(), Error> {
        let namespace = case.snapshot.namespace();
        let Supplied { mut supplies, .. } = self.supply(materials, namespace).await?;
        // The one that the provider last took.
        let last = case.snapshot.facts.secret_key.as_deref();
        supplies.secret_key = secrets_in_order(secret_keys(materials), &supplies, last).pop();
        self.revoke(materials, (&supplies, token)).await
    }
}

/// Whether a rotation revokes nothing because that might end the grant.
pub(super) fn is_kept_alive(case: &Case, materials: &Materials) -> bool {
    let rotation = case.snapshot.token.spec.revoke.contains(&RevokeOn::Rotation);
    rotation && materials.endpoint.renews()
}

/// The materials of now, where the token that is held was asked for with the same.
fn unchanged(case: &Case) -> Option<Materials> {
    let facts = &case.snapshot.facts;
    let seen = facts.seen.as_ref()?;
    let means = case.snapshot.means.as_ref().ok()?;
    let same = seen.at == means.seen && seen.found.as_ref().ok() == facts.attempted.as_ref();
    case.materials.clone().filter(|_| same)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::KEPT_ALIVE;
    use crate::decide::Facts;
    use crate::oauth::CANNOT_REVOKE;

    #[rstest]
    #[case(KEPT_ALIVE)]
    #[case(CANNOT_REVOKE)]
    fn a_remark_outlives_the_process(#[case] remark: &str) {
        let fresh = json!({
            "type": "Fresh", "status": "True", "reason": "Refreshed",
            "message": format!("the last refresh succeeded; {remark}"),
            "lastTransitionTime": "2026-11-21T20:24:00Z",
        });
        let status = serde_json::from_value(json!({"conditions": [fresh]})).unwrap();
        assert_eq!(Facts::restore(&status, None, "shop").remark.as_deref(), Some(remark));
    }
}
