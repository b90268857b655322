//! Tokens of ServiceAccounts (TokenRequest), for providers that trust the cluster's own issuer.

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client, Config};
use secrecy::{ExposeSecret, SecretString};

use super::cluster::ClusterEdge;
use crate::api::ServiceAccountRef;
use crate::decide::SecretKey;
use crate::error::{Class, Error, Reason};
use crate::runtime::{ApiError, in_time};

/// How long a token is valid where the spec does not say, in seconds; the API server's least.
const LIFETIME: i64 = 600;

impl ClusterEdge {
    pub(super) async fn token_of_account(
        &self,
        namespace: &str,
        account: &ServiceAccountRef,
    ) -> Result<SecretString, Error> {
        let who = SecretKey { namespace: namespace.to_owned(), name: account.name.clone() };
        let api: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let wanted = TokenRequest {
            spec: TokenRequestSpec {
                audiences: account.audiences.clone(),
                expiration_seconds: Some(account.expiration_seconds.unwrap_or(LIFETIME)),
                bound_object_ref: None,
            },
            ..TokenRequest::default()
        };
        let parameters = PostParams::default();
        let made = self.call(api.create_token_request(&account.name, &parameters, &wanted)).await;
        let made = made.map_err(|error| denied(&who, &error))?;
        let token = made.status.map(|status| SecretString::from(status.token));
        let token = token.ok_or_else(|| {
            let message = format!("the API server gave no token of ServiceAccount {who}");
            Error::new(Reason::ReadFailed, message)
        })?;
        match is_taken(&self.anonymous, &token).await? {
            false => Ok(token),
            true => Err(Error::new(
                Reason::ServiceAccountTokenDenied,
                format!(
                    "spec.serviceAccountRef.audiences: the API server takes a token for {} as its \
                     own, which no provider is to get: name the provider's audience only",
                    account.audiences.join(", ")
                ),
            )),
        }
    }
}

/// Whether the API server takes a token as its own. Which audiences are its own is told nowhere, so
/// it is asked with the token itself.
async fn is_taken(anonymous: &Config, token: &SecretString) -> Result<bool, Error> {
    let mut config = anonymous.clone();
    config.auth_info.token = Some(token.expose_secret().into());
    let unreadable = |what: String| {
        Error::new(Reason::ReadFailed, format!("whose token it is could not be asked: {what}"))
    };
    let client = Client::try_from(config).map_err(|error| unreadable(error.to_string()))?;
    let api: Api<SelfSubjectReview> = Api::all(client);
    let (parameters, review) = (PostParams::default(), SelfSubjectReview::default());
    match in_time(api.create(&parameters, &review)).await {
        Err(ApiError::Refused(status)) if status.code == 401 => Ok(false),
        // What it refuses in another way it has recognised first.
        Ok(_) | Err(ApiError::Refused(_)) => Ok(true),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

fn denied(who: &SecretKey, error: &ApiError) -> Error {
    match error {
        ApiError::Refused(status) if status.is_forbidden() => Error::new(
            Reason::ServiceAccountTokenDenied,
            format!(
                "tokens of ServiceAccount {who} may not be asked for: let tokenward create \
                 serviceaccounts/token for {:?} in namespace {:?} (the chart's \
                 rbac.serviceAccountTokens, or deploy/rbac-service-account.yaml)",
                who.name, who.namespace
            ),
        ),
        ApiError::Refused(status) if status.is_not_found() => {
            let message = format!("ServiceAccount {who} does not exist");
            Error::new(Reason::ServiceAccountTokenDenied, message).with_class(Class::Waiting)
        }
        ApiError::Refused(status) if status.is_invalid() => {
            let message =
                format!("the API server gives no such token of ServiceAccount {who}: {error}");
            Error::new(Reason::ServiceAccountTokenDenied, message)
        }
        _ => {
            let message = format!("a token of ServiceAccount {who} could not be had: {error}");
            Error::new(Reason::ReadFailed, message)
        }
    }
}
