use std::sync::Arc;

use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;
use crate::oauth::jwt;
use crate::oauth::testing::*;

/// The request that revokes the token `t0ken`.
fn revocation(spec: &str, told: Option<Value>) -> Option<TokenRequest> {
    let endpoint = endpoint(spec);
    let metadata = told.map(|told| Arc::new(serde_json::from_value(told).unwrap()));
    let (supplies, occasion) = (supplies(client()), Occasion { metadata, ..occasion() });
    let revoked = SecretString::from("t0ken");
    endpoint.revocation(&revoked, &Asking::default(), (&supplies, &occasion)).unwrap()
}

const TOKEN: &str = "request: {url: 'https://id.example/t'}";

#[test]
fn a_token_is_revoked_as_its_rfc_says() {
    // RFC 7009 section 2.1; the client proves who it is as for a token.
    let spec = format!("{{{TOKEN}, revocation: {{url: 'https://id.example/r'}}}}");
    let request = revocation(&spec, None).unwrap();
    assert_eq!((request.url.as_str(), request.method), ("https://id.example/r", Method::Post));
    assert_eq!(body(&request), Some("token=t0ken&token_type_hint=access_token"));
    assert!(header(&request, "authorization").unwrap().starts_with("Basic "));
    assert_eq!(header(&request, "content-type"), Some("application/x-www-form-urlencoded"));
}

#[rstest]
#[case::other_parameters(
    "parameters: {token: '', token_type_hint: '', access: '{{ revoked.token }}'}",
    "access=t0ken"
)]
#[case::json(
    "encoding: json, parameters: {all: true}",
    "{\"all\":true,\"token\":\"t0ken\",\"token_type_hint\":\"access_token\"}"
)]
fn a_document_says_otherwise(#[case] more: &str, #[case] expected: &str) {
    let spec = format!("{{{TOKEN}, revocation: {{url: 'https://id.example/r', {more}}}}}");
    assert_eq!(body(&revocation(&spec, None).unwrap()), Some(expected));
}

#[test]
fn the_token_may_stand_in_a_header() {
    let spec = format!(
        "{{{TOKEN}, grant: none, revocation: {{url: 'https://id.example/r', encoding: none, \
         headers: {{Authorization: 'Bearer {{{{ revoked.token }}}}'}}, parameters: {{token: '', \
         token_type_hint: ''}}}}}}"
    );
    // What encoding none cannot carry has to be taken out by the document.
    let error = compile(&spec).unwrap_err();
    assert!(error.message().contains("revocation.encoding none sends nothing"), "{error}");
    let spec = spec.replace("encoding: none", "encoding: form");
    let request = revocation(&spec, None).unwrap();
    assert_eq!(header(&request, "authorization"), Some("Bearer t0ken"));
    assert!(request.headers["authorization"].is_sensitive());
    assert_eq!(body(&request), Some(""));
}

#[test]
fn an_issuer_tells_where_to() {
    let spec = "{issuer: 'https://id.example', clientAuthentication: [client_secret_post]}";
    let told = json!({"issuer": "https://id.example", "token_endpoint": "https://id.example/t",
        "revocation_endpoint": "https://id.example/told"});
    let request = revocation(spec, Some(told)).unwrap();
    assert_eq!(request.url.as_str(), "https://id.example/told");
    assert!(body(&request).unwrap().starts_with("client_id=editor-sync&client_secret="));
    let silent = json!({"issuer": "https://id.example", "token_endpoint": "https://id.example/t"});
    assert!(revocation(spec, Some(silent)).is_none());
    assert!(endpoint(spec).can_revoke() && endpoint(spec).revocation_discovery().is_some());
}

#[test]
fn nothing_tells_where_to() {
    assert!(revocation(&format!("{{{TOKEN}}}"), None).is_none());
    assert!(!endpoint(&format!("{{{TOKEN}}}")).can_revoke());
}

#[test]
fn a_client_signs_for_the_revocation_too() {
    let spec = format!(
        "{{{TOKEN}, clientAuthentication: [client_secret_jwt], revocation: {{url: 'https://id.example/r'}}}}"
    );
    let request = revocation(&spec, None).unwrap();
    let pairs = url::form_urlencoded::parse(body(&request).unwrap().as_bytes()).into_owned();
    let pairs: BTreeMap<String, String> = pairs.collect();
    assert_eq!(pairs["token"], "t0ken");
    assert_eq!(jwt::claims(&pairs["client_assertion"]).unwrap()["sub"], "editor-sync");
    let shown = format!("{request:?}");
    assert!(!shown.contains("t0ken") && !shown.contains("id.example/r"), "{shown}");
    assert!(request.body.is_some_and(|body| !body.expose_secret().is_empty()));
}
