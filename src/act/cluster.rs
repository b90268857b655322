//! The cluster edge: Secrets behind the API server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::Api;
use kube::{Client, Config};
use secrecy::{SecretBox, SecretString};
use tokio::sync::Semaphore;

use super::{Edge, Kept, Restart, TargetWrite, Version, Writing, refuse_privileged_type};
use crate::api::annotations::Owner;
use crate::api::{OAuthClientToken, ServiceAccountRef};
use crate::decide::{FinalizerChange, Holder, Restarts, SecretKey, Spacing, TargetMeta, holder};
use crate::error::{Class, Error, Reason};
use crate::oauth::Credentials;
use crate::render::Data;
use crate::runtime::{Access, ApiError, Lead, in_time};
use crate::watch::SecretIndex;

/// Reads and writes Secrets.
pub struct ClusterEdge {
    pub(super) client: Client,
    /// How to reach the API server as nobody.
    pub(super) anonymous: Config,
    /// Is told of our own writes at once, long before the watch is.
    pub(super) index: Arc<SecretIndex>,
    in_flight: Arc<Semaphore>,
    restarts: Mutex<Spacing>,
    /// The operator's own namespace.
    pub(super) home: String,
    /// Whether nobody else writes.
    pub(super) lead: Lead,
}

impl ClusterEdge {
    /// An edge that keeps `index` informed.
    pub fn new(access: Access, index: Arc<SecretIndex>) -> Self {
        let Access { client, anonymous, places } = access;
        Self {
            client,
            anonymous,
            index,
            in_flight: places,
            restarts: Mutex::default(),
            home: "default".to_owned(),
            lead: Lead::unopposed(),
        }
    }

    /// The same, of an operator whose own namespace this is.
    #[must_use]
    pub fn at_home_in(self, namespace: &str) -> Self {
        Self { home: namespace.to_owned(), ..self }
    }

    /// The same, of a process that may have to yield to another.
    #[must_use]
    pub fn under(self, lead: Lead) -> Self {
        Self { lead, ..self }
    }

    pub(super) fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Makes an API request, bounded in number and time.
    pub(super) async fn call<T>(
        &self,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ApiError> {
        self.slot(in_time(request)).await
    }

    /// Waits for a place among the API requests under way.
    pub(super) async fn slot<T>(&self, work: impl Future<Output = T>) -> T {
        let _place = self.in_flight.acquire().await;
        work.await
    }

    /// When there is a place among the restarts of all workloads, where there is none now.
    pub(super) fn restarts_full_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner).full_until(now)
    }

    /// Takes a place among the restarts of all workloads, or tells when there is one.
    pub(super) fn take_restart(&self, now: DateTime<Utc>) -> Result<(), DateTime<Utc>> {
        self.restarts.lock().unwrap_or_else(PoisonError::into_inner).take(now)
    }

    /// Looks at a Secret's metadata and tells the index.
    pub async fn look(&self, key: &SecretKey) -> Result<Option<TargetMeta>, Error> {
        let api = self.secrets(&key.namespace);
        let found = self.call(api.get_metadata_opt(&key.name)).await;
        let found = found.map_err(|error| read_failed(key, &error))?;
        Ok(self.index.note_read(key, found.as_ref()))
    }

    pub(super) async fn get(&self, key: &SecretKey) -> Result<Option<Secret>, Error> {
        let api = self.secrets(&key.namespace);
        self.call(api.get_opt(&key.name)).await.map_err(|error| read_failed(key, &error))
    }

    /// The keys of a target that are the owner's.
    async fn own(
        &self,
        key: &SecretKey,
        owner: &Owner,
    ) -> Result<Option<BTreeMap<String, ByteString>>, Error> {
        let Some(secret) = self.get(key).await? else { return Ok(None) };
        let meta = TargetMeta::of(&secret.metadata).seen_by(owner);
        let is_whole = holder(&meta, owner) == Holder::Us;
        if !is_whole && meta.owned_keys.is_empty() {
            return Ok(None);
        }
        refuse_privileged(key, &secret)?;
        let mut data = secret.data.unwrap_or_default();
        data.retain(|key, _| is_whole || meta.owned_keys.contains(key));
        Ok(Some(data))
    }
}

impl Edge for ClusterEdge {
    async fn credentials(&self, key: &SecretKey) -> Result<Credentials, Error> {
        let secret = self.get(key).await?.ok_or_else(|| {
            let message = format!("credentials Secret {key} does not exist");
            Error::new(Reason::CredentialsNotFound, message)
        })?;
        refuse_privileged(key, &secret)?;
        let values = secret.data.unwrap_or_default().into_iter();
        let values =
            values.map(|(name, ByteString(value))| (name, SecretBox::new(Box::new(value))));
        Ok(Credentials::new(key.to_string(), values.collect()))
    }

    async fn service_account_token(
        &self,
        namespace: &str,
        account: &ServiceAccountRef,
    ) -> Result<SecretString, Error> {
        self.token_of_account(namespace, account).await
    }

    async fn renewed(&self, credentials: &SecretKey) -> Result<Option<Kept>, Error> {
        self.renewed_of(credentials).await
    }

    async fn keep(
        &self,
        credentials: &SecretKey,
        kept: &Kept,
        how: Writing,
    ) -> Result<Option<String>, Error> {
        self.keep_of(credentials, kept, how).await
    }

    async fn accounts(&self) -> Result<(Version, Option<Vec<u8>>), Error> {
        self.read_accounts().await
    }

    async fn keep_accounts(&self, before: &Version, text: &[u8]) -> Result<Option<Version>, Error> {
        self.write_accounts(before, text).await
    }

    async fn change_finalizer(
        &self,
        token: &OAuthClientToken,
        change: FinalizerChange,
    ) -> Result<(), Error> {
        self.change_finalizer_of(token, change).await
    }

    async fn restart(&self, wanted: Restart<'_>) -> Result<Restarts, Error> {
        self.restart_of(wanted).await
    }

    async fn nudge(&self, target: &SecretKey, now: DateTime<Utc>) -> Result<(), Error> {
        self.nudge_of(target, now).await
    }

    async fn inspect(&self, key: &SecretKey) -> Result<BTreeSet<String>, Error> {
        self.inspect_target(key).await
    }

    async fn write(&self, write: TargetWrite) -> Result<(), Error> {
        // Apart, for with it what every token waits in would be large.
        Box::pin(self.write_target(&write)).await
    }

    async fn read(&self, key: &SecretKey, owner: &Owner) -> Result<Option<Data>, Error> {
        let Some(data) = self.own(key, owner).await? else { return Ok(None) };
        let data = data.into_iter();
        Ok(Some(
            data.filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?.into())))
                .collect(),
        ))
    }

    async fn leave(&self, key: &SecretKey, owner: &Owner) -> Result<(), Error> {
        Box::pin(self.leave_target(key, owner)).await
    }
}

pub(super) fn refuse_privileged(key: &SecretKey, secret: &Secret) -> Result<(), Error> {
    refuse_privileged_type(key, secret.type_.as_deref())
}

pub(super) fn read_failed(key: &SecretKey, error: &ApiError) -> Error {
    let class = match error {
        ApiError::Refused(status) if status.is_forbidden() => Class::Permanent,
        _ => Class::Transient,
    };
    let message = format!("Secret {key} could not be read: {error}");
    Error::new(Reason::ReadFailed, message).with_class(class)
}

pub(super) fn write_failed(key: &SecretKey, error: &ApiError) -> Error {
    let class = match error {
        // A quota, a policy or RBAC: a person's matter.
        ApiError::Refused(status) if status.is_forbidden() || status.is_invalid() => {
            Class::Permanent
        }
        _ => Class::Transient,
    };
    let message = format!("Secret {key} could not be written: {error}");
    Error::new(Reason::WriteFailed, message).with_class(class)
}
