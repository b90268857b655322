//! How every token stands, for figures.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;

use super::Context;
use crate::act::Load;
use crate::api::conditions::{self, FRESH, READY};
use crate::api::{ClusterOAuthClientToken, OAuthClientToken, OnExpiry};
use crate::flow::uid;
use crate::record::{Census, Sighting, Times};

impl Census for Context {
    fn tokens(&self) -> Vec<Sighting> {
        let cluster_tokens = self.caches.cluster_tokens().state();
        let sightings = self.caches.tokens().each().map(|token| self.sight(&token));
        sightings.chain(cluster_tokens.iter().map(|token| self.sight_grant(token))).collect()
    }

    fn providers(&self) -> BTreeSet<String> {
        let namespaced = self.caches.providers().state();
        let of_cluster = self.caches.cluster_providers().state();
        let namespaced = namespaced.iter().map(|provider| {
            format!("{}/{}", provider.namespace().unwrap_or_default(), provider.name_any())
        });
        namespaced.chain(of_cluster.iter().map(|provider| provider.name_any())).collect()
    }

    fn load(&self) -> Vec<Load> {
        self.engine.load()
    }
}

impl Context {
    fn sight(&self, token: &OAuthClientToken) -> Sighting {
        let namespace = token.namespace().unwrap_or_default();
        let written = self.ledger.conditions(uid(token));
        Sighting {
            name: token.name_any(),
            provider: token.spec.provider_ref.full_name(&namespace),
            namespace,
            times: self.times(uid(token)),
            is_suspended: token.spec.suspend,
            may_expire: token.spec.on_expiry == OnExpiry::Remove
                || token.metadata.deletion_timestamp.is_some(),
            is_ready: conditions::is_true(&written, READY),
            fresh: reason(&written),
        }
    }

    fn sight_grant(&self, token: &ClusterOAuthClientToken) -> Sighting {
        let uid = token.metadata.uid.as_deref().unwrap_or_default();
        let written = token.status.as_ref().map_or(&[][..], |status| &status.grant.conditions);
        Sighting {
            namespace: String::new(),
            name: token.name_any(),
            provider: token.spec.provider_ref.name.clone(),
            times: self.times(uid),
            is_suspended: token.spec.suspend,
            may_expire: token.spec.on_expiry == OnExpiry::Remove
                || token.metadata.deletion_timestamp.is_some(),
            is_ready: conditions::is_true(written, READY),
            fresh: reason(written),
        }
    }

    fn times(&self, uid: &str) -> Option<Times> {
        let held = self.ledger.facts(uid)?.held?;
        Some(Times { expires_at: held.expires_at, refresh_at: held.refresh_at })
    }
}

/// Empty where nothing was written yet.
fn reason(written: &[Condition]) -> String {
    conditions::find(written, FRESH).map(|fresh| fresh.reason.clone()).unwrap_or_default()
}
