//! What the manifests say, by name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kube::ResourceExt;
use secrecy::{ExposeSecret, SecretBox};

use crate::act::refuse_privileged_type;
use crate::api::{ClusterOAuthProvider, OAuthClientToken, OAuthProvider, ProviderKind};
use crate::decide::{Applicant, SecretKey, admit, own_credentials};
use crate::error::{Error, Reason, nearest};
use crate::oauth::{CredentialValues, Credentials, Digester, Endpoint};
use crate::watch::Resolved;

/// The namespace of the platform's own credentials, as an operator's would be.
const PLATFORM_NAMESPACE: &str = "default";

/// What the manifests say.
#[derive(Debug, Default)]
pub struct Source {
    pub(super) tokens: Vec<Arc<OAuthClientToken>>,
    providers: HashMap<SecretKey, (OAuthProvider, Result<Arc<Endpoint>, Error>)>,
    cluster_providers: HashMap<String, (ClusterOAuthProvider, Result<Arc<Endpoint>, Error>)>,
    secrets: HashMap<SecretKey, LocalSecret>,
    namespaces: HashMap<String, BTreeMap<String, String>>,
}

/// A Secret of the manifests.
pub(super) struct LocalSecret {
    pub(super) type_: Option<String>,
    pub(super) values: CredentialValues,
}

impl std::fmt::Debug for LocalSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalSecret").field("type", &self.type_).finish_non_exhaustive()
    }
}

impl Source {
    /// A token's provider and credentials, or why it may not or cannot use them.
    pub(super) fn resolve(&self, token: &OAuthClientToken) -> Result<Resolved, Error> {
        let namespace = token.namespace().unwrap_or_default();
        let reference = &token.spec.provider_ref;
        match reference.kind {
            ProviderKind::OAuthProvider => {
                let key = SecretKey { namespace: namespace.clone(), name: reference.name.clone() };
                let (_, endpoint) = self.providers.get(&key).ok_or_else(|| self.not_found(&key))?;
                let credentials = own_credentials(&token.spec, &namespace)?;
                Ok(Resolved { endpoint: endpoint.clone()?, credentials })
            }
            ProviderKind::ClusterOAuthProvider => {
                let found = self.cluster_providers.get(&reference.name);
                let (provider, endpoint) = found.ok_or_else(|| {
                    let hint =
                        nearest(&reference.name, self.cluster_providers.keys().map(String::as_str));
                    let message = format!(
                        "ClusterOAuthProvider {:?} is in no manifest{hint}",
                        reference.name
                    );
                    Error::new(Reason::ProviderNotFound, message)
                })?;
                let unlabelled = BTreeMap::new();
                let labels = self.namespaces.get(&namespace).unwrap_or(&unlabelled);
                let applicant = Applicant { token: &token.spec, namespace: &namespace, labels };
                let credentials = admit(&provider.spec, applicant, PLATFORM_NAMESPACE)?;
                Ok(Resolved { endpoint: endpoint.clone()?, credentials })
            }
        }
    }

    fn not_found(&self, key: &SecretKey) -> Error {
        let others = self.providers.keys().filter(|other| other.namespace == key.namespace);
        let hint = nearest(&key.name, others.map(|other| other.name.as_str()));
        let message = format!(
            "OAuthProvider {:?} of namespace {:?} is in no manifest{hint}",
            key.name, key.namespace
        );
        Error::new(Reason::ProviderNotFound, message)
    }

    /// The values of a credentials Secret.
    pub(super) fn credentials(&self, key: &SecretKey) -> Result<Credentials, Error> {
        let secret = self.secrets.get(key).ok_or_else(|| self.no_credentials(key))?;
        refuse_privileged_type(key, secret.type_.as_deref())?;
        let copy =
            |value: &SecretBox<Vec<u8>>| SecretBox::new(Box::new(value.expose_secret().clone()));
        let values = secret.values.iter().map(|(name, value)| (name.clone(), copy(value)));
        Ok(Credentials::new(key.to_string(), values.collect()))
    }

    fn no_credentials(&self, key: &SecretKey) -> Error {
        let others = self.secrets.keys().filter(|other| other.namespace == key.namespace);
        let hint = nearest(&key.name, others.map(|other| other.name.as_str()));
        Error::new(
            Reason::CredentialsNotFound,
            format!("credentials Secret {key} is in no manifest{hint}"),
        )
    }

    /// Something that changes whenever the credentials do.
    pub(super) fn version(&self, key: &SecretKey, digester: &Digester) -> Result<String, Error> {
        let secret = self.secrets.get(key).ok_or_else(|| self.no_credentials(key))?;
        Ok(digester.values(&secret.values))
    }
}
