//! Compiled provider documents, made once for each generation of a provider.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

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

type Compiled = Result<Arc<Endpoint>, Error>;

/// A cache of compiled documents.
#[derive(Debug, Default)]
pub struct Endpoints(Mutex<HashMap<(ProviderKind, String), (i64, Compiled)>>);

impl Endpoints {
    /// The endpoint of a provider, or what is wrong with its document.
    pub fn get(&self, version: &Version, document: &ProviderDocument) -> Compiled {
        let key = (version.kind, version.uid.clone());
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((generation, compiled)) = cache.get(&key)
            && *generation == version.generation
        {
            return compiled.clone();
        }
        let compiled = compile(document, version.kind);
        cache.insert(key, (version.generation, compiled.clone()));
        compiled
    }

    /// Forgets a provider that is gone.
    pub fn forget(&self, kind: ProviderKind, uid: &str) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
