//! How clients of the system `oauth2` say who they are.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use provider_simulator::{
    Authentication, Bearer, Behaviour, Client, Fault, Federation, GrantType, KeyKind, KeyPair,
    Keys, Options, Policy, Simulator, System, TrustedIssuer,
};
use serde_json::{Value, json};

use crate::client::{Ask, FORM, LONG, encode, form, oauth2_basic, right};
use crate::oauth::{AUDIENCE, admitting, claims, logged, refused};

const WHO: &str = "invalid_client";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// As a control plane calls itself and a `ServiceAccount`.
const CONTROL_PLANE: &str = "https://kubernetes.default.svc.cluster.local";
const ACCOUNT: &str = "system:serviceaccount:web:tokens";

fn post(pairs: &[(&str, &str)]) -> Ask {
    Ask::new("POST", System::Oauth2.path()).and("content-type", FORM).body(form(pairs))
}

fn asserted(assertion: &str) -> Ask {
    post(&[
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ])
}

fn named(assertion: &str, client_id: &str) -> Ask {
    let ask = asserted(assertion);
    Ask { body: format!("{}&client_id={}", ask.body, encode(client_id)), ..ask }
}

fn mac(claims: &Value, secret: &str, algorithm: Algorithm) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

#[tokio::test]
async fn private_key_jwt_of_each_kind_of_key() {
    for (kind, algorithm) in [
        (KeyKind::Rsa, "RS256"),
        (KeyKind::P256, "ES256"),
        (KeyKind::P384, "ES384"),
        (KeyKind::Ed25519, "EdDSA"),
    ] {
        let pair = KeyPair::generate(kind).unwrap();
        let sim = admitting(Policy::default().with_keys("signer", pair.keys())).await;
        let signed = pair.sign(&claims("signer", AUDIENCE), Some("k")).unwrap();
        let (got, entry) = logged(&sim, &asserted(&signed)).await;
        assert_eq!(got.status, 200, "{algorithm}: {}", got.text());
        assert_eq!(entry.judged.authentication, Some(Authentication::PrivateKeyJwt));
        assert_eq!(entry.judged.client_assertion.unwrap().algorithm, algorithm);
        assert_eq!(sim.introspect(&got.token()).unwrap().client_id, "signer");

        let foreign = KeyPair::generate(kind).unwrap();
        let forged = foreign.sign(&claims("signer", AUDIENCE), Some("k")).unwrap();
        refused(&sim, &asserted(&forged), WHO, "the signature is wrong").await;
    }
}

#[tokio::test]
async fn private_key_jwt_with_es512() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
    let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        BASE64_STANDARD.encode(spki.as_ref())
    );
    let part = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(json!({"alg": "ES512"})), part(claims("signer", AUDIENCE)));
    let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    let signed = format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));

    let sim = admitting(Policy::default().with_keys("signer", Keys::pem(pem))).await;
    let other = format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode([7_u8; 132]));
    refused(&sim, &asserted(&other), WHO, "the signature is wrong").await;
    let (got, entry) = logged(&sim, &asserted(&signed)).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(entry.judged.client_assertion.unwrap().algorithm, "ES512");
}

#[tokio::test]
async fn an_assertion_is_held_against_rfc_7523() {
    let pair = KeyPair::generate(KeyKind::P256).unwrap();
    let sim = admitting(Policy::default().with_keys("signer", pair.keys())).await;
    let now = chrono::Utc::now().timestamp();
    let changed: [(&str, Value, &str); 11] = [
        ("iss", json!("other"), "neither a client with keys"),
        ("iss", Value::Null, "iss is missing"),
        ("sub", json!("other"), "sub of the assertion is not the client"),
        ("aud", json!("http://sim/"), "aud holds none of"),
        ("aud", Value::Null, "aud holds none of"),
        ("exp", json!(now - 1), "has expired"),
        ("exp", Value::Null, "exp is no number"),
        ("exp", json!(now + 4000), "longer than 3600 s"),
        ("iat", json!(now + 30), "iat of the JWT lies ahead"),
        ("nbf", json!(now + 30), "nbf of the JWT lies ahead"),
        ("jti", json!(7), "jti is missing"),
    ];
    for (claim, value, reason) in changed {
        let mut said = claims("signer", AUDIENCE);
        said[claim] = value;
        refused(&sim, &asserted(&pair.sign(&said, None).unwrap()), WHO, reason).await;
    }
    let fresh = |audience: &str| pair.sign(&claims("signer", audience), None).unwrap();
    refused(&sim, &named(&fresh(AUDIENCE), "other"), WHO, "client_id is not iss").await;
    refused(&sim, &asserted("nonsense"), WHO, "this is no JWT").await;
    let kind = asserted(&fresh(AUDIENCE)).swap("jwt%2Dbearer", "saml2%2Dbearer");
    refused(&sim, &kind, WHO, "client_assertion_type is not").await;
    let both = named(&fresh(AUDIENCE), "signer").swap("client_id", "client_secret");
    refused(&sim, &both, "invalid_request", "`client_secret` is not allowed").await;
    let both = asserted(&fresh(AUDIENCE)).and("authorization", "Basic eDp5");
    refused(&sim, &both, "invalid_request", "`client_assertion_type` is not allowed").await;

    for audience in [AUDIENCE, "http://sim/oauth2"] {
        assert_eq!(named(&fresh(audience), "signer").send(&sim).await.status, 200);
    }
    let mut several = claims("signer", AUDIENCE);
    several["aud"] = json!(["https://elsewhere", AUDIENCE]);
    let signed = pair.sign(&several, None).unwrap();
    assert_eq!(asserted(&signed).send(&sim).await.status, 200);
}

#[tokio::test]
async fn a_jti_is_taken_once_whatever_became_of_the_request() {
    let pair = KeyPair::generate(KeyKind::P256).unwrap();
    let sim = admitting(Policy::default().with_keys("signer", pair.keys())).await;
    sim.set(System::Oauth2, Behaviour::failing(Fault::Hang).for_next(1));
    let said = claims("signer", AUDIENCE);
    let signed = pair.sign(&said, None).unwrap();
    let stream = asserted(&signed).open(&sim).await;
    sim.next_request(System::Oauth2, LONG).await.unwrap();
    drop(stream);
    let entry = refused(&sim, &asserted(&signed), WHO, "jti was used before").await;
    let seen = entry.judged.client_assertion.unwrap();
    assert_eq!(seen.jti.as_deref(), said["jti"].as_str());
    let mut other = claims("signer", AUDIENCE);
    other["jti"] = json!("other");
    let other = pair.sign(&other, None).unwrap();
    assert_eq!(asserted(&other).send(&sim).await.status, 200);
}

#[tokio::test]
async fn client_secret_jwt_with_each_of_the_clients_secrets() {
    let sim = admitting(Policy::default()).await;
    sim.add_client(System::Oauth2, Client::new(CLIENT_ID, "second"));
    for (secret, algorithm) in [
        (CLIENT_SECRET, Algorithm::HS256),
        (CLIENT_SECRET, Algorithm::HS512),
        ("second", Algorithm::HS256),
    ] {
        let signed = mac(&claims(CLIENT_ID, AUDIENCE), secret, algorithm);
        let (got, entry) = logged(&sim, &asserted(&signed)).await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(entry.judged.authentication, Some(Authentication::ClientSecretJwt));
        assert_eq!(entry.judged.secret, Some(Client::new(CLIENT_ID, secret).fingerprint()));
    }
    let wrong = mac(&claims(CLIENT_ID, AUDIENCE), "guess", Algorithm::HS256);
    refused(&sim, &asserted(&wrong), WHO, "no secret of the client").await;
    let nobody = mac(&claims("nobody", AUDIENCE), "second", Algorithm::HS256);
    refused(&sim, &asserted(&nobody), WHO, "neither a client nor").await;
}

#[tokio::test]
async fn a_public_key_is_no_secret_for_a_mac() {
    let pair = KeyPair::generate(KeyKind::Rsa).unwrap();
    let policy = Policy::default().with_keys(CLIENT_ID, pair.keys()).trusting(TrustedIssuer {
        issuer: CONTROL_PLANE.into(),
        audience: "tokens".into(),
        jwks: pair.keys(),
    });
    let sim = admitting(policy).await;
    let pem = match pair.keys().keys.pop().unwrap() {
        provider_simulator::Key::Pem(pem) => pem,
        provider_simulator::Key::Jwk(_) => unreachable!("it is PEM"),
    };
    let forged = mac(&claims(CLIENT_ID, AUDIENCE), &pem, Algorithm::HS256);
    refused(&sim, &asserted(&forged), WHO, "no secret of the client").await;
    let forged = mac(&claims(CONTROL_PLANE, AUDIENCE), &pem, Algorithm::HS256);
    refused(&sim, &asserted(&forged), WHO, "none of a public key").await;
}

/// What a control plane writes into a `ServiceAccount`'s token.
fn account() -> Value {
    let mut said = claims(CONTROL_PLANE, "https://tokens.example");
    said["sub"] = json!(ACCOUNT);
    said["aud"] = json!(["https://tokens.example"]);
    said["exp"] = json!(said["iat"].as_i64().unwrap() + 86_400);
    said
}

#[tokio::test]
async fn a_service_account_stands_for_a_client() {
    let pair = KeyPair::generate(KeyKind::Rsa).unwrap();
    let mut published = json!(pair.jwks("sa-key").unwrap());
    published["keys"][0]["use"] = json!("sig");
    let federation = Federation {
        client_id: "workload".into(),
        issuer: CONTROL_PLANE.into(),
        subject: ACCOUNT.into(),
        audience: "https://tokens.example".into(),
    };
    let policy = Policy::default()
        .trusting(TrustedIssuer {
            issuer: CONTROL_PLANE.into(),
            audience: "unused".into(),
            jwks: Keys::jwks(&published.to_string()).unwrap(),
        })
        .federating(federation.clone())
        .federating(Federation {
            client_id: "nobody's".into(),
            subject: "system:serviceaccount:web:other".into(),
            ..federation
        });
    let sim = admitting(policy).await;
    let signed = pair.sign(&account(), Some("sa-key")).unwrap();
    // The same token serves until it is renewed.
    for ask in [named(&signed, "workload"), asserted(&signed)] {
        let (got, entry) = logged(&sim, &ask).await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(entry.judged.authentication, Some(Authentication::FederatedJwt));
        assert_eq!(entry.judged.client_id.as_deref(), Some("workload"));
        assert_eq!(entry.judged.client_assertion.unwrap().subject.as_deref(), Some(ACCOUNT));
    }
    refused(&sim, &named(&signed, "stranger"), WHO, "vouches for no such client").await;
    refused(&sim, &named(&signed, "nobody's"), WHO, "sub of the assertion stands for no").await;
    for (claim, value, reason) in [
        ("aud", json!(["https://kubernetes.default.svc"]), "aud holds none of"),
        ("exp", json!(1), "has expired"),
        ("sub", json!("system:serviceaccount:other:tokens"), "stands for no such client"),
    ] {
        let mut said = account();
        said[claim] = value;
        let signed = pair.sign(&said, Some("sa-key")).unwrap();
        refused(&sim, &named(&signed, "workload"), WHO, reason).await;
    }
    let foreign = KeyPair::generate(KeyKind::Rsa).unwrap();
    let forged = foreign.sign(&account(), Some("sa-key")).unwrap();
    refused(&sim, &named(&forged, "workload"), WHO, "the signature is wrong").await;
}

fn bearing(token: &str) -> Ask {
    post(&[]).and("authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn a_bearer_token_gets_a_newer_one() {
    let sim = admitting(Policy { bearer: Bearer::Latest, ..Policy::default() }).await;
    let (seed, record) = sim.give("renewing", 60).unwrap();
    let (got, entry) = logged(&sim, &bearing(&seed)).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(entry.judged.grant, Some(GrantType::Renewal));
    assert_eq!(entry.judged.authentication, Some(Authentication::Bearer));
    let newer = sim.introspect(&got.token()).unwrap();
    assert_eq!((newer.parent, newer.client_id.as_str()), (Some(record.serial), "renewing"));

    let entry = refused(&sim, &bearing(&seed), WHO, "not the last one of its client").await;
    assert_eq!(entry.judged.parent, Some(record.serial));
    sim.set_policy(Policy::default());
    assert_eq!(bearing(&seed).send(&sim).await.status, 200);
    assert!(sim.revoke(record.serial));
    refused(&sim, &bearing(&seed), WHO, "was revoked").await;
    let (expired, _) = sim.give("renewing", 0).unwrap();
    refused(&sim, &bearing(&expired), WHO, "has expired").await;
    refused(&sim, &bearing("made-up"), WHO, "neither one of this simulator nor a JWT").await;
    let got = bearing("made-up").send(&sim).await;
    assert!(got.header("www-authenticate").unwrap().starts_with("Bearer"));
    let twice = bearing(&seed).body("client_id=a");
    refused(&sim, &twice, "invalid_request", "in the Authorization header").await;
}

#[tokio::test]
async fn a_bearer_token_authenticates_for_other_grants_too() {
    let pair = KeyPair::generate(KeyKind::P256).unwrap();
    let sim = admitting(Policy::default().with_keys("app-7", pair.keys())).await;
    let (seed, record) = sim.give("client", 60).unwrap();
    let (got, _) = logged(&sim, &bearing(&seed).body("grant_type=client_credentials")).await;
    assert_eq!(sim.introspect(&got.token()).unwrap().parent, Some(record.serial));

    let signed = pair.sign(&claims("app-7", "http://sim/oauth2"), None).unwrap();
    let (got, entry) = logged(&sim, &bearing(&signed)).await;
    assert_eq!(sim.introspect(&got.token()).unwrap().client_id, "app-7");
    assert_eq!(entry.judged.assertion.unwrap().algorithm, "ES256");
    refused(&sim, &bearing(&signed), WHO, "jti was used before").await;
}

#[tokio::test]
async fn one_of_two_secrets_can_be_revoked_over_http() {
    let sim = Simulator::start(Options::default()).await.unwrap();
    let second = Client::new(CLIENT_ID, "second/+=");
    let json = serde_json::to_string(&second).unwrap();
    let control = |method| Ask::new(method, "/_simulator/credentials/oauth2").body(json.clone());
    let with_second = right(System::Oauth2).swap(&encode(CLIENT_SECRET), &encode(&second.secret));
    refused(&sim, &with_second, WHO, "the secret is wrong").await;
    assert_eq!(control("POST").send(&sim).await.status, 204);
    let (_, entry) = logged(&sim, &with_second).await;
    assert_eq!(entry.judged.secret, Some(second.fingerprint()));
    let (_, entry) = logged(&sim, &oauth2_basic()).await;
    assert_eq!(entry.judged.secret, Some(Client::default_of(System::Oauth2).fingerprint()));

    assert_eq!(control("DELETE").send(&sim).await.status, 204);
    assert_eq!(control("DELETE").send(&sim).await.status, 404);
    let entry = refused(&sim, &with_second, WHO, "the secret is wrong").await;
    assert_eq!((entry.judged.secret, entry.judged.client_id.as_deref()), (None, Some(CLIENT_ID)));
    assert_eq!(oauth2_basic().send(&sim).await.status, 200);
    assert!(sim.remove_client(System::Oauth2, &Client::default_of(System::Oauth2)));
    refused(&sim, &oauth2_basic(), WHO, "no client has this identifier").await;
}

#[tokio::test]
async fn what_a_request_was_judged_by_holds_no_secret() {
    let pair = KeyPair::generate(KeyKind::P256).unwrap();
    let sim = admitting(Policy::default().with_keys("signer", pair.keys())).await;
    let signed = pair.sign(&claims("signer", AUDIENCE), None).unwrap();
    let signature = signed.rsplit('.').next().unwrap();
    asserted(&signed).send(&sim).await;
    let token = right(System::Oauth2).send(&sim).await.token();
    bearing(&token).send(&sim).await;
    let entries = sim.requests_of(System::Oauth2);
    assert_eq!(entries.len(), 3);
    for entry in entries {
        let text = serde_json::to_string(&entry.judged).unwrap();
        for secret in [signature, CLIENT_SECRET, &token] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
