//! What does not fit together of cluster tokens.

use kube::core::SelectorExt;

use super::cross::Check;
use super::sourced::Sourced;
use crate::api::{ClusterOAuthClientToken, ClusterOAuthProvider, ProviderKind};
use crate::decide::client;
use crate::oauth::Asking;
use crate::watch::shape;

const SELECTOR: &str = "spec.namespaceSelector";

impl Check<'_> {
    pub(super) fn cluster_token(&mut self, token: &Sourced<ClusterOAuthClientToken>) {
        let kind = ProviderKind::ClusterOAuthProvider;
        let key = (String::new(), token.object.spec.provider_ref.name.clone());
        if let Err(error) = token.object.selector() {
            self.say(token, SELECTOR, format!("cannot be read: {error}"));
        }
        let platform = self.platform_namespace;
        let endpoint = self.endpoints.get(&(kind, key.clone())).cloned();
        let pattern = token.object.pattern(platform);
        if let Err(error) = shape(&pattern.spec, endpoint.as_deref()) {
            self.report(token, &error);
        }
        if !self.provider_exists(token, kind, &key) {
            return;
        }
        let Some(provider) = self.manifests.cluster_providers.get(&key) else { return };
        self.admission_of(token, &provider.object);
        let grant = token.object.grant(platform);
        let credentials = match client(&provider.object.spec, &grant.spec, (platform, platform)) {
            Ok(credentials) => credentials,
            Err(error) => return self.report(token, &error),
        };
        let Some(endpoint) = endpoint else { return };
        if let Err(error) = endpoint.check(&Asking::of(&grant.spec)) {
            self.report(token, &error);
        }
        match &credentials {
            // The provider's own are judged once, with it.
            Some(source) if grant.spec.credentials_secret_ref.is_some() => {
                self.credentials(token, source, &endpoint);
            }
            Some(_) => {}
            None => {
                if let Err(error) = endpoint.needs().without_credentials() {
                    self.report(token, &error);
                }
            }
        }
    }

    /// Whether the provider admits the namespaces among the manifests that the token selects.
    /// Others may be on the cluster.
    fn admission_of(
        &mut self,
        token: &Sourced<ClusterOAuthClientToken>,
        provider: &ClusterOAuthProvider,
    ) {
        let Ok(selector) = token.object.selector() else { return };
        let Some(admitted) =
            provider.spec.usage.as_ref().and_then(|usage| usage.selector().ok()?)
        else {
            let message = "the ClusterOAuthProvider admits no namespace: its \
                           spec.usage.namespaceSelector is missing or cannot be read";
            return self.say(token, "spec.providerRef.name", message);
        };
        let manifests = self.manifests;
        for (_, name) in manifests.namespaces.keys() {
            let labels = manifests.namespace_labels(name);
            if selector.matches(&labels) && !admitted.matches(&labels) {
                let message = format!("the ClusterOAuthProvider does not admit namespace {name:?}");
                self.warn(token, SELECTOR, message);
            }
        }
    }
}
