//! What a change means: which tokens to look at again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{PartialObjectMeta, SelectorExt};
use kube::{Resource, ResourceExt};

use super::caches::{in_order, target_of};
use super::{Caches, Trigger, Triggers};
use crate::api::annotations::{REFRESH_REQUESTED_AT, REVOKE_FINALIZER};
use crate::api::{
    ClusterOAuthClientToken, ClusterOAuthProvider, OAuthClientToken, OAuthProvider, ProviderKind,
};

/// Is told of changes that the watches see.
pub trait Listener: Send + Sync + 'static {
    /// A token has this status.
    fn token_status(&self, token: &OAuthClientToken);
    /// A token is gone.
    fn token_gone(&self, token: &OAuthClientToken);
    /// A cluster token is gone.
    fn cluster_token_gone(&self, token: &ClusterOAuthClientToken);
    /// A provider appeared, changed or went.
    fn provider_changed(&self);
}

/// Where changes go.
#[derive(Clone)]
pub(super) struct Outlet {
    pub(super) triggers: Triggers,
    pub(super) listener: Arc<dyn Listener>,
}

impl Caches {
    pub(super) fn on_token(&self, change: &Change<'_, OAuthClientToken>, outlet: &Outlet) {
        if change.is_of_spec() {
            // It may use another provider now, which is counted.
            outlet.listener.provider_changed();
            self.send_descendants(outlet, change.object());
        }
        match change {
            Change::Set { before, now } => {
                if change.is_of_spec() {
                    // Known before it is looked at, so that others know of a rival.
                    self.secrets.refer(&Trigger::of(now), self.secrets_of(now));
                    for token in before.iter().map(|before| &**before).chain([*now]) {
                        self.send_rivals(outlet, token);
                    }
                }
                if before.as_ref().is_none_or(|before| concerns(before.meta(), now.meta())) {
                    outlet.send(Trigger::of(now));
                }
            }
            Change::Gone(token) => {
                self.secrets.refer(&Trigger::of(token), Vec::new());
                self.send_rivals(outlet, token);
                outlet.listener.token_gone(token);
                // Whoever waits for its sake hears of it; there is nothing else to do.
                outlet.send(Trigger::of(token));
            }
        }
    }

    pub(super) fn on_provider(&self, change: &Change<'_, OAuthProvider>, outlet: &Outlet) {
        let provider = change.object();
        if let Change::Gone(gone) = change {
            self.endpoints().forget(ProviderKind::OAuthProvider, &gone.uid().unwrap_or_default());
        }
        if change.is_of_spec() {
            let namespace = provider.namespace();
            self.send_where(outlet, |token| {
                token.spec.provider_ref.kind == ProviderKind::OAuthProvider
                    && token.namespace() == namespace
                    && token.spec.provider_ref.name == provider.name_any()
            });
            outlet.listener.provider_changed();
        }
    }

    pub(super) fn on_cluster_provider(
        &self,
        change: &Change<'_, ClusterOAuthProvider>,
        outlet: &Outlet,
    ) {
        let provider = change.object();
        if let Change::Gone(gone) = change {
            self.endpoints()
                .forget(ProviderKind::ClusterOAuthProvider, &gone.uid().unwrap_or_default());
        }
        if change.is_of_spec() {
            self.send_where(outlet, |token| {
                token.spec.provider_ref.kind == ProviderKind::ClusterOAuthProvider
                    && token.spec.provider_ref.name == provider.name_any()
            });
            for token in in_order(self.cluster_tokens().state()) {
                if token.spec.provider_ref.name == provider.name_any() {
                    outlet.send_both(&token);
                }
            }
            outlet.listener.provider_changed();
        }
    }

    pub(super) fn on_cluster_token(
        &self,
        change: &Change<'_, ClusterOAuthClientToken>,
        outlet: &Outlet,
    ) {
        if change.is_of_spec() {
            outlet.listener.provider_changed();
        }
        match change {
            Change::Set { before, now } => {
                if before.as_ref().is_none_or(|before| concerns(before.meta(), now.meta())) {
                    outlet.send_both(now);
                }
            }
            Change::Gone(token) => {
                self.secrets.refer(&Trigger::grant_of(token), Vec::new());
                self.secrets.refer(&Trigger::copies_of(token), Vec::new());
                outlet.listener.cluster_token_gone(token);
                outlet.send_both(token);
            }
        }
    }

    /// A namespace's labels say which cluster tokens select it and which cluster providers admit
    /// it; and to one that goes nothing is written.
    pub(super) fn on_namespace(
        &self,
        change: &Change<'_, PartialObjectMeta<Namespace>>,
        outlet: &Outlet,
    ) {
        let former = match change {
            Change::Set { before: Some(before), now } => {
                let goes = |n: &PartialObjectMeta<Namespace>| n.metadata.deletion_timestamp.clone();
                if before.labels() == now.labels() && goes(before) == goes(now) {
                    return;
                }
                Some(before.labels())
            }
            _ => None,
        };
        let (name, now) = (change.object().name_any(), change.object().labels());
        let labels = [former, Some(now)];
        for token in in_order(self.cluster_tokens().state()) {
            let Ok(selector) = token.selector() else { continue };
            if labels.iter().flatten().any(|labels| selector.matches(labels)) {
                outlet.send_both(&token);
            }
        }
        self.send_where(outlet, |token| {
            token.spec.provider_ref.kind == ProviderKind::ClusterOAuthProvider
                && token.namespace().as_deref() == Some(&name)
        });
    }

    /// What is made from a token may be possible now, or not any more. Where no token is made from
    /// another, which is the rule, nobody is searched for.
    fn send_descendants(&self, outlet: &Outlet, ancestor: &OAuthClientToken) {
        if !ancestor.spec.token_refs.is_empty() {
            self.chained.store(true, Ordering::Relaxed);
        }
        if !self.chained.load(Ordering::Relaxed) {
            return;
        }
        let namespace = ancestor.namespace();
        let mut children: HashMap<String, Vec<Arc<OAuthClientToken>>> = HashMap::new();
        for token in self.tokens().each().filter(|t| t.namespace() == namespace) {
            for parent in token.spec.token_refs.values() {
                children.entry(parent.name.clone()).or_default().push(Arc::clone(&token));
            }
        }
        let mut next = vec![ancestor.name_any()];
        while let Some(name) = next.pop() {
            // Taken out, so that nobody is looked at twice.
            for child in children.remove(&name).unwrap_or_default() {
                outlet.send(Trigger::of(&child));
                next.push(child.name_any());
            }
        }
    }

    /// Whoever waits for the same target, or is waited for.
    fn send_rivals(&self, outlet: &Outlet, token: &OAuthClientToken) {
        let own = Trigger::of(token);
        for user in self.secrets.users(&target_of(token)) {
            if user != own && matches!(user, Trigger::Token { .. }) {
                outlet.send(user);
            }
        }
    }

    fn send_where(&self, outlet: &Outlet, concerns: impl Fn(&OAuthClientToken) -> bool) {
        for token in self.tokens().each().filter(|token| concerns(token)) {
            outlet.send(Trigger::of(&token));
        }
    }
}

impl Outlet {
    pub(super) fn send(&self, token: Trigger) {
        self.triggers.send(token);
    }

    pub(super) fn send_both(&self, token: &ClusterOAuthClientToken) {
        self.triggers.send_both(token);
    }
}

/// What happened to one object.
pub(super) enum Change<'a, K> {
    Set { before: Option<Arc<K>>, now: &'a K },
    Gone(&'a K),
}

impl<'a, K: Resource> Change<'a, K> {
    fn object(&self) -> &'a K {
        match self {
            Self::Set { now, .. } => now,
            Self::Gone(gone) => gone,
        }
    }

    /// Whether it is more than a change of status, labels or annotations.
    fn is_of_spec(&self) -> bool {
        match self {
            Self::Set { before: Some(before), now } => {
                before.meta().generation != now.meta().generation
                    || before.meta().uid != now.meta().uid
            }
            _ => true,
        }
    }
}

/// Whether a change of a token is one to act on: our own writes of the status are not, nor are
/// a person's labels.
fn concerns(before: &ObjectMeta, now: &ObjectMeta) -> bool {
    let request = |meta: &ObjectMeta| meta.annotations.as_ref()?.get(REFRESH_REQUESTED_AT).cloned();
    let held = |meta: &ObjectMeta| meta.finalizers.iter().flatten().any(|f| f == REVOKE_FINALIZER);
    before.generation != now.generation
        || before.uid != now.uid
        || before.deletion_timestamp != now.deletion_timestamp
        || request(before) != request(now)
        // Which does not bump the generation.
        || held(before) != held(now)
}
