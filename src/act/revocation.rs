//! Revoking tokens (RFC 7009): former ones once nobody can hold them any more, and the last one of
//! a resource that is deleted. It is done as well as it can be; a failure harms no workload, and is
//! told without the token.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tracing::{info, warn};

use super::ask::order;
use super::retired::Retired;
use super::supply::{Supplied, secret_keys};
use super::{Case, Edge, Engine};
use crate::api::{RevokeOn, keys};
use crate::decide::{FetchOrder, HeldToken, Outcome, SecretKey};
use crate::error::Error;
use crate::flow::uid;
use crate::watch::Materials;

/// How long a deletion waits for the provider.
const PARTING: Duration = Duration::from_secs(10);

impl<E: Edge> Engine<E> {
    /// The token that the target holds, where it is to be revoked after it is replaced.
    pub(super) async fn former(&self, case: &Case, order: &FetchOrder) -> Option<SecretString> {
        let held = order.held.as_ref().filter(|_| order.revoke_after.is_some())?;
        self.read_held(case, held).await
    }

    /// Notes a token that was replaced. Tells when it is to be revoked; a provider that hands back
    /// the same token has replaced nothing.
    pub(super) fn retire(
        &self,
        case: &Case,
        (order, new): (&FetchOrder, &HeldToken),
        former: Option<SecretString>,
    ) -> Option<DateTime<Utc>> {
        let (former, held) = (former?, order.held.as_ref()?);
        if Some(self.digester.token(&former)) == new.fingerprint {
            return None;
        }
        let revoke_at = self.clock.now() + order.revoke_after?;
        let retired = Retired { token: former, revoke_at, expires_at: held.expires_at };
        self.retired.add(uid(&case.snapshot.token), retired, self.clock.now());
        Some(revoke_at)
    }

    /// Revokes what is due.
    pub(super) async fn revoke_due(&self, case: &Case, materials: Option<&Materials>) -> Outcome {
        let now = self.clock.now();
        let (due, next) = self.retired.take_due(uid(&case.snapshot.token), now);
        for retired in due.into_iter().filter(|retired| retired.expires_at > now) {
            self.try_to_revoke(case, (materials, retired.token)).await;
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
            for token in retired.into_iter().map(|retired| retired.token).chain(last) {
                self.try_to_revoke(case, (case.materials.as_ref(), token)).await;
            }
        };
        if tokio::time::timeout(PARTING, parting).await.is_err() {
            warn!(token = %owner, "it is deleted before the provider could revoke its token");
        }
    }

    /// The token that a resource holds, while it is good.
    async fn last(&self, case: &Case) -> Option<SecretString> {
        let now = self.clock.now();
        let held = case.snapshot.facts.held.as_ref().filter(|held| held.expires_at > now)?;
        self.read_held(case, held).await
    }

    async fn read_held(&self, case: &Case, held: &HeldToken) -> Option<SecretString> {
        let owner = case.snapshot.owner();
        let key = SecretKey { namespace: owner.namespace.clone(), name: held.secret_name.clone() };
        match self.edge.read(&key, &owner).await {
            Ok(data) => data?.remove(keys::ACCESS_TOKEN),
            Err(error) => {
                warn!(token = %owner, %error, "a token cannot be read, nor be revoked");
                None
            }
        }
    }

    async fn try_to_revoke(
        &self,
        case: &Case,
        (materials, token): (Option<&Materials>, SecretString),
    ) {
        let owner = case.snapshot.owner();
        let Some(materials) = materials else {
            warn!(token = %owner, "a token cannot be revoked: its provider or credentials are gone");
            return;
        };
        match self.supply_and_revoke(case, (materials, &token)).await {
            Ok(()) => info!(token = %owner, "a token that is not needed any more was revoked"),
            Err(error) => warn!(token = %owner, %error, "a token could not be revoked"),
        }
    }

    async fn supply_and_revoke(
        &self,
        case: &Case,
        (materials, token): (&Materials, &SecretString),
    ) -> Result<(), Error> {
        let namespace = case.snapshot.owner().namespace;
        let Supplied { mut supplies, .. } = self.supply(materials, &namespace).await?;
        // The one that the provider last took.
        let last = case.snapshot.facts.secret_key.as_deref();
        supplies.secret_key = order(secret_keys(materials), &supplies, last).pop();
        self.revoke(materials, (&supplies, token)).await
    }
}
