//! Mutual TLS (RFC 8705): the certificate is the client's credential.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rstest::rstest;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::certificates::{Identity, self_signed};
use crate::server::{Side, server};

/// A client that is registered with `metadata`, and manifests that show `identity`.
async fn showing(identity: &Identity, method: &str, metadata: Value) -> Bench {
    let bench = Bench::on(Side::Https);
    set_up(&bench, identity, (method, metadata)).await;
    bench
}

async fn set_up(bench: &Bench, identity: &Identity, (method, metadata): (&str, Value)) {
    let mut client = metadata;
    client["token_endpoint_auth_method"] = method.into();
    bench.register(client).await;
    bench.write_provider(json!({"clientAuthentication": [method]}));
    bench.write_credentials(json!({"tls.crt": identity.certificate, "tls.key": identity.key}));
    bench.write_token(json!({}));
}

#[rstest]
#[case::subject_dn(json!({"tls_client_auth_subject_dn": "CN=shop,O=tokenward"}))]
#[case::dns_name(json!({"tls_client_auth_san_dns": "shop.example"}))]
#[tokio::test]
async fn a_certificate_of_an_authority(#[case] metadata: Value) {
    let identity = server().authority.client("shop");
    showing(&identity, "tls_client_auth", metadata).await.good().await;
}

/// Keys in the formats that people have them in.
#[rstest]
#[case::rsa_pkcs1("RSA", "pkcs1")]
#[case::rsa_pkcs8("RSA", "pkcs8")]
#[case::p256_sec1("P-256", "sec1")]
#[case::p384_pkcs8("P-384", "pkcs8")]
#[case::ed25519("Ed25519", "pkcs8")]
#[tokio::test]
async fn a_key_of_any_kind(#[case] name: &str, #[case] format: &str) {
    let server = server();
    let pkcs8 = server.key(name, "pkcs8");
    let certificate = server.authority.client_with("shop", pkcs8);
    let identity = Identity { certificate, key: server.key(name, format).to_owned() };
    let metadata = json!({"tls_client_auth_san_dns": "shop.example"});
    showing(&identity, "tls_client_auth", metadata).await.good().await;
}

#[tokio::test]
async fn a_certificate_that_the_client_signed_itself() {
    let identity = self_signed("shop");
    let metadata = json!({"certificates": [identity.certificate]});
    showing(&identity, "self_signed_tls_client_auth", metadata).await.good().await;
}

/// RFC 8705 section 3: the token is worth nothing without the certificate.
#[tokio::test]
async fn a_token_is_bound_to_the_certificate() {
    let identity = server().authority.client("shop");
    let metadata = json!({
        "tls_client_auth_san_dns": "shop.example",
        "tls_client_certificate_bound_access_tokens": true,
    });
    let good = showing(&identity, "tls_client_auth", metadata).await.good().await;
    let der = pem_to_der(&identity.certificate);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
    assert_eq!(good.claims["cnf"]["x5t#S256"], URL_SAFE_NO_PAD.encode(digest));
}

/// Connections are pooled: one client's must never carry another's request.
#[tokio::test]
async fn two_clients_of_one_run_show_a_certificate_each() {
    let names = ["shop", "stock"];
    let first = Bench::on(Side::Https);
    let second = first.beside("second");
    for (bench, name) in [&first, &second].into_iter().zip(names) {
        let identity = server().authority.client(name);
        let metadata = json!({"tls_client_auth_san_dns": format!("{name}.example")});
        set_up(bench, &identity, ("tls_client_auth", metadata)).await;
    }
    first.good().await;
    second.good().await;
    for bench in [&first, &second] {
        bench.assert_log(&[("success", "")]).await;
    }
}

#[rstest]
#[case::another_authority(self_signed("shop"), "client certificate was not verified")]
#[case::another_subject(server().authority.client("other"), "certificate subject value does not match the registered one")]
#[tokio::test]
async fn a_certificate_that_does_not_fit(#[case] identity: Identity, #[case] words: &str) {
    let metadata = json!({"tls_client_auth_san_dns": "shop.example"});
    let bench = showing(&identity, "tls_client_auth", metadata).await;
    bench.run().await.assert_refused("HTTP 401: invalid_client");
    bench.assert_log(&[("invalid_client", words)]).await;
}

#[tokio::test]
async fn a_self_signed_certificate_that_is_not_registered() {
    let metadata = json!({"certificates": [self_signed("shop").certificate]});
    let bench = showing(&self_signed("shop"), "self_signed_tls_client_auth", metadata).await;
    bench.run().await.assert_refused("HTTP 401: invalid_client");
    let words = "unregistered client certificate provided";
    bench.assert_log(&[("invalid_client", words)]).await;
}

#[tokio::test]
async fn no_certificate_where_one_is_wanted() {
    let identity = server().authority.client("shop");
    let metadata = json!({"tls_client_auth_san_dns": "shop.example"});
    let bench = showing(&identity, "tls_client_auth", metadata).await;
    bench.write_provider(json!({"clientAuthentication": ["none"]}));
    bench.run().await.assert_refused("HTTP 401: invalid_client");
    let words = "client certificate was not provided";
    bench.assert_log(&[("invalid_client", words)]).await;
}

/// Told before anything is sent, and without the key.
#[tokio::test]
async fn a_key_that_is_another_certificates() {
    let mut identity = server().authority.client("shop");
    identity.key = server().authority.client("shop").key;
    let metadata = json!({"tls_client_auth_san_dns": "shop.example"});
    let bench = showing(&identity, "tls_client_auth", metadata).await;
    bench.run().await.assert_failed("InvalidCredentials", "tls.");
    bench.assert_log(&[]).await;
}

fn pem_to_der(pem: &str) -> Vec<u8> {
    let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(lines).unwrap()
}
