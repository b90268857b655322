//! RFC 6749 section 4.4 with a shared secret.

use provider_simulator::{Client, Options, Simulator, System};
use rstest::rstest;
use serde_json::json;

use crate::bench::Bench;

/// Every printable ASCII character, which is what a secret may hold (RFC 6749 appendix A.2).
fn every_character() -> String {
    (' '..='~').collect()
}

#[rstest]
#[case::plain("s3cr3t")]
#[case::colon("a:b::c")]
#[case::percent("100%25 %zz%")]
#[case::plus("a+b c+")]
#[case::ampersand("a&b=c&client_id=x")]
#[case::quotes(r#"it's "quoted" `so`"#)]
#[case::backslash(r"back\slash\\n")]
#[case::spaces("  leading and trailing  ")]
#[case::base64("hJ5=fO/3%41&zC:pU8+iE1oXaBlKw7Gy==")]
#[case::every_character(&every_character())]
#[tokio::test]
async fn a_secret_arrives_as_it_is(
    #[case] secret: &str,
    #[values("client_secret_basic", "client_secret_post")] method: &str,
) {
    let bench = Bench::new();
    let client = json!({"client_secret": secret, "token_endpoint_auth_method": method});
    bench.register(client).await;
    bench.write_provider(json!({"clientAuthentication": [method]}));
    bench.write_credentials(json!({"client_secret": secret}));
    bench.write_token(json!({"scopes": ["read", "write"]}));
    let good = bench.good().await;
    assert_eq!(good.claims["scope"], "read write");
    bench.assert_log(&[("success", "")]).await;
}

/// RFC 6749 appendix A.1: an id may hold what a secret may.
#[tokio::test]
async fn an_id_arrives_as_it_is() {
    let mut bench = Bench::new();
    bench.client_id = format!("{} {}", bench.client_id, every_character());
    bench.register(json!({"client_secret": "s3cr3t"})).await;
    bench.write_provider(json!({}));
    bench.write_credentials(json!({"client_secret": "s3cr3t"}));
    bench.write_token(json!({}));
    bench.good().await;
}

/// The server takes none; tokenward's own simulator does, see below.
#[tokio::test]
async fn a_secret_beyond_ascii_cannot_be_registered() {
    let refused = Bench::new().try_register(json!({"client_secret": "pässword"})).await;
    assert_eq!(refused.unwrap_err(), "invalid client_secret value");
}

#[tokio::test]
async fn a_token_that_is_good_is_not_asked_for_again() {
    let bench = Bench::new();
    bench.register(json!({"client_secret": "s3cr3t"})).await;
    bench.write_provider(json!({}));
    bench.write_credentials(json!({"client_secret": "s3cr3t"}));
    bench.write_token(json!({}));
    let first = bench.good().await;
    let again = bench.good().await;
    assert_eq!(again.token, first.token);
    bench.assert_log(&[("success", "")]).await;
}

#[tokio::test]
async fn a_revoked_token_is_replaced_when_a_person_asks() {
    let bench = Bench::new();
    bench.register(json!({"client_secret": bench.client_id})).await;
    bench.write_provider(json!({}));
    bench.write_credentials(json!({"client_secret": bench.client_id}));
    bench.write_token(json!({}));
    let first = bench.good().await;
    let server = crate::server::server();
    server.revoke(bench.side, &bench.client_id, &first.token).await;
    assert_eq!(server.introspect(bench.side, &first.token).await, json!({"active": false}));
    bench.ask_for_refresh("now");
    assert_ne!(bench.good().await.token, first.token);
}

/// RFC 6749 appendix B: UTF-8, then form encoding.
#[rstest]
#[tokio::test]
async fn a_secret_beyond_ascii_arrives_at_the_simulator(
    #[values("client_secret_basic", "client_secret_post")] method: &str,
) {
    let (id, secret) = ("søren", "pässwörd £€ \u{1f511}");
    let simulator = Simulator::start(Options::default()).await.unwrap();
    simulator.set_clients(System::Oauth2, vec![Client::new(id, secret)]);
    let bench = Bench::new();
    bench.write_provider(json!({
        "request": {"url": format!("http://{}/oauth2/token", simulator.addr())},
        "clientAuthentication": [method],
    }));
    bench.write_credentials(json!({"client_id": id, "client_secret": secret}));
    bench.write_token(json!({}));
    bench.run().await.assert_good();
    assert!(simulator.is_active(&bench.key("access_token").unwrap()));
}
