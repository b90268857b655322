//! What was renewed of a credentials Secret, kept on a cluster: a Secret beside it, that goes with
//! it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::Status;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Value, json};

use super::cluster::{ClusterEdge, read_failed, write_failed};
use super::{Former, Kept, Writing};
use crate::api::annotations::{FORMER_SEED, INTENT, RENEWED_OF, SEED};
use crate::api::{MANAGED_BY, MANAGER};
use crate::decide::SecretKey;
use crate::error::{Error, Reason};
use crate::oauth::Renewed;
use crate::runtime::{ApiError, names_uid};

/// The keys of such a Secret.
const REFRESH_TOKEN: &str = "refresh_token";
const ACCESS_TOKEN: &str = "access_token";
const FORMER_REFRESH_TOKEN: &str = "former_refresh_token";
const FORMER_ACCESS_TOKEN: &str = "former_access_token";

/// Longest name of a Secret.
const LONGEST_NAME: usize = 253;
const SUFFIX: &str = "-renewed";

impl ClusterEdge {
    pub(super) async fn renewed_of(&self, credentials: &SecretKey) -> Result<Option<Kept>, Error> {
        let key = store(credentials);
        let Some(secret) = self.get(&key).await? else { return Ok(None) };
        match secret.annotations().get(RENEWED_OF) == Some(&credentials.name) {
            true => Ok(Some(read(&secret))),
            false => Err(Error::new(
                Reason::SecretNotOwned,
                format!(
                    "Secret {key} is there already and is not tokenward's, which keeps there what \
                     the provider renews of {credentials}: rename one of them"
                ),
            )),
        }
    }

    pub(super) async fn keep_of(
        &self,
        credentials: &SecretKey,
        kept: &Kept,
        how: Writing,
    ) -> Result<Option<String>, Error> {
        let written = match &kept.version {
            Some(version) => self.overwrite(credentials, (version, kept), how).await?,
            None => self.create_store(credentials, kept, how).await?,
        };
        match written {
            Ok(version) => Ok(Some(version)),
            Err(ApiError::Refused(status))
                if status.is_conflict()
                    || status.is_already_exists()
                    || status.is_not_found()
                    || names_uid(&status) =>
            {
                Ok(None)
            }
            // A webhook that takes part in no rehearsal says nothing of the real write.
            Err(ApiError::Refused(status)) if how == Writing::Rehearsed && is_deaf(&status) => {
                Ok(kept.version.clone())
            }
            Err(error) => Err(write_failed(&store(credentials), &error)),
        }
    }

    async fn create_store(
        &self,
        credentials: &SecretKey,
        kept: &Kept,
        how: Writing,
    ) -> Result<Result<String, ApiError>, Error> {
        let key = store(credentials);
        let api = self.secrets(&credentials.namespace);
        let owner = self.owner_of_store(credentials).await?;
        let data = values(kept)
            .map(|(key, value)| (key.to_owned(), ByteString(value.expose_secret().into())));
        let notes = annotations(kept).into_iter().filter_map(|(key, value)| Some((key, value?)));
        let of = (RENEWED_OF, credentials.name.clone());
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(key.name.clone()),
                namespace: Some(key.namespace.clone()),
                labels: Some(BTreeMap::from([(MANAGED_BY.to_owned(), MANAGER.to_owned())])),
                annotations: Some(
                    notes.chain([of]).map(|(key, value)| (key.to_owned(), value)).collect(),
                ),
                owner_references: Some(vec![owner]),
                ..ObjectMeta::default()
            },
            data: Some(data.collect()),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        };
        let parameters = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            dry_run: how == Writing::Rehearsed,
        };
        let made = self.call(api.create(&parameters, &secret)).await;
        Ok(made.map(|made| version(&made.metadata)))
    }

    /// What is kept goes with the credentials that it came from.
    async fn owner_of_store(&self, credentials: &SecretKey) -> Result<OwnerReference, Error> {
        let api = self.secrets(&credentials.namespace);
        let origin = self.call(api.get_metadata(&credentials.name)).await;
        let origin = origin.map_err(|error| read_failed(credentials, &error))?;
        Ok(OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Secret".to_owned(),
            name: credentials.name.clone(),
            uid: origin.metadata.uid.unwrap_or_default(),
            ..OwnerReference::default()
        })
    }

    async fn overwrite(
        &self,
        credentials: &SecretKey,
        (version_read, kept): (&str, &Kept),
        how: Writing,
    ) -> Result<Result<String, ApiError>, Error> {
        let key = store(credentials);
        let (uid, resource_version) = version_read.split_once('/').unwrap_or_default();
        // The credentials may have been deleted and made again since. An answer does not wait for
        // them to be looked up: the intent before it has just done so.
        let owners = match kept.intent {
            Some(_) => Some(vec![self.owner_of_store(credentials).await?]),
            None => None,
        };
        let named = ObjectMeta {
            uid: Some(uid.to_owned()),
            resource_version: Some(resource_version.to_owned()),
            owner_references: owners,
            ..ObjectMeta::default()
        };
        let metadata = Metadata { named, annotations: annotations(kept) };
        let text: BTreeMap<&str, &str> =
            values(kept).map(|(k, v)| (k, v.expose_secret())).collect();
        let gone: BTreeMap<&str, Value> =
            [REFRESH_TOKEN, ACCESS_TOKEN, FORMER_REFRESH_TOKEN, FORMER_ACCESS_TOKEN]
                .into_iter()
                .filter(|key| !text.contains_key(key))
                .map(|key| (key, Value::Null))
                .collect();
        let patch = Patch::Merge(json!({"metadata": metadata, "data": gone, "stringData": text}));
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            dry_run: how == Writing::Rehearsed,
            ..PatchParams::default()
        };
        let api = self.secrets(&key.namespace);
        let written = self.call(api.patch_metadata(&key.name, &parameters, &patch)).await;
        Ok(written.map(|written| version(&written.metadata)))
    }
}

/// Of a merge patch: null takes an annotation away.
#[derive(Serialize)]
struct Metadata {
    #[serde(flatten)]
    named: ObjectMeta,
    annotations: BTreeMap<&'static str, Option<String>>,
}

fn read(secret: &Secret) -> Kept {
    let value = |key: &str| {
        let ByteString(bytes) = secret.data.as_ref()?.get(key)?;
        std::str::from_utf8(bytes).ok().map(SecretString::from)
    };
    let renewed = |[refresh_token, access_token]: [&str; 2]| Renewed {
        refresh_token: value(refresh_token),
        access_token: value(access_token),
    };
    let note = |key: &str| secret.annotations().get(key).cloned();
    Kept {
        seed: note(SEED).unwrap_or_default(),
        renewed: renewed([REFRESH_TOKEN, ACCESS_TOKEN]),
        former: note(FORMER_SEED).map(|seed| Former {
            seed,
            renewed: renewed([FORMER_REFRESH_TOKEN, FORMER_ACCESS_TOKEN]),
        }),
        intent: note(INTENT).and_then(|text| serde_json::from_str(&text).ok()),
        version: Some(version(&secret.metadata)),
    }
}

fn version(metadata: &ObjectMeta) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}/{}", part(&metadata.uid), part(&metadata.resource_version))
}

/// `None` for one that is not to be there.
fn annotations(kept: &Kept) -> BTreeMap<&'static str, Option<String>> {
    let intent = kept.intent.as_ref().and_then(|intent| serde_json::to_string(intent).ok());
    let former = kept.former.as_ref().map(|former| former.seed.clone());
    BTreeMap::from([(SEED, Some(kept.seed.clone())), (FORMER_SEED, former), (INTENT, intent)])
}

fn values(kept: &Kept) -> impl Iterator<Item = (&'static str, &SecretString)> {
    let Renewed { refresh_token, access_token } = &kept.renewed;
    let former = kept.former.as_ref().map(|former| &former.renewed);
    [
        (REFRESH_TOKEN, refresh_token.as_ref()),
        (ACCESS_TOKEN, access_token.as_ref()),
        (FORMER_REFRESH_TOKEN, former.and_then(|former| former.refresh_token.as_ref())),
        (FORMER_ACCESS_TOKEN, former.and_then(|former| former.access_token.as_ref())),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
}

fn is_deaf(status: &Status) -> bool {
    status.code == 400 && status.message.contains("dry run")
}

/// Where it is kept: `NAME-renewed`.
fn store(credentials: &SecretKey) -> SecretKey {
    let SecretKey { namespace, name } = credentials;
    let room = LONGEST_NAME - SUFFIX.len();
    let kept: String = name.chars().take(room).collect();
    // A name ends in a letter or digit, also where it was cut.
    let kept = kept.trim_end_matches(['.', '-']);
    SecretKey { namespace: namespace.clone(), name: format!("{kept}{SUFFIX}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_credentials_as_far_as_it_fits() {
        let store = |name: &str| store(&SecretKey { namespace: "web".into(), name: name.into() });
        assert_eq!(store("client").to_string(), "web/client-renewed");
        let long = format!("{}.{}", "a".repeat(244), "b".repeat(8));
        assert_eq!(store(&long).name, format!("{}-renewed", "a".repeat(244)));
    }
}
