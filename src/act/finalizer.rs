//! Setting and removing the finalizer, which holds a deleted resource until what it gave is taken
//! back.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tracing::{info, warn};

use super::cluster::ClusterEdge;
use super::{Case, Edge, Engine};
use crate::api::annotations::REVOKE_FINALIZER;
use crate::api::{MANAGER, OAuthClientToken};
use crate::decide::{FINALIZER_REMARK, FinalizerChange, Outcome};
use crate::error::{Class, Error, Reason};
use crate::runtime::{ApiError, in_time, names_uid};

/// How often it is begun again because the resource changed meanwhile.
const ROUNDS: usize = 4;

/// What finalizers are to be: `None` where they are right.
pub(crate) type Finalizers = fn(&ObjectMeta) -> Option<Vec<String>>;

impl<E: Edge> Engine<E> {
    /// Sets or removes the finalizer. `None` where the resource is gone with it.
    pub(super) async fn change_finalizer(
        &self,
        case: &Case,
        change: FinalizerChange,
    ) -> Option<Outcome> {
        let (token, owner) = (&case.snapshot.token, case.snapshot.owner());
        let error = self.edge.change_finalizer(token, change).await.err();
        match (&error, change) {
            (Some(error), _) => warn!(token = %owner, %error, "its finalizer stays as it is"),
            (None, FinalizerChange::Set) => info!(token = %owner, "its finalizer is set"),
            (None, FinalizerChange::Remove) => info!(token = %owner, "its finalizer is removed"),
        }
        let meta = &token.metadata;
        let gone = error.is_none() && meta.deletion_timestamp.is_some();
        let generation = meta.generation;
        (!gone).then_some(Outcome::Finalizer { change, generation, error })
    }
}

impl ClusterEdge {
    pub(super) async fn change_finalizer_of(
        &self,
        token: &OAuthClientToken,
        change: FinalizerChange,
    ) -> Result<(), Error> {
        let finalizers: Finalizers = match change {
            FinalizerChange::Set => with_ours,
            FinalizerChange::Remove => without_ours,
        };
        let namespace = token.metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::namespaced(self.client.clone(), namespace);
        let changed = self.slot(change_finalizers(&api, &token.metadata, finalizers)).await;
        changed.map(drop).map_err(|error| denied(change, &error))
    }
}

/// Makes the finalizers of a resource what they are to be, and nobody else's change undone. Tells
/// whether anything was changed.
pub(crate) async fn change_finalizers(
    api: &Api<OAuthClientToken>,
    meta: &ObjectMeta,
    finalizers: Finalizers,
) -> Result<bool, ApiError> {
    let name = meta.name.as_deref().unwrap_or_default();
    let parameters =
        PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let mut now = meta.clone();
    for _ in 0..ROUNDS {
        let Some(wanted) = finalizers(&now) else { return Ok(false) };
        let patch = Patch::Merge(json!({"metadata": {
            "uid": now.uid, "resourceVersion": now.resource_version, "finalizers": wanted,
        }}));
        match in_time(api.patch_metadata(name, &parameters, &patch)).await {
            Ok(_) => return Ok(true),
            Err(ApiError::Refused(status)) if status.is_not_found() => return Ok(false),
            // Another version; or it is being deleted, when none can be added.
            Err(ApiError::Refused(status))
                if status.is_conflict() || status.is_invalid() || names_uid(&status) => {}
            Err(error) => return Err(error),
        }
        match in_time(api.get_metadata_opt(name)).await? {
            Some(found) if found.metadata.uid == meta.uid => now = found.metadata,
            _ => return Ok(false),
        }
    }
    Err(ApiError::Late)
}

fn with_ours(meta: &ObjectMeta) -> Option<Vec<String>> {
    let mut finalizers = meta.finalizers.clone().unwrap_or_default();
    let there = finalizers.iter().any(|finalizer| finalizer == REVOKE_FINALIZER);
    finalizers.push(REVOKE_FINALIZER.to_owned());
    (!there && meta.deletion_timestamp.is_none()).then_some(finalizers)
}

fn without_ours(meta: &ObjectMeta) -> Option<Vec<String>> {
    let before = meta.finalizers.clone().unwrap_or_default();
    let after: Vec<String> = before.iter().filter(|f| *f != REVOKE_FINALIZER).cloned().collect();
    (after.len() < before.len()).then_some(after)
}

fn denied(change: FinalizerChange, error: &ApiError) -> Error {
    let what = match change {
        FinalizerChange::Set => {
            "when this is deleted, its token will not be revoked (spec.revoke), and its keys will \
             stay in a Secret that they were merged into (spec.target)"
        }
        FinalizerChange::Remove => "tokenward.dev/revoke cannot be removed",
    };
    match error {
        ApiError::Refused(status) if status.is_forbidden() => {
            let how = "let tokenward patch oauthclienttokens (the chart's rbac.revocation, or \
                       deploy/rbac-revocation.yaml)";
            let otherwise = match change {
                FinalizerChange::Set => "",
                FinalizerChange::Remove => ", or run `tokenward release`",
            };
            let message = format!("{FINALIZER_REMARK}{what}: {how}{otherwise}");
            Error::new(Reason::FinalizerDenied, message)
        }
        _ => {
            let message = format!("{FINALIZER_REMARK}{what}: {error}");
            Error::new(Reason::FinalizerDenied, message).with_class(Class::Transient)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(finalizers: &[&str]) -> ObjectMeta {
        let finalizers = finalizers.iter().map(|f| (*f).to_owned()).collect();
        ObjectMeta { finalizers: Some(finalizers), ..ObjectMeta::default() }
    }

    #[test]
    fn other_finalizers_stay() {
        let others = "example.com/audit";
        assert_eq!(with_ours(&meta(&[others])).unwrap(), [others, REVOKE_FINALIZER]);
        assert_eq!(with_ours(&meta(&[REVOKE_FINALIZER])), None);
        let both = meta(&[others, REVOKE_FINALIZER]);
        assert_eq!(without_ours(&both).unwrap(), [others]);
        assert_eq!(without_ours(&meta(&[others])), None);
    }
}
