//! Revocation (RFC 7009): what is not needed any more is worth nothing to whoever finds it.

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::server::server;

const SECRET: &str = "s3cr3t";

async fn revoking(on: &str, document: Value) -> Bench {
    let bench = Bench::new();
    bench.register(json!({"client_secret": SECRET})).await;
    bench.write_provider(document);
    bench.write_credentials(json!({"client_secret": SECRET}));
    bench.write_token(json!({"revoke": [on]}));
    bench
}

async fn is_active(bench: &Bench, token: &str) -> bool {
    server().introspect(bench.side, token).await["active"] == true
}

/// Where the endpoint is, the issuer tells.
#[tokio::test]
async fn the_former_token_goes_once_nobody_can_hold_it() {
    let issuer = server().issuer(Bench::new().side);
    let document = json!({"issuer": issuer, "request": {"url": ""}});
    let bench = revoking("Rotation", document).await;
    let _keeper = bench.keep();
    bench.until("a token is there", async || bench.key("access_token").is_some()).await;
    let former = bench.key("access_token").unwrap();
    bench.ask_for_refresh("1");
    bench
        .until("another is there", async || bench.key("access_token").is_some_and(|t| t != former))
        .await;
    bench.until("the former is revoked", async || !is_active(&bench, &former).await).await;
    assert!(is_active(&bench, &bench.key("access_token").unwrap()).await);
}

/// Never unless it is asked for.
#[tokio::test]
async fn a_token_stays_good_by_default() {
    let url = format!("{}/revocation", Bench::new().token_url());
    let bench = revoking("Rotation", json!({"revocation": {"url": url}})).await;
    bench.write_token(json!({}));
    let first = bench.good().await;
    bench.ask_for_refresh("1");
    assert_ne!(bench.good().await.token, first.token);
    assert!(is_active(&bench, &first.token).await);
}
