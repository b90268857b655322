//! What the grants `jwt_bearer`, `token_exchange`, `password` and `local` ask with.

use rstest::rstest;
use serde_json::{Value, json};

use crate::bench::{Bench, merge};
use crate::server::server;

const SECRET: &str = "s3cr3t";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

async fn asking(document: Value, credentials: Value) -> Bench {
    let bench = Bench::new();
    bench.register(json!({"client_secret": SECRET})).await;
    bench.control("issuer", json!({"issuer": bench.client_id, "keys": ["P-256"]})).await;
    let basic = json!({"clientAuthentication": ["client_secret_basic"]});
    bench.write_provider(merge(basic, document));
    bench.write_credentials(merge(json!({"client_secret": SECRET}), credentials));
    bench.write_token(json!({}));
    bench
}

/// RFC 7523 section 2.1, with this over the usual assertion.
async fn asserting(assertion: Value) -> Bench {
    let assertion = merge(json!({"algorithm": "ES256"}), assertion);
    let key = json!({"private_key": server().key("P-256", "pkcs8")});
    asking(json!({"grant": "jwt_bearer", "assertion": assertion}), key).await
}

#[tokio::test]
async fn an_assertion_names_the_client() {
    let bench = asserting(json!({})).await;
    bench.write_token(json!({"scopes": ["read"]}));
    let good = bench.good().await;
    assert_eq!(good.claims["sub"], bench.client_id);
    assert_eq!(good.claims["scope"], "read");
}

#[tokio::test]
async fn an_assertion_names_somebody_else() {
    let bench = asserting(json!({"claims": {"sub": "{{ parameters.user }}"}})).await;
    bench.write_token(json!({"parameters": {"user": "bob@example.com"}}));
    assert_eq!(bench.good().await.claims["sub"], "bob@example.com");
}

#[tokio::test]
async fn an_assertion_is_new_each_time() {
    let bench = asserting(json!({"lifetime": "4m", "backdate": "30s"})).await;
    bench.good().await;
    bench.ask_for_refresh("1");
    bench.good().await;
    bench.assert_log(&[("success", ""); 2]).await;
}

#[rstest]
#[case::unknown_issuer(json!({"claims": {"iss": "somebody"}}), "nobody trusts the issuer somebody")]
#[case::another_audience(json!({"audience": "https://other.example"}), "unexpected \"aud\" claim value")]
#[case::no_subject(json!({"claims": {"sub": ""}}), "missing required \"sub\" claim")]
#[case::too_old(json!({"backdate": "10m"}), "\"iat\" claim timestamp check failed (too far in the past)")]
#[case::another_key(json!({"keyID": "RSA"}), "no applicable key found in the JSON Web Key Set")]
#[tokio::test]
async fn an_assertion_that_is_not_believed(#[case] assertion: Value, #[case] words: &str) {
    let bench = asserting(assertion).await;
    bench.run().await.assert_refused("HTTP 400: invalid_grant");
    bench.assert_log(&[("invalid_grant", words)]).await;
}

/// RFC 8693, with these parameters. The subject is bob.
async fn exchanging(parameters: Value) -> Bench {
    let document = json!({"grant": "token_exchange", "request": {"parameters": parameters}});
    let bench = asking(document, json!({})).await;
    let [subject, actor] = ["bob", "robot"].map(|account| json!({"account": account}));
    let subject = bench.control("access-token", subject).await["value"].take();
    let actor = bench.control("access-token", actor).await["value"].take();
    bench.write_credentials(
        json!({"client_secret": SECRET, "subject_token": subject, "actor_token": actor}),
    );
    bench
}

#[tokio::test]
async fn a_subject_token_is_exchanged() {
    let bench = exchanging(json!({})).await;
    bench.write_token(json!({"scopes": ["read"]}));
    let good = bench.good().await;
    assert_eq!(good.claims["sub"], "bob");
    assert_eq!(good.claims["scope"], "read");
    assert_eq!(good.claims.get("act"), None);
}

#[tokio::test]
async fn an_actor_acts_for_the_subject() {
    let bench = exchanging(json!({
        "actor_token": "{{ credentials.actor_token }}", "actor_token_type": ACCESS_TOKEN,
        "audience": "https://api.example", "requested_token_type": ACCESS_TOKEN,
    }))
    .await;
    let good = bench.good().await;
    assert_eq!(good.claims["sub"], "bob");
    assert_eq!(good.claims["act"], json!({"sub": "robot"}));
    assert_eq!(good.claims["aud"], "https://api.example");
}

/// The subject is a token of another `OAuthClientToken`.
#[tokio::test]
async fn one_token_is_exchanged_for_another() {
    let bench = exchanging(json!({"subject_token": "{{ tokens.login }}"})).await;
    let login = bench.beside("login");
    login.register(json!({"client_secret": SECRET})).await;
    login.control("account", json!({"username": "carol", "password": "pa55"})).await;
    login.write_provider(json!({"grant": "password"}));
    login.write_credentials(
        json!({"client_secret": SECRET, "username": "carol", "password": "pa55"}),
    );
    login.write_token(json!({}));
    bench.write_token(json!({"tokenRefs": {"login": {"name": "login"}}}));
    let _keeper = bench.keep();
    bench
        .until("both are there", async || {
            bench.key("access_token").is_some() && login.key("access_token").is_some()
        })
        .await;
    assert_eq!(login.vouched().await.claims["sub"], "carol");
    assert_eq!(bench.vouched().await.claims["sub"], "carol");
}

/// A JWT of the client's own making as the subject.
#[tokio::test]
async fn a_minted_subject_is_exchanged() {
    let document = json!({
        "grant": "token_exchange",
        "assertion": {"algorithm": "ES256", "claims": {"sub": "dave"}},
        "request": {"parameters": {
            "subject_token": "{{ assertion.jwt }}", "subject_token_type": JWT,
        }},
    });
    let key = json!({"private_key": server().key("P-256", "sec1")});
    let bench = asking(document, key).await;
    assert_eq!(bench.good().await.claims["sub"], "dave");
}

#[rstest]
#[case::unknown_subject(json!({"subject_token": "nothing"}), "subject_token is no active access token")]
#[case::unknown_type(json!({"subject_token_type": "urn:example:other"}), "subject_token_type is not supported")]
#[case::actor_without_type(json!({"actor_token": "x"}), "actor_token and actor_token_type come together")]
#[tokio::test]
async fn an_exchange_that_is_refused(#[case] parameters: Value, #[case] words: &str) {
    let bench = exchanging(parameters).await;
    bench.run().await.assert_refused("HTTP 400: invalid_request");
    bench.assert_log(&[("invalid_request", words)]).await;
}

#[rstest]
#[case::plain("erin", "pa55word")]
#[case::punctuation("a+b&c=d%41@example.com", " :%+&=\"'\\;/?# ")]
#[case::beyond_ascii("zoë", "пароль £€ 🔑")]
#[tokio::test]
async fn a_password_arrives_as_it_is(#[case] username: &str, #[case] password: &str) {
    let account = json!({"username": username, "password": password});
    let bench = asking(json!({"grant": "password"}), account.clone()).await;
    bench.control("account", account).await;
    bench.write_token(json!({"scopes": ["read"]}));
    let good = bench.good().await;
    assert_eq!(good.claims["sub"], username);
    assert_eq!(good.claims["scope"], "read");
}

#[tokio::test]
async fn a_wrong_password() {
    let account = json!({"username": "frank", "password": "wr0ng-password"});
    let bench = asking(json!({"grant": "password"}), account).await;
    let run = bench.run().await;
    run.assert_refused("HTTP 400: invalid_grant");
    assert!(!run.stderr().contains("wr0ng-password"), "{}", run.stderr());
    bench.assert_log(&[("invalid_grant", "wrong username or password")]).await;
}

/// `local`: the minted JWT is the token, and whoever trusts its issuer believes it.
#[tokio::test]
async fn a_minted_token_is_believed() {
    let bench = Bench::new();
    bench.register(json!({"client_secret": bench.client_id})).await;
    bench.control("issuer", json!({"issuer": bench.client_id, "keys": ["Ed25519"]})).await;
    bench.write_provider(json!({
        "grant": "local",
        "request": {"url": ""},
        "assertion": {
            "algorithm": "EdDSA", "audience": bench.token_url(), "lifetime": "4m",
            "claims": {"sub": "grace"},
        },
    }));
    bench.write_credentials(json!({"private_key": server().key("Ed25519", "pkcs8")}));
    bench.write_token(json!({}));
    bench.run().await.assert_good();
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", &bench.key("access_token").unwrap()),
    ];
    let answer = server().ask(&bench.token_url(), &bench.client_id, &form).await;
    let claims = server().introspect(bench.side, answer["access_token"].as_str().unwrap()).await;
    assert_eq!(claims["sub"], "grace");
}
