//! Targets behind the API server: made, written, merged into and left, each time as the very
//! version that was judged.

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{PartialObjectMeta, Status};
use kube::{Resource, ResourceExt};
use secrecy::ExposeSecret;
use serde_json::json;

use super::ask::deposed;
use super::cluster::{ClusterEdge, refuse_privileged, write_failed};
use super::{Otherwise, TargetWrite};
use crate::api::annotations::Owner;
use crate::api::{CreationPolicy, DeletionPolicy, MANAGED_BY, MANAGER, OAuthClientToken};
use crate::decide::{
    Claim, Holder, Rivals, SecretKey, TargetMeta, Wish, claim, holder, immutable, key_conflict,
};
use crate::error::{Error, Reason};
use crate::runtime::{ApiError, names_type, names_uid};
use crate::watch::handed_over;

/// How often a write is decided again because the target changed under it.
const WRITE_ROUNDS: usize = 4;

/// What became of one round of a write.
pub(super) enum Round {
    Written(Box<PartialObjectMeta<Secret>>),
    /// The target is not as it was: look again.
    Changed,
    /// The target's type cannot become the one that is declared.
    OtherType,
}

impl ClusterEdge {
    pub(super) async fn write_target(&self, write: &TargetWrite) -> Result<(), Error> {
        let mut seen = write.seen.clone();
        for _ in 0..WRITE_ROUNDS {
            match self.round(write, seen.as_ref()).await? {
                Round::Written(written) => {
                    self.index.note_written(&write.key, seen.as_ref(), &written);
                    return Ok(());
                }
                Round::OtherType => return Err(other_type(write)),
                Round::Changed if write.otherwise == Otherwise::LetBe => return Ok(()),
                // What changed it may be the next leader, with a later token.
                Round::Changed if !self.lead.holds() => return Err(deposed()),
                Round::Changed => {
                    let found = self.look(&write.key).await?;
                    seen = found.map(|meta| meta.seen_by(&write.owner));
                }
            }
        }
        Err(unsteady(&write.key))
    }

    async fn round(&self, write: &TargetWrite, seen: Option<&TargetMeta>) -> Result<Round, Error> {
        let wish = Wish {
            owner: &write.owner,
            secret_name: &write.key.name,
            policy: write.policies.0,
            rivals: &Rivals::default(),
        };
        let claim = claim(seen, wish);
        if let Claim::Refused(error) = claim {
            return Err(error);
        }
        let Some(meta) = seen else {
            return match write.otherwise {
                Otherwise::LookAgain => self.create(write).await,
                Otherwise::LetBe => Ok(Round::Changed),
            };
        };
        if meta.wants_a_look(&write.owner) {
            self.inspect_target(&write.key).await?;
        }
        match claim {
            Claim::Disown => self.inherit(write, meta).await,
            Claim::Merge => self.apply(write, (&meta.uid, &meta.resource_version)).await,
            _ if is_misreferred(write, meta) => self.reclaim(write, meta).await,
            _ => {
                let written = match drops(write, meta) {
                    true => self.inherit(write, meta).await?,
                    false => self.apply(write, (&meta.uid, &meta.resource_version)).await?,
                };
                match written {
                    // Somebody else's that is taken over holds more than ours.
                    Round::OtherType if is_ours_alone(write, meta) => {
                        self.give_way(write, meta).await
                    }
                    round => Ok(round),
                }
            }
        }
    }

    /// What metadata does not tell of a Secret: that it may be written to, and its keys.
    pub(super) async fn inspect_target(&self, key: &SecretKey) -> Result<BTreeSet<String>, Error> {
        let Some(secret) = self.get(key).await? else { return Ok(BTreeSet::new()) };
        refuse_privileged(key, &secret)?;
        match secret.immutable {
            Some(true) => Err(immutable(&key.name)),
            _ => Ok(secret.data.unwrap_or_default().into_keys().collect()),
        }
    }

    /// A new Secret is made by POST, so that a race with its true owner fails.
    async fn create(&self, write: &TargetWrite) -> Result<Round, Error> {
        let mut secret = secret(write);
        secret.type_.get_or_insert_with(|| "Opaque".to_owned());
        let parameters =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let api = self.secrets(&write.key.namespace);
        match self.call(api.create(&parameters, &secret)).await {
            Ok(made) => Ok(Round::Written(Box::new(without_values(made)))),
            Err(ApiError::Refused(status)) if status.is_already_exists() => Ok(Round::Changed),
            Err(error) => Err(write_failed(&write.key, &error)),
        }
    }

    /// A Secret that is there is applied to, as long as it is the very one that was looked at. What
    /// is ours is applied by force; a guest forces nothing but annotations of our own group.
    async fn apply(
        &self,
        write: &TargetWrite,
        (uid, version): (&str, &str),
    ) -> Result<Round, Error> {
        let mut secret = secret(write);
        secret.metadata.uid = Some(uid.to_owned());
        secret.metadata.resource_version = Some(version.to_owned());
        let gentle = PatchParams::apply(&manager(write));
        let answer = match write.policies.0 {
            CreationPolicy::Owner => self.try_apply(write, (&gentle.force(), &secret)).await,
            CreationPolicy::Merge => match self.try_apply(write, (&gentle, &secret)).await {
                Err(ApiError::Refused(status)) if is_of_managers(&status) => {
                    if let Some(keys) = taken(&status) {
                        return Err(key_conflict(&write.key.name, &keys));
                    }
                    self.try_apply(write, (&gentle.force(), &secret)).await
                }
                answer => answer,
            },
        };
        match answer {
            Ok(written) => Ok(Round::Written(Box::new(written))),
            // 409: another version, or gone. 422 on the uid: deleted and made again.
            Err(ApiError::Refused(status)) if status.is_conflict() => Ok(Round::Changed),
            Err(ApiError::Refused(status)) if names_uid(&status) => Ok(Round::Changed),
            Err(ApiError::Refused(status)) if names_type(&status) => Ok(Round::OtherType),
            Err(error) => Err(write_failed(&write.key, &error)),
        }
    }

    async fn try_apply(
        &self,
        write: &TargetWrite,
        (parameters, secret): (&PatchParams, &Secret),
    ) -> Result<PartialObjectMeta<Secret>, ApiError> {
        let api = self.secrets(&write.key.namespace);
        self.call(api.patch_metadata(&write.key.name, parameters, &Patch::Apply(secret))).await
    }

    /// The references are not as they should be: restored from backup, a target refers to a former
    /// uid of its owner, and an apply would add a second controller, which is refused.
    async fn reclaim(&self, write: &TargetWrite, meta: &TargetMeta) -> Result<Round, Error> {
        let patch = Patch::Merge(json!({"metadata": {
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
            "ownerReferences": references(write),
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

    /// An apply drops only what an `Apply` entry of its own manager names. So where something is to
    /// go that was made by POST, or as owner while now we are a guest, or the other way round, all
    /// that is ours is this manager's before it applies.
    async fn inherit(&self, write: &TargetWrite, meta: &TargetMeta) -> Result<Round, Error> {
        let api = self.secrets(&write.key.namespace);
        let found = self.call(api.get_metadata_opt(&write.key.name)).await;
        let found = found.map_err(|error| write_failed(&write.key, &error))?;
        let same = |found: &PartialObjectMeta<Secret>| {
            TargetMeta::of(&found.metadata).version() == meta.version()
        };
        let Some(found) = found.filter(same) else { return Ok(Round::Changed) };
        let Some(heir) = self.hand_over(write, found).await else { return Ok(Round::Changed) };
        let meta = TargetMeta::of(&heir.metadata);
        self.apply(write, (&meta.uid, &meta.resource_version)).await
    }

    /// Makes everything of ours one `Apply` entry in `managedFields`, where it is not. `None` where
    /// somebody was faster.
    async fn hand_over(
        &self,
        write: &TargetWrite,
        found: PartialObjectMeta<Secret>,
    ) -> Option<PartialObjectMeta<Secret>> {
        let (ours, heir) = ([MANAGER, &write.owner.guest_manager()], manager(write));
        let entries = found.metadata.managed_fields.as_deref();
        let Some(entries) = entries.and_then(|entries| handed_over(entries, (&ours, &heir))) else {
            return Some(found);
        };
        let operations = json!([
            {"op": "test", "path": "/metadata/uid", "value": found.metadata.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": found.metadata.resource_version},
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
        ]);
        let patch: Patch<()> = Patch::Json(serde_json::from_value(operations).ok()?);
        let api = self.secrets(&write.key.namespace);
        let parameters =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.call(api.patch_metadata(&write.key.name, &parameters, &patch)).await.ok()
    }

    /// Removes a Secret that is the owner's, and takes its keys out of one that is not.
    pub(super) async fn leave_target(&self, key: &SecretKey, owner: &Owner) -> Result<(), Error> {
        for _ in 0..WRITE_ROUNDS {
            let api = self.secrets(&key.namespace);
            let found = self.call(api.get_metadata_opt(&key.name)).await;
            let found = found.map_err(|error| write_failed(key, &error))?;
            let Some(found) = found else {
                self.index.forget(key);
                return Ok(());
            };
            let meta = TargetMeta::of(&found.metadata).seen_by(owner);
            let left = if holder(&meta, owner) == Holder::Us {
                let preconditions =
                    Preconditions { uid: found.uid(), resource_version: found.resource_version() };
                let parameters = DeleteParams::default().preconditions(preconditions);
                let left = self.call(api.delete(&key.name, &parameters)).await;
                left.map(|_| self.index.note_removed(key))
            } else if meta.guest.is_none() {
                self.index.forget(key);
                return Ok(());
            } else {
                let nothing = Patch::Apply(nothing(key, &meta));
                let parameters = PatchParams::apply(&owner.guest_manager());
                let left = self.call(api.patch_metadata(&key.name, &parameters, &nothing)).await;
                left.map(|left| self.index.note_written(key, Some(&meta), &left))
            };
            match left {
                Ok(()) => return Ok(()),
                Err(ApiError::Refused(status)) if status.is_not_found() => return Ok(()),
                Err(ApiError::Refused(status)) if status.is_conflict() || names_uid(&status) => {}
                Err(error) => return Err(write_failed(key, &error)),
            }
        }
        Err(unsteady(key))
    }
}

/// Whether a target holds nothing but what we wrote to it.
fn is_ours_alone(write: &TargetWrite, meta: &TargetMeta) -> bool {
    holder(meta, &write.owner) == Holder::Us && meta.managers.values().all(BTreeSet::is_empty)
}

fn unsteady(key: &SecretKey) -> Error {
    Error::new(Reason::WriteFailed, format!("Secret {key} changes faster than it can be written"))
}

/// Whether the controller that a target has is not the one that it ought to have.
fn is_misreferred(write: &TargetWrite, meta: &TargetMeta) -> bool {
    let retained = write.policies.1 == DeletionPolicy::Retain;
    meta.controller.as_ref().is_some_and(|c| retained || c.uid != write.owner.uid)
}

/// Whether a write by the owner leaves out something that is ours, or something is ours as a guest's.
fn drops(write: &TargetWrite, meta: &TargetMeta) -> bool {
    let labels = meta.owned_labels.iter().flatten();
    meta.guest.is_some()
        || meta.owned_keys.iter().any(|key| !write.data.contains_key(key))
        || meta.owned_annotations.iter().any(|name| !write.annotations.contains_key(name))
        || labels.into_iter().any(|name| name != MANAGED_BY && !write.labels.contains_key(name))
}

/// Whom the API server takes for the writer of what is written.
fn manager(write: &TargetWrite) -> String {
    match write.policies.0 {
        CreationPolicy::Owner => MANAGER.to_owned(),
        CreationPolicy::Merge => write.owner.guest_manager(),
    }
}

/// Whether a conflict is one of fields, and not of versions.
fn is_of_managers(status: &Status) -> bool {
    causes(status).next().is_some()
}

fn causes(status: &Status) -> impl Iterator<Item = &str> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.filter(|c| c.reason == "FieldManagerConflict").map(|cause| cause.field.as_str())
}

/// The keys that a conflict is about, if it is about any.
fn taken(status: &Status) -> Option<String> {
    let keys = causes(status).filter_map(|field| field.strip_prefix(".data."));
    let keys: Vec<&str> = keys.collect();
    (!keys.is_empty()).then(|| keys.join(", "))
}

/// What a guest applies who leaves.
fn nothing(key: &SecretKey, meta: &TargetMeta) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(key.name.clone()),
            namespace: Some(key.namespace.clone()),
            uid: Some(meta.uid.clone()),
            resource_version: Some(meta.resource_version.clone()),
            ..ObjectMeta::default()
        },
        ..Secret::default()
    }
}

pub(super) fn secret(write: &TargetWrite) -> Secret {
    let data = write
        .data
        .iter()
        .map(|(key, value)| (key.clone(), ByteString(value.expose_secret().as_bytes().to_vec())));
    let is_guest = write.policies.0 == CreationPolicy::Merge;
    let mut labels = write.labels.clone();
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    Secret {
        metadata: ObjectMeta {
            name: Some(write.key.name.clone()),
            namespace: Some(write.key.namespace.clone()),
            labels: (!is_guest).then_some(labels),
            annotations: Some(write.annotations.clone()),
            owner_references: Some(references(write)).filter(|references| !references.is_empty()),
            ..ObjectMeta::default()
        },
        data: Some(data.collect()),
        type_: write.type_.clone().filter(|_| !is_guest),
        ..Secret::default()
    }
}

/// A Secret that holds more than ours is not deleted for its type.
fn other_type(write: &TargetWrite) -> Error {
    let wanted = write.type_.as_deref().unwrap_or("Opaque");
    Error::new(
        Reason::SecretNotOwned,
        format!(
            "Secret {} is of another type than {wanted}, and the type of a Secret cannot be changed: \
             set spec.target.type to what it is, or delete it",
            write.key
        ),
    )
}

/// The ownerReferences of a target, by its policies.
fn references(write: &TargetWrite) -> Vec<OwnerReference> {
    match write.policies {
        (CreationPolicy::Owner, DeletionPolicy::Delete) => vec![owner_reference(&write.owner)],
        _ => Vec::new(),
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
