//! `issuer` instead of `request.url`: the server's own metadata (RFC 8414) say where its endpoints are.

use rstest::rstest;
use serde_json::json;

use crate::bench::Bench;
use crate::server::{Side, server};

async fn discovering(bench: &Bench, issuer: &str) {
    bench.register(json!({"client_secret": "s3cr3t"})).await;
    bench.write_provider(json!({"issuer": issuer, "request": {"url": ""}}));
    bench.write_credentials(json!({"client_secret": "s3cr3t"}));
    bench.write_token(json!({"scopes": ["read"]}));
}

#[rstest]
#[case::http(Side::Http)]
#[case::https(Side::Https)]
#[tokio::test]
async fn an_issuer_is_all_that_is_known(#[case] side: Side) {
    let bench = Bench::on(side);
    discovering(&bench, &server().issuer(side)).await;
    let good = bench.good().await;
    assert_eq!(good.claims["iss"], server().issuer(side));
    bench.ask_for_refresh("1");
    bench.good().await;
    bench.assert_log(&[("success", ""); 2]).await;
}

/// The audience of an assertion is the token endpoint that was discovered.
#[tokio::test]
async fn an_assertion_is_for_the_endpoint_that_was_found() {
    let bench = Bench::new();
    bench.register(json!({"token_endpoint_auth_method": "private_key_jwt", "keys": ["RSA"]})).await;
    bench.write_provider(json!({
        "issuer": server().issuer(Side::Http), "request": {"url": ""},
        "clientAuthentication": ["private_key_jwt"], "assertion": {"algorithm": "RS256"},
    }));
    bench.write_credentials(json!({"private_key": server().key("RSA", "pkcs8")}));
    bench.write_token(json!({}));
    bench.good().await;
}

/// RFC 8414 section 3.3: metadata of another issuer are not to be used.
#[tokio::test]
async fn metadata_of_another_issuer_are_not_believed() {
    let bench = Bench::new();
    // The same server under another name: a proxy, or somebody in between.
    discovering(&bench, &server().issuer(Side::Http).replace("127.0.0.1", "localhost")).await;
    bench.run().await.assert_failed("DiscoveryFailed", "the metadata of another issuer");
    bench.assert_log(&[]).await;
}

#[tokio::test]
async fn no_metadata_at_all() {
    let bench = Bench::new();
    discovering(&bench, &format!("{}/tenant", server().issuer(Side::Http))).await;
    bench.run().await.assert_failed("DiscoveryFailed", "set spec.request.url");
    bench.assert_log(&[]).await;
}
