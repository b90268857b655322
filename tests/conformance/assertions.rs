//! Client authentication with a JWT (RFC 7523 section 2.2): `client_secret_jwt`, `private_key_jwt`.

use rstest::rstest;
use serde_json::{Value, json};

use crate::bench::{Bench, merge};
use crate::server::{Side, server};

/// Long enough for HS512.
const SECRET: &str = "a shared secret that is at least as long as the longest digest, 64 bytes";

/// A client that has registered all its keys, and manifests that sign with one of them.
async fn signing(algorithm: &str, key: &str) -> Bench {
    let bench = Bench::new();
    let keys = ["RSA", "P-256", "P-384", "P-521", "Ed25519"];
    bench.register(json!({"token_endpoint_auth_method": "private_key_jwt", "keys": keys})).await;
    write_provider(&bench, &json!({"algorithm": algorithm}));
    bench.write_credentials(json!({"private_key": key}));
    bench.write_token(json!({"scopes": ["read"]}));
    bench
}

fn write_provider(bench: &Bench, assertion: &Value) {
    bench.write_provider(
        json!({"clientAuthentication": ["private_key_jwt"], "assertion": assertion}),
    );
}

#[rstest]
#[case::rs256("RS256", "RSA", "pkcs8")]
#[case::rs256_pkcs1("RS256", "RSA", "pkcs1")]
#[case::rs384("RS384", "RSA", "pkcs8")]
#[case::rs512("RS512", "RSA", "pkcs8")]
#[case::ps256("PS256", "RSA", "pkcs8")]
#[case::ps384("PS384", "RSA", "pkcs1")]
#[case::ps512("PS512", "RSA", "pkcs8")]
#[case::es256("ES256", "P-256", "pkcs8")]
#[case::es256_sec1("ES256", "P-256", "sec1")]
#[case::es384("ES384", "P-384", "pkcs8")]
#[case::es384_sec1("ES384", "P-384", "sec1")]
#[case::es512("ES512", "P-521", "pkcs8")]
#[case::es512_sec1("ES512", "P-521", "sec1")]
#[case::eddsa("EdDSA", "Ed25519", "pkcs8")]
#[tokio::test]
async fn a_private_key(#[case] algorithm: &str, #[case] name: &str, #[case] format: &str) {
    signing(algorithm, server().key(name, format)).await.good().await;
}

/// The server takes none twice.
#[tokio::test]
async fn each_assertion_is_a_new_one() {
    let bench = signing("ES256", server().key("P-256", "pkcs8")).await;
    bench.good().await;
    bench.ask_for_refresh("now");
    bench.good().await;
    bench.assert_log(&[("success", ""); 2]).await;
}

#[rstest]
#[case::usual(json!({}))]
#[case::hs256(json!({"algorithm": "HS256"}))]
#[case::hs384(json!({"algorithm": "HS384"}))]
#[case::hs512(json!({"algorithm": "HS512"}))]
#[tokio::test]
async fn a_shared_secret(#[case] assertion: Value) {
    let bench = Bench::new();
    let method = "client_secret_jwt";
    bench.register(json!({"client_secret": SECRET, "token_endpoint_auth_method": method})).await;
    bench.write_provider(json!({"clientAuthentication": [method], "assertion": assertion}));
    bench.write_credentials(json!({"client_secret": SECRET}));
    bench.write_token(json!({}));
    bench.good().await;
}

#[tokio::test]
async fn a_shared_secret_that_is_wrong() {
    let bench = Bench::new();
    let method = "client_secret_jwt";
    bench.register(json!({"client_secret": SECRET, "token_endpoint_auth_method": method})).await;
    bench.write_provider(json!({"clientAuthentication": [method]}));
    bench.write_credentials(json!({"client_secret": SECRET.replace("64", "63")}));
    bench.write_token(json!({}));
    bench.run().await.assert_refused("HTTP 401: invalid_client");
    bench.assert_log(&[("invalid_client", "signature verification failed")]).await;
}

#[rstest]
#[case::key_id(json!({"algorithm": "ES256", "keyID": "P-256"}))]
#[case::key_id_from_a_credential(json!({"algorithm": "ES256", "keyID": "{{ credentials.key_id }}"}))]
#[case::issuer_as_audience(json!({"algorithm": "ES256", "audience": "ISSUER"}))]
#[case::key_under_another_name(json!({"algorithm": "ES256", "key": "{{ credentials.signing.pem }}"}))]
#[case::backdated(json!({"algorithm": "ES256", "backdate": "30s", "lifetime": "5m"}))]
#[case::more_claims(json!({"algorithm": "ES256", "claims": {"aud": ["ISSUER", "https://other.example"]}}))]
#[tokio::test]
async fn an_assertion_may_be_spelled_out(#[case] assertion: Value) {
    let pem = server().key("P-256", "pkcs8");
    let bench = signing("ES256", pem).await;
    let issuer = server().issuer(Side::Http);
    let text = assertion.to_string().replace("ISSUER", &issuer);
    write_provider(&bench, &serde_json::from_str(&text).unwrap());
    bench.write_credentials(json!({"private_key": pem, "signing.pem": pem, "key_id": "P-256"}));
    bench.good().await;
}

#[rstest]
#[case::key_of_somebody_else("P-256-other", json!({}), "signature verification failed")]
#[case::key_id_of_another_key("P-256", json!({"keyID": "P-384"}), "no applicable key found in the JSON Web Key Set")]
#[case::unknown_key_id("P-256", json!({"keyID": "nothing"}), "no applicable key found in the JSON Web Key Set")]
#[case::another_audience("P-256", json!({"audience": "https://other.example"}), "audience (aud) must equal the endpoint url, issuer identifier or token endpoint url")]
#[case::another_issuer("P-256", json!({"claims": {"iss": "somebody"}}), "iss (JWT issuer) must be the client_id")]
#[case::no_id("P-256", json!({"claims": {"jti": ""}}), "unique jti (JWT ID) must be provided in the client_assertion JWT")]
#[tokio::test]
async fn an_assertion_that_does_not_fit(
    #[case] key: &str,
    #[case] assertion: Value,
    #[case] words: &str,
) {
    let bench = signing("ES256", server().key(key, "pkcs8")).await;
    write_provider(&bench, &merge(json!({"algorithm": "ES256"}), assertion));
    bench.run().await.assert_refused("HTTP 401: invalid_client");
    bench.assert_log(&[("invalid_client", words)]).await;
}

#[tokio::test]
async fn an_algorithm_that_is_not_the_registered_one() {
    let bench = signing("RS256", server().key("RSA", "pkcs8")).await;
    let client = json!({
        "token_endpoint_auth_method": "private_key_jwt", "keys": ["RSA"],
        "token_endpoint_auth_signing_alg": "PS256",
    });
    bench.register(client).await;
    bench.run().await.assert_refused("HTTP 401: invalid_client");
    bench.assert_log(&[("invalid_client", "alg mismatch")]).await;
}

/// Told before anything is sent, and without the key.
#[rstest]
#[case::kind_of_key("RS256", "P-256")]
#[case::curve("ES256", "P-384")]
#[tokio::test]
async fn a_key_that_cannot_sign_so(#[case] algorithm: &str, #[case] key: &str) {
    let pem = server().key(key, "pkcs8");
    let bench = signing(algorithm, pem).await;
    let run = bench.run().await;
    run.assert_failed("InvalidCredentials", "web/token-credentials");
    assert!(!run.stderr().contains(pem.lines().nth(1).unwrap()), "{}", run.stderr());
    bench.assert_log(&[]).await;
}
