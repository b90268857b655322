//! Resource indicators (RFC 8707).

use rstest::rstest;
use serde_json::json;

use crate::bench::Bench;

async fn asking_for(resource: &str) -> Bench {
    let bench = Bench::new();
    bench.register(json!({"client_secret": "s3cr3t"})).await;
    bench.write_provider(json!({
        "request": {"parameters": {"resource": "{{ parameters.resource }}"}},
    }));
    bench.write_credentials(json!({"client_secret": "s3cr3t"}));
    bench.write_token(json!({"scopes": ["read"], "parameters": {"resource": resource}}));
    bench
}

#[tokio::test]
async fn a_token_is_for_the_resource_that_was_named() {
    let good = asking_for("https://opaque.example/api").await.good().await;
    assert_eq!(good.claims["aud"], "https://opaque.example");
    assert_eq!(good.claims["scope"], "read");
}

#[tokio::test]
async fn a_jwt_names_the_resource_that_was_named() {
    let good = asking_for("https://jwt.example/api").await.good_jwt("https://jwt.example").await;
    assert_eq!(good.claims["aud"], "https://jwt.example");
    assert_eq!(good.claims["scope"], "read");
}

#[tokio::test]
async fn no_resource_is_asked_for_where_none_is_named() {
    let bench = asking_for("").await;
    let good = bench.good().await;
    assert_eq!(good.claims.get("aud"), None);
    bench.assert_log(&[("success", "")]).await;
}

#[rstest]
#[case::unknown("https://unknown.example/api", "resource indicator is missing, or unknown")]
#[case::relative("api", "resource indicator must be an absolute URI")]
#[case::fragment(
    "https://jwt.example/api#x",
    "resource indicator must not contain a fragment component"
)]
#[tokio::test]
async fn a_resource_that_is_none_is_refused(#[case] resource: &str, #[case] words: &str) {
    let bench = asking_for(resource).await;
    bench.run().await.assert_refused("HTTP 400: invalid_target");
    bench.assert_log(&[("invalid_target", words)]).await;
}
