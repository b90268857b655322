//! The HMAC key of the input digests.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use secrecy::{ExposeSecret, SecretBox};
use tracing::warn;

use super::{ApiError, Readiness, in_time};
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
    readiness.close(GATE, "it is being read");
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
    let failed = |error: ApiError| KeyError::Unavailable(format!("{place}: {error}"));
    if let Some(secret) = in_time(api.get_opt(KEY_SECRET)).await.map_err(failed)? {
        return read(&secret).ok_or(KeyError::Unusable(format!(
            "{place} holds no {KEY_LENGTH}-byte key: delete it, and a new one is made"
        )));
    }
    let key = new_key().map_err(KeyError::Unusable)?;
    match in_time(api.create(&PostParams::default(), &secret(&key))).await {
        Ok(_) => Ok(key),
        // Another replica was faster.
        Err(ApiError::Refused(status)) if status.is_already_exists() => {
            let secret = in_time(api.get(KEY_SECRET)).await.map_err(failed)?;
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use http::{Request, Response};
    use kube::client::Body;

    use super::*;

    /// An API server that does this whatever it is asked.
    fn client<F>(answer: impl Fn() -> F + Send + 'static) -> Client
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let service = tower::service_fn(move |_: Request<Body>| {
            let answer = answer();
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        Client::new(service, "default")
    }

    #[tokio::test]
    async fn an_api_server_that_says_nothing_leaves_the_gate_closed() {
        let (client, readiness) = (client(std::future::pending), Readiness::default());
        assert!(wait_for_key(&client, "own", &readiness).now_or_never().is_none());
        assert_eq!(readiness.told(), "[-] key: it is being read\n");
    }

    #[tokio::test]
    async fn what_the_api_server_says_of_an_object_is_not_told() {
        let refusing = client(|| async {
            let body = serde_json::json!({
                "status": "Failure", "code": 500, "reason": "InternalError", "message": "s3cr3t"
            });
            let body = Body::from(body.to_string().into_bytes());
            Response::builder().status(500).body(body).unwrap()
        });
        let readiness = Readiness::default();
        let told = async {
            while !readiness.told().contains(KEY_SECRET) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = wait_for_key(&refusing, "own", &readiness) => panic!("there is none"),
            () = told => {}
        }
        let expected = "[-] key: Secret own/tokenward-digest-key: InternalError (500)\n";
        assert_eq!(readiness.told(), expected);
    }
}
