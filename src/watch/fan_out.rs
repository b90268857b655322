//! What the caches say of cluster tokens: their provider, and the namespaces that they select.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::stream::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::core::{PartialObjectMeta, SelectorExt};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;

use super::assemble::Resolved;
use super::caches::Caches;
use super::reactions::Outlet;
use super::streams::Watched;
use crate::api::{ClusterOAuthClientToken, ClusterOAuthProvider, Usage};
use crate::decide::{SecretKey, client, not_admitted, unreadable_selector};
use crate::error::{Class, Error, Reason};

/// A selected namespace, and whether the provider admits it.
pub type Selected = (String, Result<(), Error>);

impl Caches {
    /// The cluster tokens.
    pub fn cluster_tokens(&self) -> &Store<ClusterOAuthClientToken> {
        &self.cluster_tokens
    }

    /// Where the grant's credentials and the master copies lie.
    pub fn cluster_resource_namespace(&self) -> &str {
        &self.settings.cluster_resource_namespace
    }

    /// The provider and credentials of a cluster token's grant, or why nothing is asked for.
    pub fn resolve_grant(&self, token: &ClusterOAuthClientToken) -> Result<Resolved, Error> {
        let provider = self.provider_of(token)?;
        let selected = self.selected(token)?;
        if selected.is_empty() {
            let message = "spec.namespaceSelector picks no namespace: nobody would get the token";
            return Err(Error::new(Reason::NoNamespaceSelected, message));
        }
        if selected.iter().all(|(_, admission)| admission.is_err()) {
            let message = format!(
                "the ClusterOAuthProvider admits none of the namespaces that \
                 spec.namespaceSelector picks ({}): its spec.usage.namespaceSelector must match \
                 their labels",
                selected.len()
            );
            return Err(Error::new(Reason::NamespaceNotAdmitted, message));
        }
        let platform = &self.settings.cluster_resource_namespace;
        let grant = token.grant(platform);
        let credentials = client(&provider.spec, &grant.spec, (platform, platform))?;
        let endpoint = self.cluster_endpoint(&provider)?;
        let provider = token.spec.provider_ref.name.clone();
        Ok(Resolved { provider, endpoint, credentials, parents: Vec::new() })
    }

    /// The namespaces that a cluster token selects, by name; an error where that cannot be told.
    pub fn selected(&self, token: &ClusterOAuthClientToken) -> Result<Vec<Selected>, Error> {
        // Whoever is not known yet must not be taken for one that is not selected.
        if !self.namespaces_listed.load(Ordering::Acquire) {
            let message = "the namespaces of the cluster have not been listed yet";
            return Err(Error::new(Reason::ReadFailed, message).with_class(Class::Waiting));
        }
        let provider = self.provider_of(token)?;
        let selector = token.selector().map_err(|error| {
            let message = format!("spec.namespaceSelector cannot be read: {error}");
            Error::new(Reason::InvalidSpec, message)
        })?;
        let admitted = provider.spec.usage.as_ref().map(Usage::selector).transpose();
        let admitted = admitted.map_err(|error| unreadable_selector(&error))?.flatten();
        let mut selected: Vec<Selected> = self
            .namespaces
            .state()
            .iter()
            .filter(|namespace| self.is_open(namespace) && selector.matches(namespace.labels()))
            .map(|namespace| {
                let name = namespace.name_any();
                let is_admitted = admitted.as_ref().is_some_and(|a| a.matches(namespace.labels()));
                let admission = if is_admitted { Ok(()) } else { Err(not_admitted(&name)) };
                (name, admission)
            })
            .collect();
        selected.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(selected)
    }

    /// Notes when all namespaces have been listed for the first time: from then on it can be told
    /// who is selected.
    pub(super) fn hear_of_list(
        self: &Arc<Self>,
        namespaces: Watched<PartialObjectMeta<Namespace>>,
        outlet: &Outlet,
    ) -> Watched<PartialObjectMeta<Namespace>> {
        let (caches, outlet) = (Arc::clone(self), outlet.clone());
        let heard = namespaces.inspect(move |event| {
            let done = matches!(event, Ok(Event::InitDone));
            if done && !caches.namespaces_listed.swap(true, Ordering::AcqRel) {
                for token in caches.cluster_tokens.state() {
                    outlet.send_both(&token);
                }
            }
        });
        heard.boxed()
    }

    /// The Secrets that a cluster token's grant refers to.
    pub fn secrets_of_grant(&self, token: &ClusterOAuthClientToken) -> Vec<SecretKey> {
        let namespace = self.settings.cluster_resource_namespace.clone();
        let master = SecretKey { namespace: namespace.clone(), name: token.master_name() };
        let own =
            token.spec.credentials_secret_ref.as_ref().map(|reference| reference.name.clone());
        let credentials = own.or_else(|| {
            let provider = self.provider_of(token).ok()?;
            Some(provider.spec.credentials_secret_ref.as_ref()?.name.clone())
        });
        let credentials = credentials.map(|name| SecretKey { namespace, name });
        std::iter::once(master).chain(credentials).collect()
    }

    /// Whether Secrets may be written to a namespace: it is one of this operator's, and stays.
    fn is_open(&self, namespace: &PartialObjectMeta<Namespace>) -> bool {
        let name = namespace.name_any();
        let is_ours = self.settings.scopes.iter().any(|scope| scope.contains(&name));
        is_ours && namespace.metadata.deletion_timestamp.is_none()
    }

    fn provider_of(
        &self,
        token: &ClusterOAuthClientToken,
    ) -> Result<Arc<ClusterOAuthProvider>, Error> {
        self.cluster_provider(&token.spec.provider_ref.name)
    }

    pub(super) fn cluster_provider(&self, name: &str) -> Result<Arc<ClusterOAuthProvider>, Error> {
        let providers = self.cluster_providers();
        providers.get(&ObjectRef::new(name)).ok_or_else(|| {
            let message = format!("ClusterOAuthProvider {name:?} does not exist");
            Error::new(Reason::ProviderNotFound, message)
        })
    }
}

#[cfg(test)]
#[path = "fan_out_tests.rs"]
mod tests;
