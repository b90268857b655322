//! The grant `refresh_token` (RFC 6749 section 6), at a server that hands out a new refresh token
//! each time and takes none twice (RFC 9700 section 4.14.2).

use std::fs;
use std::path::Path;

use rstest::rstest;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::certificates::self_signed;
use crate::server::Side;

const SCOPE: &str = "openid offline_access read write";
const SECRET: &str = "s3cr3t";

/// A client that a person has consented to, and the refresh token that came of it.
async fn consented() -> (Bench, Value) {
    let bench = Bench::new();
    bench.register(json!({"client_secret": SECRET})).await;
    let refresh_token = consent(&bench, json!({})).await;
    write(&bench, &refresh_token);
    (bench, refresh_token)
}

async fn consent(bench: &Bench, how: Value) -> Value {
    let how = crate::bench::merge(json!({"scope": SCOPE}), how);
    bench.control("refresh-token", how).await["value"].take()
}

fn write(bench: &Bench, refresh_token: &Value) {
    bench.write_provider(json!({"grant": "refresh_token"}));
    bench.write_credentials(json!({"client_secret": SECRET, "refresh_token": refresh_token}));
    bench.write_token(json!({}));
}

/// Each run is a new process: what was rotated outlives it.
#[tokio::test]
async fn each_refresh_token_is_used_once() {
    let (bench, _) = consented().await;
    let mut tokens = vec![bench.good().await.token];
    for request in ["1", "2", "3"] {
        bench.ask_for_refresh(request);
        tokens.push(bench.good().await.token);
    }
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 4);
    bench.assert_log(&[("success", ""); 4]).await;
}

#[tokio::test]
async fn what_was_rotated_is_refused_afterwards() {
    let (bench, first) = consented().await;
    bench.good().await;
    // Somebody else has the first one, and uses it.
    let mut thief = bench.beside("thief");
    thief.client_id.clone_from(&bench.client_id);
    write(&thief, &first);
    thief.run().await.assert_refused("HTTP 400: invalid_grant");
    thief.remove();
    // That ends the whole grant: a person has to consent again, and that heals.
    bench.ask_for_refresh("1");
    bench.run().await.assert_good_still("HTTP 400: invalid_grant");
    let log = [
        ("success", ""),
        ("invalid_grant", "refresh token already used"),
        ("invalid_grant", "refresh token not found"),
    ];
    bench.assert_log(&log).await;

    write(&bench, &consent(&bench, json!({})).await);
    bench.good().await;
    bench.assert_log(&[&log[..], &[("success", "")]].concat()).await;
}

/// Only the process that refreshes needs it.
#[tokio::test]
async fn no_refresh_token_reaches_the_target() {
    let (bench, first) = consented().await;
    bench.good().await;
    let (first, mut kept) = (first.as_str().unwrap(), 0);
    for (path, text) in files(&bench.out()) {
        let own = path.starts_with(bench.out().join(".tokenward"));
        assert!(own || !text.contains(first), "{}", path.display());
        assert!(own || !text.contains("refresh_token"), "{}", path.display());
        kept += usize::from(own);
    }
    assert!(kept > 0);
}

#[tokio::test]
async fn a_public_client_refreshes() {
    let bench = Bench::new();
    bench.register(json!({"token_endpoint_auth_method": "none"})).await;
    write(&bench, &consent(&bench, json!({})).await);
    bench.write_provider(json!({"grant": "refresh_token", "clientAuthentication": ["none"]}));
    bench.good().await;
    bench.ask_for_refresh("1");
    bench.good().await;
    bench.assert_log(&[("success", ""); 2]).await;
}

/// RFC 8705 section 4: the refresh token is bound to the certificate.
#[tokio::test]
async fn a_refresh_token_that_is_bound_to_a_certificate() {
    let bench = Bench::on(Side::Https);
    let [own, other] = ["own", "other"].map(self_signed);
    let method = "self_signed_tls_client_auth";
    let both = json!([own.certificate, other.certificate]);
    bench.register(json!({"token_endpoint_auth_method": method, "certificates": both})).await;
    let bound = consent(&bench, json!({"certificate": own.certificate})).await;
    write(&bench, &bound);
    bench.write_provider(json!({"grant": "refresh_token", "clientAuthentication": [method]}));
    let show = |identity: &crate::certificates::Identity| {
        bench.write_credentials(json!({
            "tls.crt": identity.certificate, "tls.key": identity.key, "refresh_token": bound,
        }));
    };
    show(&own);
    bench.good().await;
    show(&other);
    bench.run().await.assert_good_still("HTTP 400: invalid_grant");
    show(&own);
    bench.good().await;
    let failed = ("invalid_grant", "failed x5t#S256 verification");
    bench.assert_log(&[("success", ""), failed, ("success", "")]).await;
}

#[rstest]
#[case::less_than_granted(json!(["read"]), "read")]
#[case::all_that_was_granted(json!([]), SCOPE)]
#[tokio::test]
async fn a_scope(#[case] scopes: Value, #[case] granted: &str) {
    let (bench, _) = consented().await;
    bench.write_token(json!({"scopes": scopes}));
    assert_eq!(bench.good().await.claims["scope"], granted);
}

#[tokio::test]
async fn a_resource() {
    let bench = Bench::new();
    bench.register(json!({"client_secret": SECRET})).await;
    let resource = "https://jwt.example/api";
    write(&bench, &consent(&bench, json!({"scope": "read", "resource": resource})).await);
    bench.write_provider(json!({
        "grant": "refresh_token", "request": {"parameters": {"resource": resource}},
    }));
    let good = bench.good_jwt("https://jwt.example").await;
    assert_eq!(good.claims["scope"], "read");
    assert_eq!(good.claims["sub"], "alice");
}

#[rstest]
#[case::expired(json!({"age": 1_000_000}), "refresh token is expired")]
#[case::unknown(Value::Null, "refresh token not found")]
#[tokio::test]
async fn a_refresh_token_that_is_no_good(#[case] how: Value, #[case] words: &str) {
    let (bench, _) = consented().await;
    let refresh_token = match how {
        Value::Null => "unknown-but-well-formed-refresh-token-0123".into(),
        how => consent(&bench, how).await,
    };
    write(&bench, &refresh_token);
    bench.run().await.assert_refused("HTTP 400: invalid_grant");
    bench.assert_log(&[("invalid_grant", words)]).await;
    write(&bench, &consent(&bench, json!({})).await);
    bench.good().await;
}

#[tokio::test]
async fn a_refresh_token_of_another_client() {
    let (bench, _) = consented().await;
    let (_other, foreign) = consented().await;
    write(&bench, &foreign);
    bench.run().await.assert_refused("HTTP 400: invalid_grant");
    bench.assert_log(&[("invalid_grant", "client mismatch")]).await;
}

#[tokio::test]
async fn a_scope_that_was_not_granted() {
    let bench = Bench::new();
    bench.register(json!({"client_secret": SECRET})).await;
    write(&bench, &consent(&bench, json!({"scope": "openid read"})).await);
    bench.write_token(json!({"scopes": ["read", "write"]}));
    bench.run().await.assert_refused("HTTP 400: invalid_scope");
    bench.assert_log(&[("invalid_scope", "refresh token missing requested scope")]).await;
    // Nothing was used up.
    bench.write_token(json!({"scopes": ["read"]}));
    bench.good().await;
}

fn files(folder: &Path) -> Vec<(std::path::PathBuf, String)> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let text = fs::read(&path).unwrap();
            found.push((path, String::from_utf8_lossy(&text).into_owned()));
        }
    }
    found
}
