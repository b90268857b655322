use std::collections::BTreeSet;

use proptest::prelude::*;
use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::oauth::jwt;
use crate::oauth::occasion::Occasion;
use crate::oauth::request::Asking;
use crate::oauth::testing::*;

macro_rules! key {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/", $name, ".pem"))
    };
}

const SECRET: &str = "s3cr3t-0123456789";

/// What a document with this assertion sends as `assertion`, at an occasion.
fn minted(assertion: &str, occasion: &Occasion) -> Result<(Value, Value), Error> {
    let endpoint = compile(&format!(
        "{{grant: jwt_bearer, request: {{url: 'https://id.example/t?tenant=a'}}, assertion: {assertion}}}"
    ))?;
    let credentials = credentials(&[
        ("client_id", "editor-sync"),
        ("client_secret", SECRET),
        ("private_key", key!("es256")),
        ("rsa", key!("rsa")),
        ("tls.crt", key!("certificate")),
        ("key_id", "k1"),
        ("named", "k2"),
    ]);
    let request = endpoint.request(&Asking::default(), &supplies(credentials), occasion)?;
    let pairs = url::form_urlencoded::parse(body(&request).unwrap().as_bytes()).into_owned();
    let pairs: BTreeMap<String, String> = pairs.collect();
    Ok(read(&pairs["assertion"]))
}

fn read(token: &str) -> (Value, Value) {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    (serde_json::from_slice(&header).unwrap(), jwt::claims(token).unwrap())
}

fn hs256(more: &str) -> (Value, Value) {
    minted(&format!("{{algorithm: HS256{more}}}"), &occasion()).unwrap()
}

#[test]
fn an_assertion_says_what_its_rfc_asks_for() {
    // RFC 7523 section 3; the endpoint is named without its query.
    let (header, claims) = hs256("");
    assert_eq!(header, json!({"alg": "HS256", "typ": "JWT", "kid": "k1"}));
    let now = sent_at().timestamp();
    let expected = json!({
        "iss": "editor-sync", "sub": "editor-sync", "aud": "https://id.example/t",
        "iat": now, "exp": now + 60, "jti": claims["jti"],
    });
    assert_eq!(claims, expected);
}

#[rstest]
#[case::of_the_credentials("", json!("k1"))]
#[case::of_another_one(", keyID: '{{ credentials.named }}'", json!("k2"))]
#[case::spelled_out(", keyID: fixed", json!("fixed"))]
#[case::left_out(", keyID: ''", json!(null))]
fn the_key_has_an_id(#[case] more: &str, #[case] kid: Value) {
    assert_eq!(hs256(more).0["kid"], kid);
}

#[test]
fn a_key_without_an_id_is_no_error() {
    let endpoint = endpoint(
        "{grant: local, assertion: {algorithm: HS256, audience: a, claims: {iss: i, sub: s}}}",
    );
    let credentials = credentials(&[("client_secret", SECRET)]);
    let issued = endpoint.sign(&Asking::default(), (&supplies(credentials), &occasion())).unwrap();
    let (header, _) = read(issued.access_token.expose_secret());
    assert_eq!(header, json!({"alg": "HS256", "typ": "JWT"}));
}

// openssl x509 -in certificate.pem -outform DER | openssl sha1 -binary | basenc --base64url
#[rstest]
#[case::none("[]", json!(null), json!(null))]
#[case::sha1("[x5t]", json!("FaeIFwmw2jb90dmlKOs--c_Uotg"), json!(null))]
#[case::sha256("['x5t#S256']", json!(null), json!("xvV31q9G5G_TOJrucpi0c6HXPqLMJF-YgBxMVJUR9Og"))]
#[case::both("[x5t, 'x5t#S256']", json!("FaeIFwmw2jb90dmlKOs--c_Uotg"), json!("xvV31q9G5G_TOJrucpi0c6HXPqLMJF-YgBxMVJUR9Og"))]
fn the_certificate_is_named_by_its_thumbprints(
    #[case] thumbprints: &str,
    #[case] sha1: Value,
    #[case] sha256: Value,
) {
    let assertion = format!("{{key: '{{{{ credentials.rsa }}}}', thumbprints: {thumbprints}}}");
    let (header, _) = minted(&assertion, &occasion()).unwrap();
    assert_eq!((&header["x5t"], &header["x5t#S256"]), (&sha1, &sha256));
}

#[rstest]
#[case::typ(", type: at+jwt", "/0/typ", json!("at+jwt"))]
#[case::audience(", audience: 'https://api.example'", "/1/aud", json!("https://api.example"))]
#[case::own_audience(", claims: {aud: [a, b]}", "/1/aud", json!(["a", "b"]))]
#[case::own_issuer(", claims: {iss: me}", "/1/iss", json!("me"))]
#[case::the_client_stays(", claims: {iss: me}", "/1/sub", json!("editor-sync"))]
#[case::no_subject(", claims: {sub: ''}", "/1/sub", json!(null))]
#[case::no_id(", claims: {jti: ''}", "/1/jti", json!(null))]
#[case::a_number(", claims: {n: 7, b: false, o: {x: '{{ request.scope }}', y: 1}}", "/1/o", json!({"y": 1}))]
#[case::no_fingerprint_of_a_secret(", claims: {kid: '{{ key.sha256 }}'}", "/1/kid", json!(null))]
fn a_document_says_it_otherwise(#[case] more: &str, #[case] at: &str, #[case] expected: Value) {
    let (header, claims) = hs256(more);
    let both = json!([header, claims]);
    assert_eq!(both.pointer(at).cloned().unwrap_or_default(), expected, "{both}");
}

#[test]
fn a_claim_may_name_the_key() {
    let assertion = "{algorithm: ES256, claims: {kid: 'SHA256:{{ key.sha256 }}'}}";
    let (_, claims) = minted(assertion, &occasion()).unwrap();
    // openssl pkey -in es256.pem -pubout -outform DER | openssl sha256 -binary | base64
    assert_eq!(claims["kid"], "SHA256:nUBOlnpsoZbs9AVBZqglWjwRPMEuzWhdnQHUbQ8vN+o=");
}

#[rstest]
#[case::lifetime("{lifetime: 25h}", "assertion.lifetime lies between 1s and 24h")]
#[case::no_lifetime("{lifetime: 0s}", "assertion.lifetime lies between 1s and 24h")]
#[case::negative("{lifetime: -60s}", "assertion.lifetime lies between 1s and 24h")]
#[case::eons("{lifetime: 999999999h999999999h999999999h}", "assertion.lifetime lies between")]
#[case::backdate("{backdate: 61m}", "assertion.backdate is at most 1h")]
fn times_beyond_reason_are_refused(#[case] assertion: &str, #[case] says: &str) {
    let error = minted(assertion, &occasion()).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidProvider);
    assert!(error.message().contains(says), "{error}");
}

#[rstest]
#[case::no_certificate(
    "{algorithm: HS256, thumbprints: [x5t], certificate: '{{ credentials.client_secret }}'}",
    "Secret web/client: key \"client_secret\" is no certificate in PEM"
)]
#[case::no_key(
    "{key: '{{ credentials.client_secret }}'}",
    "Secret web/client: key \"client_secret\" is no private key in PEM"
)]
#[case::another_key("{algorithm: RS256}", "key \"private_key\" is no RSA key of 2048 bits or more")]
fn what_cannot_be_signed_with_is_named(#[case] assertion: &str, #[case] says: &str) {
    let error = minted(assertion, &occasion()).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidCredentials);
    assert!(error.message().contains(says), "{error}");
    assert!(!error.message().contains("0123456789"), "{error}");
}

#[test]
fn a_key_that_a_document_spells_out_is_not_quoted() {
    let error = minted("{algorithm: ES256, key: 's3cr3t-0123456789'}", &occasion()).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidProvider);
    assert!(error.message().starts_with("assertion.key is no private key"), "{error}");
    assert!(!error.message().contains("0123456789"), "{error}");
}

#[test]
fn grant_and_client_each_have_their_own() {
    let endpoint = endpoint(
        "{grant: jwt_bearer, clientAuthentication: [client_secret_jwt], request: {url: \
         'https://id.example'}, assertion: {algorithm: HS256, claims: {sub: user}}, \
         clientAssertion: {audience: 'https://issuer.example'}}",
    );
    let request = requested(&endpoint, client()).unwrap();
    let pairs: BTreeMap<String, String> =
        url::form_urlencoded::parse(body(&request).unwrap().as_bytes()).into_owned().collect();
    let (grant, client) = (read(&pairs["assertion"]).1, read(&pairs["client_assertion"]).1);
    assert_eq!((&grant["sub"], &client["sub"]), (&json!("user"), &json!("editor-sync")));
    assert_eq!(grant["aud"], "https://id.example/");
    assert_eq!(client["aud"], "https://issuer.example");
    assert_ne!(grant["jti"], client["jti"]);
    assert!(!pairs.contains_key("client_id") && !pairs.contains_key("client_secret"));
}

proptest! {
    // Each case compiles documents and signs.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_assertion_lives_as_long_as_it_says(lifetime in 1..=86_400_i64, backdate in 0..=3600_i64) {
        let more = format!(", lifetime: {lifetime}s, backdate: {backdate}s");
        let claims = hs256(&more).1;
        let seconds = |claim: &str| claims[claim].as_i64().unwrap();
        prop_assert_eq!(seconds("exp") - seconds("iat"), lifetime + backdate);
        prop_assert_eq!(seconds("exp") - sent_at().timestamp(), lifetime);
    }

    #[test]
    fn no_two_assertions_have_one_id(entropies in prop::collection::hash_set(any::<u8>(), 2..6)) {
        let id = |byte: &u8| {
            let occasion = Occasion { entropy: [*byte; crate::oauth::ENTROPY], ..occasion() };
            let (_, claims) = minted("{algorithm: HS256}", &occasion).unwrap();
            claims["jti"].as_str().unwrap().to_owned()
        };
        let ids: BTreeSet<String> = entropies.iter().map(id).collect();
        prop_assert_eq!(ids.len(), entropies.len());
    }

    #[test]
    fn a_header_holds_no_secret(
        secret in "[a-z0-9]{12,40}", key_id in "[A-Z]{0,10}",
        method in prop::sample::select(vec!["HS256", "HS384", "HS512"]),
    ) {
        let endpoint = endpoint(&format!(
            "{{grant: local, assertion: {{algorithm: {method}, audience: a}}}}"
        ));
        let mut values = vec![
            ("client_id", "id"), ("client_secret", secret.as_str()),
        ];
        if !key_id.is_empty() {
            values.push(("key_id", &key_id));
        }
        let issued = endpoint.sign(&Asking::default(), (&supplies(credentials(&values)), &occasion()));
        let issued = issued.unwrap();
        let (header, claims) = read(issued.access_token.expose_secret());
        prop_assert_eq!(header["kid"].as_str().unwrap_or_default(), key_id);
        prop_assert!(!header.to_string().contains(&secret) && !claims.to_string().contains(&secret));
        prop_assert!(!issued.access_token.expose_secret().contains(&secret));
        prop_assert!(issued.life.expires_at > issued.life.issued_at);
    }
}
