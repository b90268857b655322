//! What the manifests say, ready to be acted on.

use std::collections::HashMap;
use std::sync::Arc;

use kube::ResourceExt;

use crate::act::refuse_privileged_type;
use crate::api::{OAuthClientToken, ProviderKind};
use crate::decide::{Applicant, CredentialsSource, SecretKey, admit, own_credentials, parents};
use crate::error::{Error, Reason, nearest};
use crate::manifests::{Key, Manifests, SecretManifest};
use crate::oauth::{Credentials, Digester, Endpoint};
use crate::watch::{Resolved, compile};

type Endpoints = HashMap<Key, Result<Arc<Endpoint>, Error>>;

/// What the manifests say.
#[derive(Debug)]
pub struct Source {
    manifests: Manifests,
    tokens: Vec<Arc<OAuthClientToken>>,
    providers: Endpoints,
    cluster_providers: Endpoints,
    /// Where the platform's own credentials lie.
    platform_namespace: String,
}

impl Source {
    /// Makes manifests ready.
    pub fn new(manifests: Manifests, platform_namespace: &str) -> Self {
        let tokens =
            manifests.tokens.values().map(|token| Arc::new(token.object.clone())).collect();
        let namespaced = manifests.providers.iter().map(|(key, provider)| {
            (key.clone(), compile(&provider.object.spec.document, ProviderKind::OAuthProvider))
        });
        let cluster = manifests.cluster_providers.iter().map(|(key, provider)| {
            (
                key.clone(),
                compile(&provider.object.spec.document, ProviderKind::ClusterOAuthProvider),
            )
        });
        let (providers, cluster_providers) = (namespaced.collect(), cluster.collect());
        let platform_namespace = platform_namespace.to_owned();
        Self { manifests, tokens, providers, cluster_providers, platform_namespace }
    }

    /// The tokens.
    pub(crate) fn tokens(&self) -> &[Arc<OAuthClientToken>] {
        &self.tokens
    }

    /// A token's provider and credentials, or why it may not or cannot use them.
    pub(crate) fn resolve(&self, token: &OAuthClientToken) -> Result<Resolved, Error> {
        let (endpoint, credentials) = self.provider(token)?;
        let namespace = token.namespace();
        let provider = token.spec.provider_ref.full_name(namespace.as_deref().unwrap_or_default());
        let parents = parents(token, |name| {
            let mut beside = self.tokens.iter().filter(|other| other.namespace() == namespace);
            beside.find(|other| other.name_any() == name).cloned()
        })?;
        Ok(Resolved { provider, endpoint, credentials, parents })
    }

    fn provider(
        &self,
        token: &OAuthClientToken,
    ) -> Result<(Arc<Endpoint>, Option<CredentialsSource>), Error> {
        let namespace = token.namespace().unwrap_or_default();
        let (kind, key) = Manifests::provider_key(token);
        match kind {
            ProviderKind::OAuthProvider => {
                let endpoint = found(&self.providers, kind, &key)?;
                Ok((endpoint.clone()?, own_credentials(&token.spec, &namespace)))
            }
            ProviderKind::ClusterOAuthProvider => {
                let endpoint = found(&self.cluster_providers, kind, &key)?;
                let labels = self.manifests.namespace_labels(&namespace);
                let applicant =
                    Applicant { token: &token.spec, namespace: &namespace, labels: &labels };
                let spec =
                    self.manifests.cluster_providers.get(&key).map(|found| &found.object.spec);
                // The same manifests that the endpoint is from.
                let spec = spec.ok_or_else(|| in_no_manifest(kind, &key, ""))?;
                let credentials = admit(spec, applicant, &self.platform_namespace)?;
                Ok((endpoint.clone()?, credentials))
            }
        }
    }

    /// The values of a credentials Secret.
    pub(crate) fn credentials(&self, key: &SecretKey) -> Result<Credentials, Error> {
        let secret = self.secret(key)?;
        refuse_privileged_type(key, Some(&secret.type_))?;
        Ok(secret.credentials())
    }

    /// Something that changes whenever the credentials do.
    pub(super) fn version(&self, key: &SecretKey, digester: &Digester) -> Result<String, Error> {
        Ok(digester.values(&self.secret(key)?.values))
    }

    fn secret(&self, key: &SecretKey) -> Result<&SecretManifest, Error> {
        let secrets = &self.manifests.secrets;
        let wanted = (key.namespace.clone(), key.name.clone());
        secrets.get(&wanted).map(|secret| &secret.object).ok_or_else(|| {
            let beside = secrets.keys().filter(|(namespace, _)| *namespace == key.namespace);
            let hint = nearest(&key.name, beside.map(|(_, name)| name.as_str()));
            let message = format!("credentials Secret {key} is in no manifest{hint}");
            Error::new(Reason::CredentialsNotFound, message)
        })
    }
}

fn found<'a>(
    endpoints: &'a Endpoints,
    kind: ProviderKind,
    key: &Key,
) -> Result<&'a Result<Arc<Endpoint>, Error>, Error> {
    endpoints.get(key).ok_or_else(|| {
        let beside = endpoints.keys().filter(|(namespace, _)| *namespace == key.0);
        let hint = nearest(&key.1, beside.map(|(_, name)| name.as_str()));
        in_no_manifest(kind, key, &hint)
    })
}

fn in_no_manifest(kind: ProviderKind, key: &Key, hint: &str) -> Error {
    let message = format!("{} {:?} is in no manifest{hint}", kind.as_str(), key.1);
    Error::new(Reason::ProviderNotFound, message)
}
