//! A target whose type changes. A Secret's type is fixed: so the Secret gives way to another one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, PostParams, Preconditions};

use super::TargetWrite;
use super::cluster::{ClusterEdge, Round, secret, write_failed};
use crate::decide::{TargetMeta, holder};
use crate::error::{Error, Reason};
use crate::runtime::ApiError;

impl ClusterEdge {
    /// Deletes a target whose type cannot become the one that is declared, as long as it is the
    /// very one that was looked at; the next round makes it anew. First the API server is asked
    /// whether it takes the new one: nothing is deleted for what cannot be made.
    pub(super) async fn give_way(
        &self,
        write: &TargetWrite,
        meta: &TargetMeta,
    ) -> Result<Round, Error> {
        if meta.is_new_to(&write.owner, &holder(meta, &write.owner)) {
            return Err(not_ours_to_delete(write));
        }
        self.rehearse_creation(write).await?;
        let preconditions = Preconditions {
            uid: Some(meta.uid.clone()),
            resource_version: Some(meta.resource_version.clone()),
        };
        let parameters = DeleteParams::default().preconditions(preconditions);
        let api = self.secrets(&write.key.namespace);
        match self.call(api.delete(&write.key.name, &parameters)).await {
            Ok(_) => Ok(Round::Changed),
            Err(ApiError::Refused(status)) if status.is_conflict() || status.is_not_found() => {
                Ok(Round::Changed)
            }
            Err(error) => Err(write_failed(&write.key, &error)),
        }
    }

    async fn rehearse_creation(&self, write: &TargetWrite) -> Result<(), Error> {
        let mut secret = secret(write);
        secret.metadata = ObjectMeta {
            name: None,
            generate_name: Some("tokenward-".to_owned()),
            ..secret.metadata
        };
        let parameters = PostParams { dry_run: true, ..PostParams::default() };
        let api = self.secrets(&write.key.namespace);
        let made = self.call(api.create(&parameters, &secret)).await;
        made.map(drop).map_err(|error| write_failed(&write.key, &error))
    }
}

/// A Secret that somebody else made, and lets us take over, holds more than ours.
fn not_ours_to_delete(write: &TargetWrite) -> Error {
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
