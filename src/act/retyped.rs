//! A target whose type changes. A Secret's type is fixed: so the Secret gives way to another one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, PostParams, Preconditions};

use super::TargetWrite;
use super::cluster::{ClusterEdge, write_failed};
use super::target::{Round, secret};
use crate::decide::TargetMeta;
use crate::error::Error;
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
