//! Compiled provider documents, made once for each generation of a provider.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::Resource;

use super::policy::ProviderPolicy;
use crate::api::{ProviderDocument, ProviderKind};
use crate::catalogue;
use crate::error::Error;
use crate::oauth::{Endpoint, Provenance};

/// Which provider, and which state of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    /// Its kind.
    pub kind: ProviderKind,
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
}

impl Version {
    /// The state of a provider.
    pub fn of<K: Resource>(provider: &K, kind: ProviderKind) -> Self {
        let meta = provider.meta();
        Self {
            kind,
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
        }
    }
}

type Compiled = Result<Arc<Endpoint>, Error>;

/// A cache of compiled documents.
#[derive(Debug, Default)]
pub struct Endpoints {
    policy: ProviderPolicy,
    compiled: Mutex<HashMap<(ProviderKind, String), (i64, Compiled)>>,
}

impl Endpoints {
    /// An empty cache under a policy for namespaced providers.
    pub fn under(policy: ProviderPolicy) -> Self {
        Self { policy, compiled: Mutex::default() }
    }

    /// The endpoint of a provider, or what is wrong with its document.
    pub fn get(&self, version: &Version, document: &ProviderDocument) -> Compiled {
        let key = (version.kind, version.uid.clone());
        let mut cache = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((generation, compiled)) = cache.get(&key)
            && *generation == version.generation
        {
            return compiled.clone();
        }
        let compiled = self.compile(document, version.kind);
        cache.insert(key, (version.generation, compiled.clone()));
        compiled
    }

    fn compile(&self, document: &ProviderDocument, kind: ProviderKind) -> Compiled {
        let endpoint = compile(document, kind)?;
        if kind == ProviderKind::OAuthProvider {
            self.policy.judge(document, &endpoint)?;
        }
        Ok(endpoint)
    }

    /// Forgets a provider that is gone.
    pub fn forget(&self, kind: ProviderKind, uid: &str) {
        let mut cache = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        cache.remove(&(kind, uid.to_owned()));
    }
}

/// Merges and checks a document.
pub fn compile(document: &ProviderDocument, kind: ProviderKind) -> Compiled {
    let provenance = match kind {
        ProviderKind::OAuthProvider => Provenance::Namespaced,
        ProviderKind::ClusterOAuthProvider => Provenance::Cluster,
    };
    let merged = catalogue::merge(document)?;
    Endpoint::compile(merged, provenance).map(Arc::new)
}
