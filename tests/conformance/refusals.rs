//! What the server refuses is classed right, and is refused for the reason that the test means.

use rstest::rstest;
use serde_json::{Value, json};

use crate::bench::Bench;

/// A client with a secret, and manifests that fit it.
async fn fitting() -> Bench {
    let bench = Bench::new();
    bench.register(json!({"client_secret": "right-s3cr3t"})).await;
    bench.write_provider(json!({}));
    bench.write_credentials(json!({"client_secret": "right-s3cr3t"}));
    bench.write_token(json!({"scopes": ["read"]}));
    bench
}

#[rstest]
#[tokio::test]
async fn a_wrong_secret(#[values("client_secret_basic", "client_secret_post")] method: &str) {
    let bench = fitting().await;
    bench.write_provider(json!({"clientAuthentication": [method]}));
    bench.write_credentials(json!({"client_secret": "wrong-s3cr3t"}));
    let run = bench.run().await;
    run.assert_refused("HTTP 401: invalid_client");
    assert!(!run.stderr().contains("wrong-s3cr3t"), "{}", run.stderr());
    bench.assert_log(&[("invalid_client", "invalid secret provided")]).await;

    bench.write_credentials(json!({"client_secret": "right-s3cr3t"}));
    bench.good().await;
}

/// The last good token stays, and another client of the same run is none the worse.
#[tokio::test]
async fn a_secret_that_was_changed_at_the_server() {
    let bench = fitting().await;
    let other = bench.beside("other");
    other.register(json!({"client_secret": "other-s3cr3t"})).await;
    other.write_provider(json!({}));
    other.write_credentials(json!({"client_secret": "other-s3cr3t"}));
    other.write_token(json!({}));
    let first = bench.good().await;
    bench.register(json!({"client_secret": "new-s3cr3t"})).await;
    bench.ask_for_refresh("now");
    bench.run().await.assert_good_still("HTTP 401: invalid_client");
    assert_eq!(bench.key("access_token").unwrap(), first.token);
    assert_eq!(other.good().await.claims["client_id"], other.client_id);
    other.assert_log(&[("success", "")]).await;
}

#[tokio::test]
async fn an_unknown_client() {
    let bench = fitting().await;
    bench.write_credentials(json!({"client_id": "nobody", "client_secret": "x"}));
    bench.run().await.assert_refused("HTTP 401: invalid_client");
    bench.assert_log(&[]).await;
}

/// What is registered is not what is sent.
#[rstest]
#[case::secret_for_a_key(json!({"token_endpoint_auth_method": "private_key_jwt", "keys": ["RSA"]}), "client_secret_basic")]
#[case::secret_for_a_public_client(json!({"token_endpoint_auth_method": "none"}), "client_secret_post")]
#[case::nothing_for_a_secret(json!({"client_secret": "right-s3cr3t"}), "none")]
#[tokio::test]
async fn another_method_than_registered(#[case] client: Value, #[case] method: &str) {
    let bench = fitting().await;
    bench.register(client).await;
    bench.write_provider(json!({"clientAuthentication": [method]}));
    bench.run().await.assert_refused("HTTP 401: invalid_client");
    let words = "the provided authentication mechanism does not match the registered client authentication method";
    bench.assert_log(&[("invalid_client", words)]).await;
}

/// RFC 6749 section 2.3: one mechanism for a request. That some providers want both (`mediahound`)
/// is no reason to send both to others.
#[tokio::test]
async fn two_methods_at_once() {
    let bench = fitting().await;
    bench.write_provider(json!({
        "clientAuthentication": ["client_secret_basic", "client_secret_post"],
    }));
    bench.run().await.assert_refused("HTTP 400: invalid_request");
    let words = "client authentication must only be provided using one mechanism";
    bench.assert_log(&[("invalid_request", words)]).await;
}

#[tokio::test]
async fn a_scope_that_the_client_may_not_have() {
    let bench = fitting().await;
    bench.write_token(json!({"scopes": ["read", "admin"]}));
    bench.run().await.assert_refused("HTTP 400: invalid_scope");
    bench.assert_log(&[("invalid_scope", "requested scope is not allowed")]).await;
}

/// oidc-provider answers `invalid_request` where RFC 6749 section 5.2 has `unauthorized_client`.
#[tokio::test]
async fn a_grant_that_the_client_may_not_use() {
    let bench = fitting().await;
    bench
        .register(json!({"client_secret": "right-s3cr3t", "grant_types": ["refresh_token"]}))
        .await;
    bench.run().await.assert_refused("HTTP 400: invalid_request");
    let words = "requested grant type is not allowed for this client";
    bench.assert_log(&[("invalid_request", words)]).await;
}

#[tokio::test]
async fn a_grant_that_the_server_does_not_know() {
    let bench = fitting().await;
    bench.write_provider(json!({"request": {"parameters": {"grant_type": "urn:example:no-such"}}}));
    bench.run().await.assert_refused("HTTP 400: unsupported_grant_type");
    bench.assert_log(&[("unsupported_grant_type", "unsupported grant_type requested")]).await;
}

/// No OAuth error at all: it may be a gateway that is being set up, so it is tried again.
#[tokio::test]
async fn a_path_that_is_none() {
    let bench = fitting().await;
    bench.write_provider(json!({"request": {"url": format!("{}/nowhere", bench.token_url())}}));
    bench.run().await.assert_failed("ProviderError", "HTTP 404");
    bench.assert_log(&[]).await;
}
