//! What was renewed of a credentials Secret, kept on a cluster: a Secret beside it, that goes with
//! it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::Kept;
use super::cluster::{ClusterEdge, read_failed, write_failed};
use crate::api::annotations::{RENEWED_OF, SEED};
use crate::api::{MANAGED_BY, MANAGER};
use crate::decide::SecretKey;
use crate::error::{Error, Reason};
use crate::oauth::Renewed;
use crate::runtime::ApiError;

/// The keys of such a Secret.
const REFRESH_TOKEN: &str = "refresh_token";
const ACCESS_TOKEN: &str = "access_token";

/// Longest name of a Secret.
const LONGEST_NAME: usize = 253;
const SUFFIX: &str = "-renewed";

impl ClusterEdge {
    pub(super) async fn renewed_of(&self, credentials: &SecretKey) -> Result<Option<Kept>, Error> {
        let Some(secret) = self.store_of(credentials).await? else { return Ok(None) };
        let value = |key: &str| {
            let ByteString(bytes) = secret.data.as_ref()?.get(key)?;
            std::str::from_utf8(bytes).ok().map(SecretString::from)
        };
        Ok(Some(Kept {
            seed: secret.annotations().get(SEED).cloned().unwrap_or_default(),
            renewed: Renewed {
                refresh_token: value(REFRESH_TOKEN),
                access_token: value(ACCESS_TOKEN),
            },
        }))
    }

    pub(super) async fn keep_of(&self, credentials: &SecretKey, kept: &Kept) -> Result<(), Error> {
        match self.store_of(credentials).await? {
            Some(found) => self.overwrite(credentials, (&found, kept)).await,
            None => self.create_store(credentials, kept).await,
        }
    }

    /// The Secret where it is kept; an error where somebody else has one of that name.
    async fn store_of(&self, credentials: &SecretKey) -> Result<Option<Secret>, Error> {
        let key = store(credentials);
        let Some(secret) = self.get(&key).await? else { return Ok(None) };
        match secret.annotations().get(RENEWED_OF) == Some(&credentials.name) {
            true => Ok(Some(secret)),
            false => Err(Error::new(
                Reason::SecretNotOwned,
                format!(
                    "Secret {key} is there already and is not tokenward's, which keeps there what \
                     the provider renews of {credentials}: rename one of them"
                ),
            )),
        }
    }

    async fn create_store(&self, credentials: &SecretKey, kept: &Kept) -> Result<(), Error> {
        let key = store(credentials);
        let api = self.secrets(&credentials.namespace);
        let owner = self.owner_of_store(credentials).await?;
        let data = values(kept)
            .map(|(key, value)| (key.to_owned(), ByteString(value.expose_secret().into())));
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(key.name.clone()),
                namespace: Some(key.namespace.clone()),
                labels: Some(BTreeMap::from([(MANAGED_BY.to_owned(), MANAGER.to_owned())])),
                annotations: Some(BTreeMap::from([
                    (RENEWED_OF.to_owned(), credentials.name.clone()),
                    (SEED.to_owned(), kept.seed.clone()),
                ])),
                owner_references: Some(vec![owner]),
                ..ObjectMeta::default()
            },
            data: Some(data.collect()),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        };
        let parameters =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let made = self.call(api.create(&parameters, &secret)).await;
        made.map(drop).map_err(|error| write_failed(&key, &error))
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
        (found, kept): (&Secret, &Kept),
    ) -> Result<(), Error> {
        let key = store(credentials);
        // Those that it goes with may have been deleted and made again since.
        let owner = self.owner_of_store(credentials).await?;
        let text: BTreeMap<&str, &str> =
            values(kept).map(|(k, v)| (k, v.expose_secret())).collect();
        let gone: BTreeMap<&str, Value> = [REFRESH_TOKEN, ACCESS_TOKEN]
            .into_iter()
            .filter(|key| !text.contains_key(key))
            .map(|key| (key, Value::Null))
            .collect();
        let patch = Patch::Merge(json!({
            "metadata": {
                "uid": found.uid(),
                "resourceVersion": found.resource_version(),
                "annotations": {SEED: kept.seed},
                "ownerReferences": [owner],
            },
            "data": gone,
            "stringData": text,
        }));
        let parameters =
            PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.secrets(&key.namespace);
        let written = self.call(api.patch_metadata(&key.name, &parameters, &patch)).await;
        written.map(drop).map_err(|error: ApiError| write_failed(&key, &error))
    }
}

fn values(kept: &Kept) -> impl Iterator<Item = (&'static str, &SecretString)> {
    let Renewed { refresh_token, access_token } = &kept.renewed;
    [(REFRESH_TOKEN, refresh_token), (ACCESS_TOKEN, access_token)]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)))
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
