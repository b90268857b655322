//! The HMAC key of the input digests.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use secrecy::{ExposeSecret, SecretBox};
use tracing::warn;

use super::Readiness;
use crate::api::{MANAGED_BY, MANAGER};
use crate::oauth::KEY_LENGTH;

/// The Secret, in the operator's own namespace, that holds the key.
pub const KEY_SECRET: &str = "tokenward-digest-key";
const KEY: &str = "key";
/// The gate that is closed while it cannot be had.
const GATE: &str = "key";
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A new random key.
pub fn new_key() -> Result<SecretBox<[u8; KEY_LENGTH]>, String> {
    let mut key = Box::new([0; KEY_LENGTH]);
    aws_lc_rs::rand::fill(key.as_mut()).map_err(|_| "the system gives no randomness".to_owned())?;
    Ok(SecretBox::new(key))
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A person has to mend it.
    #[error("{0}")]
    Unusable(String),
    /// The API server did not give it, or take it.
    #[error("{0}")]
    Unavailable(String),
}

/// The operator's key, as soon as it can be had: a process that ends meanwhile would be started again
/// later and later.
pub async fn wait_for_key(
    client: &Client,
    namespace: &str,
    readiness: &Readiness,
) -> Result<SecretBox<[u8; KEY_LENGTH]>, String> {
    let mut pause = FIRST_PAUSE;
    loop {
        match cluster_key(client, namespace).await {
            Ok(key) => {
                readiness.open(GATE);
                return Ok(key);
            }
            Err(KeyError::Unusable(told)) => return Err(told),
            Err(KeyError::Unavailable(told)) => {
                warn!(error = told, "the digest key cannot be had yet");
                readiness.close(GATE, told);
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The operator's key, made the first time.
pub async fn cluster_key(
    client: &Client,
    namespace: &str,
) -> Result<SecretBox<[u8; KEY_LENGTH]>, KeyError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let place = format!("Secret {namespace}/{KEY_SECRET}");
    let failed = |error: kube::Error| KeyError::Unavailable(format!("{place}: {error}"));
    if let Some(secret) = api.get_opt(KEY_SECRET).await.map_err(failed)? {
        return read(&secret).ok_or(KeyError::Unusable(format!(
            "{place} holds no {KEY_LENGTH}-byte key: delete it, and a new one is made"
        )));
    }
    let key = new_key().map_err(KeyError::Unusable)?;
    match api.create(&PostParams::default(), &secret(&key)).await {
        Ok(_) => Ok(key),
        // Another replica was faster.
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let secret = api.get(KEY_SECRET).await.map_err(failed)?;
            let unusable = format!("{place} holds no {KEY_LENGTH}-byte key");
            read(&secret).ok_or(KeyError::Unusable(unusable))
        }
        Err(error) => Err(failed(error)),
    }
}

fn secret(key: &SecretBox<[u8; KEY_LENGTH]>) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(KEY_SECRET.to_owned()),
            labels: Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into()),
            ..ObjectMeta::default()
        },
        data: Some([(KEY.to_owned(), ByteString(key.expose_secret().to_vec()))].into()),
        ..Secret::default()
    }
}

fn read(secret: &Secret) -> Option<SecretBox<[u8; KEY_LENGTH]>> {
    let bytes = &secret.data.as_ref()?.get(KEY)?.0;
    let key: [u8; KEY_LENGTH] = bytes.as_slice().try_into().ok()?;
    Some(SecretBox::new(Box::new(key)))
}
