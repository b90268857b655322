//! The edge of a rehearsal: credentials from manifests, tokens in memory, and nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::act::{ClusterEdge, Edge, Kept, Restart, TargetWrite, Version, Writing};
use crate::api::annotations::Owner;
use crate::api::{OAuthClientToken, ServiceAccountRef, keys};
use crate::decide::{FinalizerChange, Restarts, SecretKey};
use crate::error::{Error, Reason};
use crate::local::Source;
use crate::oauth::Credentials;
use crate::render::Data;

/// Reads what manifests say, and remembers the tokens of this run.
pub(super) struct MemoryEdge {
    pub(super) source: Source,
    /// By namespace and name of their resources.
    tokens: Mutex<BTreeMap<(String, String), SecretString>>,
    /// Where ServiceAccounts are, if anywhere.
    cluster: Option<ClusterEdge>,
}

impl MemoryEdge {
    pub(super) fn new(source: Source, cluster: Option<ClusterEdge>) -> Self {
        Self { source, tokens: Mutex::default(), cluster }
    }

    /// Whether ServiceAccounts' tokens can be had.
    pub(super) fn has_api_server(&self) -> bool {
        self.cluster.is_some()
    }

    /// Remembers a token for those that are made from it.
    pub(super) fn remember(&self, key: (String, String), token: SecretString) {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(key, token);
    }
}

impl Edge for MemoryEdge {
    async fn credentials(&self, key: &SecretKey) -> Result<Credentials, Error> {
        self.source.credentials(key)
    }

    async fn service_account_token(
        &self,
        namespace: &str,
        account: &ServiceAccountRef,
    ) -> Result<SecretString, Error> {
        if let Some(cluster) = &self.cluster {
            return cluster.service_account_token(namespace, account).await;
        }
        let message = format!(
            "spec.serviceAccountRef: a token of ServiceAccount {:?} is had from a cluster's API \
             server only, not from manifests",
            account.name
        );
        Err(Error::new(Reason::InvalidSpec, message))
    }

    async fn renewed(&self, _: &SecretKey) -> Result<Option<Kept>, Error> {
        Ok(None)
    }

    async fn keep(&self, _: &SecretKey, _: &Kept, _: Writing) -> Result<Option<String>, Error> {
        Err(writes_nothing())
    }

    async fn accounts(&self) -> Result<(Version, Option<Vec<u8>>), Error> {
        Ok((Version::default(), None))
    }

    async fn keep_accounts(&self, _: &Version, _: &[u8]) -> Result<Option<Version>, Error> {
        Err(writes_nothing())
    }

    async fn change_finalizer(
        &self,
        _: &OAuthClientToken,
        _: FinalizerChange,
    ) -> Result<(), Error> {
        Err(writes_nothing())
    }

    async fn restart(&self, _: Restart<'_>) -> Result<Restarts, Error> {
        Err(writes_nothing())
    }

    async fn nudge(&self, _: &SecretKey, _: DateTime<Utc>) -> Result<(), Error> {
        Err(writes_nothing())
    }

    async fn inspect(&self, _: &SecretKey) -> Result<BTreeSet<String>, Error> {
        Ok(BTreeSet::new())
    }

    async fn write(&self, _: TargetWrite) -> Result<(), Error> {
        Err(writes_nothing())
    }

    async fn read(&self, _: &SecretKey, owner: &Owner) -> Result<Option<Data>, Error> {
        let key = (owner.namespace.clone(), owner.name.clone());
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(&key).cloned();
        Ok(token.map(|token| Data::from([(keys::ACCESS_TOKEN.to_owned(), token)])))
    }

    async fn leave(&self, _: &SecretKey, _: &Owner) -> Result<(), Error> {
        Err(writes_nothing())
    }
}

fn writes_nothing() -> Error {
    Error::new(Reason::WriteFailed, "a check writes nothing")
}
