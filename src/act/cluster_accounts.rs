//! What is written down of accounts at providers, on a cluster: one Secret in the operator's own
//! namespace. Nothing in it is secret, but no other kind is the operator's to write.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::Version;
use super::cluster::{ClusterEdge, write_failed};
use crate::api::{MANAGED_BY, MANAGER};
use crate::decide::SecretKey;
use crate::error::Error;
use crate::runtime::ApiError;

/// Its name.
const NAME: &str = "tokenward-accounts";
const KEY: &str = "accounts.json";

impl ClusterEdge {
    fn accounts_key(&self) -> SecretKey {
        SecretKey { namespace: self.home.clone(), name: NAME.to_owned() }
    }

    pub(super) async fn read_accounts(&self) -> Result<(Version, Option<Vec<u8>>), Error> {
        let found = self.get(&self.accounts_key()).await?;
        let version = Version(found.as_ref().and_then(Secret::resource_version));
        let text = found.and_then(|secret| secret.data?.remove(KEY)).map(|ByteString(text)| text);
        Ok((version, text))
    }

    pub(super) async fn write_accounts(
        &self,
        Version(before): &Version,
        text: &[u8],
    ) -> Result<Option<Version>, Error> {
        let written = match before {
            Some(version) => self.replace_accounts(version, text).await,
            None => self.create_accounts(text).await,
        };
        match written {
            Ok(version) => Ok(Some(Version(version))),
            // Another replica was faster, or somebody deleted it.
            Err(ApiError::Refused(status))
                if status.is_conflict() || status.is_already_exists() || status.is_not_found() =>
            {
                Ok(None)
            }
            Err(error) => Err(write_failed(&self.accounts_key(), &error)),
        }
    }

    async fn create_accounts(&self, text: &[u8]) -> Result<Option<String>, ApiError> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                labels: Some(BTreeMap::from([(MANAGED_BY.to_owned(), MANAGER.to_owned())])),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(KEY.to_owned(), ByteString(text.to_vec()))])),
            ..Secret::default()
        };
        let parameters =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let api = self.secrets(&self.home);
        let made = self.call(api.create(&parameters, &secret)).await?;
        Ok(made.resource_version())
    }

    async fn replace_accounts(
        &self,
        version: &str,
        text: &[u8],
    ) -> Result<Option<String>, ApiError> {
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": version},
            "data": {KEY: ByteString(text.to_vec())},
        }));
        let parameters =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.secrets(&self.home);
        let written = self.call(api.patch_metadata(NAME, &parameters, &patch)).await?;
        Ok(written.resource_version())
    }
}
