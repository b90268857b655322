//! The grants of the system `oauth2`: each with a right request, and with wrong ones.

use std::time::Duration;

use provider_simulator::systems::oauth2::{
    CLIENT_ID, CLIENT_SECRET, PASSWORD, REFRESH_TOKEN, USERNAME,
};
use provider_simulator::{
    Authentication, Behaviour, Client, Fault, GrantType, KeyKind, KeyPair, Keys, Policy, Refresh,
    Reuse, Rotation, Seed, System, TrustedIssuer,
};
use serde_json::{Value, json};

use crate::client::{Ask, FORM, Got, LONG, encode, form, oauth2_basic, right};
use crate::oauth::{AUDIENCE, admitting as start, claims, logged, refused};

const GRANT: &str = "invalid_grant";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ISSUER: &str = "https://issuer.example";

/// A request with the client's secret in the header.
fn ask(pairs: &[(&str, &str)]) -> Ask {
    oauth2_basic().body(form(pairs))
}

fn refresh(token: &str) -> Ask {
    ask(&[("grant_type", "refresh_token"), ("refresh_token", token)])
}

fn rotated(got: &Got) -> String {
    got.json()["refresh_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_has_a_successor() {
    let sim = start(Policy::default()).await;
    let (first, entry) = logged(&sim, &refresh(REFRESH_TOKEN)).await;
    let judged = entry.judged;
    assert_eq!(judged.grant, Some(GrantType::RefreshToken));
    assert_eq!(judged.authentication, Some(Authentication::ClientSecretBasic));
    assert_eq!(judged.client_id.as_deref(), Some(CLIENT_ID));
    assert_eq!(judged.secret, Some(Client::new(CLIENT_ID, CLIENT_SECRET).fingerprint()));
    let second = rotated(&first);
    refused(&sim, &refresh(REFRESH_TOKEN), GRANT, "was used before").await;
    let (third, entry) = logged(&sim, &refresh(&second)).await;
    assert_eq!(entry.judged.refresh_token, judged.issued_refresh_token);
    assert!(rotated(&third) != second && third.token() != first.token());

    let serials: Vec<_> = sim.refresh_tokens().iter().map(|token| token.serial).collect();
    let used: Vec<_> = sim.refresh_tokens().iter().map(|token| token.used_at.is_some()).collect();
    assert_eq!(used, [true, true, false]);
    assert!(sim.refresh_tokens().iter().all(|token| token.family == serials[0]));
    let record = sim.introspect(&third.token()).unwrap();
    assert_eq!(record.refresh_token, Some(serials[1]));
    assert_eq!(Some(record.serial), entry.judged.issued);
}

#[tokio::test]
async fn a_used_refresh_token_is_taken_within_its_grace() {
    let grace = |grace| Rotation::EachUse { grace, on_reuse: Reuse::Refuse };
    let policy = |rotation| Policy::default().refreshing(Refresh::rotating(rotation));
    let sim = start(policy(grace(600))).await;
    let first = refresh(REFRESH_TOKEN).send(&sim).await;
    let again = refresh(REFRESH_TOKEN).send(&sim).await;
    assert_ne!(rotated(&first), rotated(&again));
    sim.set_policy(policy(grace(0)));
    refused(&sim, &refresh(REFRESH_TOKEN), GRANT, "was used before").await;
    assert_eq!(refresh(&rotated(&first)).send(&sim).await.status, 200);
}

#[tokio::test]
async fn a_reuse_can_revoke_everything_that_came_of_it() {
    let rotation = Rotation::EachUse { grace: 0, on_reuse: Reuse::RevokeFamily };
    let sim = start(Policy::default().refreshing(Refresh::rotating(rotation))).await;
    let first = refresh(REFRESH_TOKEN).send(&sim).await;
    let other = right(System::Oauth2).send(&sim).await;
    assert!(sim.is_active(&first.token()));
    refused(&sim, &refresh(REFRESH_TOKEN), GRANT, "is revoked").await;
    refused(&sim, &refresh(&rotated(&first)), GRANT, "was revoked").await;
    assert!(!sim.is_active(&first.token()) && sim.is_active(&other.token()));
    assert_eq!(sim.revocations().len(), 3);
}

#[tokio::test]
async fn without_rotation_a_refresh_token_stays_and_none_is_given() {
    let refreshing = Refresh {
        seeds: vec![Seed::new("public", "seed/1"), Seed::new(CLIENT_ID, "seed+2")],
        rotation: Rotation::Never,
    };
    let policy = Policy { public_clients: vec!["public".into()], ..Policy::default() };
    let sim = start(policy.refreshing(refreshing)).await;
    for _ in 0..2 {
        let (got, entry) = logged(&sim, &refresh("seed+2")).await;
        assert_eq!((got.status, got.json().get("refresh_token")), (200, None));
        assert_eq!(entry.judged.issued_refresh_token, None);
    }
    refused(&sim, &refresh("seed/1"), GRANT, "belongs to another client").await;
    refused(&sim, &refresh(REFRESH_TOKEN), GRANT, "never given out").await;
    refused(&sim, &ask(&[("grant_type", "refresh_token")]), "invalid_request", "is missing").await;

    let public = |id| {
        let pairs =
            [("grant_type", "refresh_token"), ("refresh_token", "seed/1"), ("client_id", id)];
        refresh("").without("authorization").body(form(&pairs))
    };
    let (got, entry) = logged(&sim, &public("public")).await;
    assert_eq!((got.status, entry.judged.authentication), (200, Some(Authentication::None)));
    refused(&sim, &public(CLIENT_ID), "invalid_client", "not a public one").await;
}

#[tokio::test]
async fn a_lost_answer_costs_the_refresh_token_and_a_request_that_hangs_does_not() {
    let sim = start(Policy::default()).await;
    sim.set(System::Oauth2, Behaviour::failing(Fault::Hang).for_next(1));
    let stream = refresh(REFRESH_TOKEN).open(&sim).await;
    sim.next_request(System::Oauth2, LONG).await.unwrap();
    drop(stream);
    sim.set(System::Oauth2, Behaviour::failing(Fault::DropMidBody).for_next(1));
    refresh(REFRESH_TOKEN).send(&sim).await;
    refused(&sim, &refresh(REFRESH_TOKEN), GRANT, "was used before").await;
    assert_eq!(sim.refresh_tokens().len(), 2);
}

#[tokio::test]
async fn of_two_uses_at_once_one_is_refused() {
    let sim = start(Policy::default()).await;
    let ask = refresh(REFRESH_TOKEN);
    let (one, two) = tokio::join!(ask.send(&sim), ask.send(&sim));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
}

#[tokio::test]
async fn a_user_signs_in_with_a_password() {
    let sim = start(Policy::default()).await;
    let with = |name, password| {
        ask(&[("grant_type", "password"), ("username", name), ("password", password)])
    };
    let (got, entry) = logged(&sim, &with(USERNAME, PASSWORD)).await;
    assert_eq!((got.status, entry.judged.subject.as_deref()), (200, Some(USERNAME)));
    let record = sim.introspect(&got.token()).unwrap();
    assert_eq!(record.subject.as_deref(), Some(USERNAME));
    assert_eq!(record.grant, Some(GrantType::Password));
    assert_eq!(got.json().get("refresh_token"), None);
    refused(&sim, &with(USERNAME, "guess"), GRANT, "the password is wrong").await;
    refused(&sim, &with("nobody", PASSWORD), GRANT, "no user").await;
    let plus = with(USERNAME, PASSWORD).swap(&encode(PASSWORD), &encode(&encode(PASSWORD)));
    refused(&sim, &plus, GRANT, "the password is wrong").await;
    let none = ask(&[("grant_type", "password"), ("username", USERNAME)]);
    refused(&sim, &none, "invalid_request", "`password` is missing").await;
}

fn bearer_grant(assertion: &str) -> Ask {
    Ask::new("POST", System::Oauth2.path())
        .and("content-type", FORM)
        .body(form(&[("grant_type", JWT_BEARER), ("assertion", assertion)]))
}

#[tokio::test]
async fn a_client_trades_an_assertion_that_it_signed() {
    let pair = KeyPair::generate(KeyKind::P256).unwrap();
    let sim = start(Policy::default().with_keys("robot@example.com", pair.keys())).await;
    let mut said = claims("robot@example.com", AUDIENCE);
    said["sub"] = json!("boss@example.com");
    let signed = pair.sign(&said, Some("k1")).unwrap();
    let (got, entry) = logged(&sim, &bearer_grant(&signed)).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let seen = entry.judged.assertion.unwrap();
    assert_eq!((seen.algorithm.as_str(), seen.key_id.as_deref()), ("ES256", Some("k1")));
    assert_eq!(seen.jti.as_deref(), said["jti"].as_str());
    let record = sim.introspect(&got.token()).unwrap();
    assert_eq!(record.client_id, "robot@example.com");
    assert_eq!(record.subject.as_deref(), Some("boss@example.com"));

    refused(&sim, &bearer_grant(&signed), GRANT, "jti was used before").await;
    refused(&sim, &bearer_grant("a.b.c"), GRANT, "no JWT").await;
    let changed: [(&str, Value, &str); 5] = [
        ("iss", json!("somebody"), "neither a client with keys nor a trusted issuer"),
        ("aud", json!("https://elsewhere"), "aud holds none of"),
        ("exp", json!(1), "has expired"),
        ("iat", json!(4_000_000_000_u64), "iat of the JWT lies ahead"),
        ("exp", json!(said["iat"].as_i64().unwrap() + 3700), "longer than 3600"),
    ];
    for (claim, value, reason) in changed {
        let mut said = claims("robot@example.com", AUDIENCE);
        said[claim] = value;
        refused(&sim, &bearer_grant(&pair.sign(&said, None).unwrap()), GRANT, reason).await;
    }
    let foreign = KeyPair::generate(KeyKind::P256).unwrap();
    let forged = foreign.sign(&claims("robot@example.com", AUDIENCE), None).unwrap();
    refused(&sim, &bearer_grant(&forged), GRANT, "signature is wrong").await;
}

#[tokio::test]
async fn a_client_that_authenticates_cannot_use_anothers_assertion() {
    let pair = KeyPair::generate(KeyKind::P384).unwrap();
    let policy =
        Policy::default().with_keys("other", pair.keys()).with_keys(CLIENT_ID, pair.keys());
    let sim = start(policy).await;
    let with = |issuer| {
        let signed = pair.sign(&claims(issuer, AUDIENCE), None).unwrap();
        ask(&[("grant_type", JWT_BEARER), ("assertion", &signed)])
    };
    refused(&sim, &with("other"), GRANT, "another client").await;
    assert_eq!(with(CLIENT_ID).send(&sim).await.status, 200);
}

fn exchange(token: &str, kind: &str) -> Ask {
    ask(&[("grant_type", TOKEN_EXCHANGE), ("subject_token", token), ("subject_token_type", kind)])
}

#[tokio::test]
async fn an_exchanged_token_says_which_token_it_came_from() {
    let sim = start(Policy::default()).await;
    let (parent, entry) = logged(&sim, &right(System::Oauth2)).await;
    let serial = entry.judged.issued;
    let (child, entry) = logged(&sim, &exchange(&parent.token(), ACCESS_TOKEN)).await;
    assert_eq!(child.json()["issued_token_type"], ACCESS_TOKEN);
    assert_eq!((entry.judged.parent, serial.is_some()), (serial, true));
    let record = sim.introspect(&child.token()).unwrap();
    assert_eq!((record.parent, record.grant), (serial, Some(GrantType::TokenExchange)));
    assert_eq!(sim.token(serial.unwrap()), sim.introspect(&parent.token()));

    // Nobody has to authenticate: the subject token says whom it was issued to.
    let bare = exchange(&parent.token(), ACCESS_TOKEN).without("authorization");
    assert_eq!(sim.introspect(&bare.send(&sim).await.token()).unwrap().client_id, CLIENT_ID);

    assert!(sim.revoke(serial.unwrap()));
    refused(&sim, &exchange(&parent.token(), ACCESS_TOKEN), GRANT, "was revoked").await;
    let (expired, _) = sim.give(CLIENT_ID, 0).unwrap();
    refused(&sim, &exchange(&expired, ACCESS_TOKEN), GRANT, "has expired").await;
    refused(&sim, &exchange("made-up", ACCESS_TOKEN), GRANT, "neither one of this").await;
    let (good, _) = sim.give(CLIENT_ID, 60).unwrap();
    refused(&sim, &exchange(&good, JWT), "invalid_request", "not that of an access token").await;
    refused(&sim, &exchange(&good, "token"), "invalid_request", "none that is known").await;
}

#[tokio::test]
async fn a_trusted_issuers_jwt_is_exchanged() {
    let pair = KeyPair::generate(KeyKind::Rsa).unwrap();
    let issuer = TrustedIssuer {
        issuer: ISSUER.into(),
        audience: "tokens".into(),
        jwks: pair.jwks("2026-1").unwrap(),
    };
    let sim = start(Policy::default().trusting(issuer.clone())).await;
    let mut said = claims(ISSUER, "tokens");
    said["sub"] = json!("user-7");
    let signed = pair.sign(&said, Some("2026-1")).unwrap();
    // An issuer's JWT is no client's, which makes one a request: it may come again.
    for _ in 0..2 {
        let (got, entry) = logged(&sim, &exchange(&signed, JWT)).await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(entry.judged.assertion.unwrap().issuer.as_deref(), Some(ISSUER));
        let record = sim.introspect(&got.token()).unwrap();
        assert_eq!(
            (record.client_id.as_str(), record.subject.as_deref()),
            (CLIENT_ID, Some("user-7"))
        );
        assert_eq!(record.parent, None);
    }
    let (got, _) = logged(&sim, &bearer_grant(&signed)).await;
    assert_eq!(sim.introspect(&got.token()).unwrap().client_id, "user-7");

    let other_kid = pair.sign(&said, Some("2026-2")).unwrap();
    refused(&sim, &exchange(&other_kid, JWT), GRANT, "no known key").await;
    let elsewhere = pair.sign(&claims(ISSUER, AUDIENCE), Some("2026-1")).unwrap();
    refused(&sim, &exchange(&elsewhere, JWT), GRANT, "aud holds none of tokens").await;
    sim.set_policy(Policy::default().trusting(TrustedIssuer { jwks: Keys::default(), ..issuer }));
    refused(&sim, &exchange(&signed, JWT), GRANT, "no known key").await;
    sim.set_policy(Policy::default());
    refused(&sim, &exchange(&signed, JWT), GRANT, "nor a trusted issuer").await;
}

#[tokio::test]
async fn the_same_token_comes_again_for_the_same_parent_only() {
    let sim = start(Policy::default()).await;
    let (one, _) = sim.give(CLIENT_ID, 60).unwrap();
    let (two, _) = sim.give(CLIENT_ID, 60).unwrap();
    sim.set(System::Oauth2, Behaviour::failing(Fault::SameToken { until_remaining: 1 }));
    let token = async |parent: &str| exchange(parent, ACCESS_TOKEN).send(&sim).await.token();
    let first = token(&one).await;
    assert_eq!(first, token(&one).await);
    assert_ne!(first, token(&two).await);
    let serial = sim.introspect(&first).unwrap().serial;
    assert!(sim.revoke(serial));
    assert_ne!(first, token(&one).await);
    let late = sim.wait_for(4, System::Oauth2, Duration::from_secs(1)).await.unwrap();
    assert!(late[1].same_token && !late[3].same_token);
}
