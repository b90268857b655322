//! The cluster edge: Secrets behind the API server.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Client, Config, Resource, ResourceExt};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{Edge, Kept, TargetWrite, refuse_privileged_type};
use crate::api::annotations::Owner;
use crate::api::{MANAGED_BY, MANAGER, OAuthClientToken, ServiceAccountRef};
use crate::decide::{FinalizerChange, Holder, SecretKey, TargetMeta, holder, not_owned};
use crate::error::{Class, Error, Reason};
use crate::oauth::Credentials;
use crate::render::Data;
use crate::runtime::{Access, ApiError, in_time, names_uid};
use crate::watch::{SecretIndex, handed_over};

/// API requests of ours under way at once. More gains little: the API server is the bound.
const IN_FLIGHT: usize = 32;

/// How often a write is decided again because the target changed under it.
const WRITE_ROUNDS: usize = 4;

/// Reads and writes Secrets.
pub struct ClusterEdge {
    pub(super) client: Client,
    /// How to reach the API server as nobody.
    pub(super) anonymous: Config,
    /// Is told of our own writes at once, long before the watch is.
    index: Arc<SecretIndex>,
    in_flight: Semaphore,
}

/// What became of one round of a write.
enum Round {
    Written(Box<PartialObjectMeta<Secret>>),
    /// The target is not as it was: look again.
    Changed,
}

impl ClusterEdge {
    /// An edge that keeps `index` informed.
    pub fn new(access: Access, index: Arc<SecretIndex>) -> Self {
        let Access { client, anonymous } = access;
        Self { client, anonymous, index, in_flight: Semaphore::new(IN_FLIGHT) }
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

    async fn round(&self, write: &TargetWrite, seen: Option<&TargetMeta>) -> Result<Round, Error> {
        match seen {
            None => self.create(write).await,
            Some(meta) => {
                let holder = holder(meta, &write.owner);
                if let Holder::Another(whose) = holder {
                    return Err(not_owned(&write.key.name, &whose));
                }
                if meta.is_new_to(&write.owner, &holder) {
                    self.may_adopt(&write.key).await?;
                }
                match meta.controller.as_ref().is_some_and(|c| c.uid != write.owner.uid) {
                    true => self.reclaim(write, meta).await,
                    false => self.apply(write, meta).await,
                }
            }
        }
    }

    /// A new Secret is made by POST, so that a race with its true owner fails.
    async fn create(&self, write: &TargetWrite) -> Result<Round, Error> {
        let mut secret = secret(write);
        secret.type_ = Some("Opaque".to_owned());
        let parameters =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let api = self.secrets(&write.key.namespace);
        match self.call(api.create(&parameters, &secret)).await {
            Ok(made) => Ok(Round::Written(Box::new(without_values(made)))),
            Err(ApiError::Refused(status)) if status.is_already_exists() => Ok(Round::Changed),
            Err(error) => Err(write_failed(&write.key, &error)),
        }
    }

    /// A Secret that is there is applied to, as long as it is the very one that was looked at.
    async fn apply(&self, write: &TargetWrite, meta: &TargetMeta) -> Result<Round, Error> {
        let mut secret = secret(write);
        secret.metadata.uid = Some(meta.uid.clone());
        secret.metadata.resource_version = Some(meta.resource_version.clone());
        let api = self.secrets(&write.key.namespace);
        let parameters = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(&secret);
        match self.call(api.patch_metadata(&write.key.name, &parameters, &patch)).await {
            Ok(written) => Ok(Round::Written(Box::new(written))),
            // 409: another version, or gone. 422 on the uid: deleted and made again.
            Err(ApiError::Refused(status)) if status.is_conflict() => Ok(Round::Changed),
            Err(ApiError::Refused(status)) if names_uid(&status) => Ok(Round::Changed),
            Err(error) => Err(write_failed(&write.key, &error)),
        }
    }

    /// Restored from backup, a target refers to a former uid of its owner. An apply would add a
    /// second controller, which is refused: so the references are replaced first.
    async fn reclaim(&self, write: &TargetWrite, meta: &TargetMeta) -> Result<Round, Error> {
        let patch = Patch::Merge(json!({"metadata": {
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
            "ownerReferences": [owner_reference(&write.owner)],
        }}));
        let api = self.secrets(&write.key.namespace);
        let parameters =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        match self.call(api.patch_metadata(&write.key.name, &parameters, &patch)).await {
            Ok(_) => Ok(Round::Changed),
            // Garbage collection may be faster.
            Err(ApiError::Refused(status)) if status.is_conflict() || status.is_not_found() => {
                Ok(Round::Changed)
            }
            Err(error) => Err(write_failed(&write.key, &error)),
        }
    }

    /// Makes everything of ours one `Apply` entry in `managedFields`, where it is not. `None` where
    /// somebody was faster; the next write finds the entry again.
    async fn hand_over(
        &self,
        key: &SecretKey,
        written: PartialObjectMeta<Secret>,
    ) -> Option<PartialObjectMeta<Secret>> {
        let Some(entries) = written.metadata.managed_fields.as_deref().and_then(handed_over) else {
            return Some(written);
        };
        let operations = json!([
            {"op": "test", "path": "/metadata/uid", "value": written.metadata.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": written.metadata.resource_version},
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        ]);
        let patch: Patch<()> = Patch::Json(serde_json::from_value(operations).ok()?);
        let api = self.secrets(&key.namespace);
        let parameters =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.call(api.patch_metadata(&key.name, &parameters, &patch)).await.ok()
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

    /// A target that is the owner's, whole.
    async fn own(&self, key: &SecretKey, owner: &Owner) -> Result<Option<Secret>, Error> {
        let secret = self.get(key).await?;
        let is_own =
            |secret: &Secret| holder(&TargetMeta::of(&secret.metadata), owner) == Holder::Us;
        let Some(secret) = secret.filter(is_own) else { return Ok(None) };
        refuse_privileged(key, &secret)?;
        Ok(Some(secret))
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

    async fn keep(&self, credentials: &SecretKey, kept: &Kept) -> Result<(), Error> {
        self.keep_of(credentials, kept).await
    }

    async fn change_finalizer(
        &self,
        token: &OAuthClientToken,
        change: FinalizerChange,
    ) -> Result<(), Error> {
        self.change_finalizer_of(token, change).await
    }

    async fn may_adopt(&self, key: &SecretKey) -> Result<(), Error> {
        self.get(key).await?.map_or(Ok(()), |secret| refuse_privileged(key, &secret))
    }

    async fn write(&self, write: TargetWrite) -> Result<(), Error> {
        let mut seen = write.seen.clone();
        for _ in 0..WRITE_ROUNDS {
            match self.round(&write, seen.as_ref()).await? {
                Round::Written(written) => {
                    match self.hand_over(&write.key, *written).await {
                        Some(written) => {
                            self.index.note_written(&write.key, seen.as_ref(), &written);
                        }
                        // What it is now is looked up before the next decision.
                        None => self.index.forget(&write.key),
                    }
                    return Ok(());
                }
                Round::Changed => seen = self.look(&write.key).await?,
            }
        }
        let message = format!("Secret {} changes faster than it can be written", write.key);
        Err(Error::new(Reason::WriteFailed, message))
    }

    async fn read(&self, key: &SecretKey, owner: &Owner) -> Result<Option<Data>, Error> {
        let Some(secret) = self.own(key, owner).await? else { return Ok(None) };
        let data = secret.data.unwrap_or_default().into_iter();
        Ok(Some(
            data.filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?.into())))
                .collect(),
        ))
    }

    async fn remove(&self, key: &SecretKey, owner: &Owner) -> Result<(), Error> {
        let Some(secret) = self.own(key, owner).await? else {
            self.index.forget(key);
            return Ok(());
        };
        let preconditions =
            Preconditions { uid: secret.uid(), resource_version: secret.resource_version() };
        let parameters = DeleteParams::default().preconditions(preconditions);
        let api = self.secrets(&key.namespace);
        match self.call(api.delete(&key.name, &parameters)).await {
            Ok(_) => {}
            Err(ApiError::Refused(status)) if status.is_not_found() => {}
            Err(error) => return Err(write_failed(key, &error)),
        }
        self.index.note_removed(key);
        Ok(())
    }
}

fn secret(write: &TargetWrite) -> Secret {
    let annotations =
        write.annotations.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
    let data = write
        .data
        .iter()
        .map(|(key, value)| (key.clone(), ByteString(value.expose_secret().as_bytes().to_vec())));
    Secret {
        metadata: ObjectMeta {
            name: Some(write.key.name.clone()),
            namespace: Some(write.key.namespace.clone()),
            labels: Some(BTreeMap::from([(MANAGED_BY.to_owned(), MANAGER.to_owned())])),
            annotations: Some(annotations.collect()),
            owner_references: Some(vec![owner_reference(&write.owner)]),
            ..ObjectMeta::default()
        },
        data: Some(data.collect()),
        ..Secret::default()
    }
}

fn owner_reference(owner: &Owner) -> OwnerReference {
    OwnerReference {
        api_version: OAuthClientToken::api_version(&()).into_owned(),
        kind: owner.kind.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

fn without_values(secret: Secret) -> PartialObjectMeta<Secret> {
    PartialObjectMeta { metadata: secret.metadata, ..PartialObjectMeta::default() }
}

fn refuse_privileged(key: &SecretKey, secret: &Secret) -> Result<(), Error> {
    refuse_privileged_type(key, secret.type_.as_deref())
}

pub(super) fn read_failed(key: &SecretKey, error: &ApiError) -> Error {
    Error::new(Reason::ReadFailed, format!("Secret {key} could not be read: {error}"))
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
