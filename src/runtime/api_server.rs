//! Asking the API server: never without an end, and its refusals in words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::client::{Body, ClientBuilder};
use kube::config::AuthInfo;
use kube::core::Status;
use kube::{Client, Config};
use tokio::sync::Semaphore;
use tower::util::MapRequestLayer;

use super::api_requests::{ApiRequest, ApiRequests};

/// Longest time that one API request may take, the client's own retries included.
const API_TIMEOUT: Duration = Duration::from_secs(30);

/// Those of RBAC that tokenward needs.
const VERBS: [&str; 7] = ["get", "list", "watch", "create", "update", "patch", "delete"];
/// A resource with its subresource.
const LONGEST_RESOURCE: usize = 64;

/// API requests of ours under way at once. More gains little: the API server is the bound.
const IN_FLIGHT: usize = 32;

/// The API server, as ourselves and as nobody.
#[derive(Clone)]
pub struct Access {
    /// With our own credentials.
    pub client: Client,
    /// Where it is and whom it is trusted by, without any credentials.
    pub anonymous: Config,
    /// Places for what is on a token's way into its target, its status among it: where all wait in
    /// one queue, no more is asked of providers than can be written.
    pub(crate) places: Arc<Semaphore>,
}

impl Access {
    /// The API server that a configuration leads to. What is asked of it is counted.
    pub fn new(config: Config, requests: ApiRequests) -> Result<Self, kube::Error> {
        let mut anonymous = config.clone();
        anonymous.auth_info = AuthInfo::default();
        let count = MapRequestLayer::new(move |request: http::Request<Body>| {
            requests.get_or_create(&ApiRequest::of(&request)).inc();
            request
        });
        let client = ClientBuilder::try_from(config)?.with_layer(&count).build();
        Ok(Self::of(client, anonymous))
    }

    /// The same by clients that are there.
    pub fn of(client: Client, anonymous: Config) -> Self {
        Self { client, anonymous, places: Arc::new(Semaphore::new(IN_FLIGHT)) }
    }
}

/// Why an API request failed.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The API server said no.
    Refused(Box<Status>),
    /// No answer in time.
    Late,
    /// No connection, or an answer that cannot be read.
    Unreachable,
}

/// Makes an API request that ends.
pub(crate) async fn in_time<T>(
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(API_TIMEOUT, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(ApiError::Refused(status)),
        Ok(Err(_)) => Err(ApiError::Unreachable),
        Err(_) => Err(ApiError::Late),
    }
}

impl fmt::Display for ApiError {
    /// The reason and code only, and what RBAC refuses: the API server's message may quote the
    /// object.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(status) if status.is_forbidden() => match denied(&status.message) {
                Some((verb, resource)) => {
                    write!(f, "RBAC does not let tokenward {verb} {resource} (403)")
                }
                None => f.write_str("RBAC, a quota or an admission policy does not allow it (403)"),
            },
            Self::Refused(status) if status.is_invalid() => {
                f.write_str("the API server calls it invalid (422)")
            }
            Self::Refused(status) => write!(f, "{} ({})", status.reason, status.code),
            Self::Late => {
                write!(f, "the API server did not answer within {} s", API_TIMEOUT.as_secs())
            }
            Self::Unreachable => f.write_str("the API server cannot be reached"),
        }
    }
}

/// What RBAC does not let us do to what, where a refusal says so: a verb and a resource and no other
/// word, whoever wrote the message.
fn denied(message: &str) -> Option<(&str, &str)> {
    let (verb, rest) = message.split_once(" cannot ")?.1.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once("\" in API group \"")?;
    let is_name = |name: &str| {
        let is_part = |c: char| c.is_ascii_lowercase() || c == '/';
        !name.is_empty() && name.len() <= LONGEST_RESOURCE && name.chars().all(is_part)
    };
    let is_known = VERBS.contains(&verb) && is_name(resource) && !rest.is_empty();
    is_known.then_some((verb, resource))
}

/// Whether the API server refuses because the object is not the one that was meant.
pub(crate) fn names_uid(status: &Status) -> bool {
    blames(status, "metadata.uid")
}

/// Whether the API server refuses because a Secret's type cannot be changed.
pub(crate) fn names_type(status: &Status) -> bool {
    blames(status, "type")
}

fn blames(status: &Status, field: &str) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.field == field)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::verb(
        "secrets \"c\" is forbidden: User \"system:serviceaccount:t:t\" cannot get resource \
         \"secrets\" in API group \"\" in the namespace \"web\"",
        "RBAC does not let tokenward get secrets (403)"
    )]
    #[case::subresource(
        "x is forbidden: User \"u\" cannot patch resource \"oauthclienttokens/status\" in API group \
         \"tokenward.dev\" in the namespace \"web\"",
        "RBAC does not let tokenward patch oauthclienttokens/status (403)"
    )]
    #[case::quota(
        "exceeded quota: secrets",
        "RBAC, a quota or an admission policy does not allow it (403)"
    )]
    #[case::a_policy_that_quotes(
        "you cannot get resource \"s3cr3t of 7\" in API group \"\"",
        "RBAC, a quota or an admission policy does not allow it (403)"
    )]
    fn a_refusal_tells_what_rbac_lacks_and_nothing_of_objects(
        #[case] message: &str,
        #[case] told: &str,
    ) {
        let status = serde_json::json!({
            "status": "Failure", "code": 403, "reason": "Forbidden", "message": message
        });
        let error = ApiError::Refused(serde_json::from_value(status).unwrap());
        assert_eq!(error.to_string(), told);
    }
}
