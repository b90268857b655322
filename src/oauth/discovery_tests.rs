use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::oauth::testing::*;

fn issuer(url: &str) -> Issuer {
    Issuer::new(url.parse().unwrap(), Provenance::Namespaced, None)
}

fn told(issuer_url: &str, more: &Value) -> Result<Option<Metadata>, Error> {
    let mut body = json!({"issuer": issuer_url, "token_endpoint": "https://id.example/t"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    issuer("https://id.example/realm").read(&json_answer(200, &[], &body))
}

// RFC 8414 section 3.1, OpenID Connect Discovery section 4.1.
#[rstest]
#[case(
    "https://id.example",
    "https://id.example/.well-known/oauth-authorization-server",
    "https://id.example/.well-known/openid-configuration"
)]
#[case(
    "https://id.example/a/b/",
    "https://id.example/.well-known/oauth-authorization-server/a/b",
    "https://id.example/a/b/.well-known/openid-configuration"
)]
fn metadata_is_where_it_is_well_known(
    #[case] url: &str,
    #[case] oauth: &str,
    #[case] openid: &str,
) {
    let urls: Vec<String> = issuer(url).requests().map(|request| request.url.into()).collect();
    assert_eq!(urls, [oauth, openid]);
}

#[test]
fn another_issuers_metadata_is_refused() {
    assert!(told("https://id.example/realm", &json!({})).unwrap().is_some());
    for other in ["https://id.example/realm/", "https://evil.example/realm", ""] {
        let error = told(other, &json!({})).unwrap_err();
        assert!(error.message().contains("another issuer"), "{error}");
        assert_eq!(error.reason(), Reason::DiscoveryFailed);
    }
}

#[rstest]
#[case::not_there(404, None)]
#[case::forbidden(403, None)]
#[case::overloaded(503, Some(Reason::ProviderError))]
fn what_is_not_there_is_looked_for_elsewhere(#[case] status: u16, #[case] reason: Option<Reason>) {
    let read = issuer("https://id.example").read(&answer(status, &[], b""));
    assert_eq!(read.map(|m| m.is_some()).map_err(|e| e.reason()), reason.map_or(Ok(false), Err));
}

fn admitted(method: &str, more: &Value) -> Result<(), String> {
    let spec = format!("{{issuer: 'https://id.example/realm', clientAuthentication: [{method}]}}");
    let metadata = told("https://id.example/realm", more).unwrap().unwrap();
    metadata.admits(&endpoint(&spec)).map_err(|error| error.message().to_owned())
}

#[test]
fn client_authentication_is_checked_against_what_is_taken() {
    let taken = json!({"token_endpoint_auth_methods_supported": ["private_key_jwt", "made_up"]});
    assert_eq!(admitted("private_key_jwt", &taken), Ok(()));
    assert_eq!(
        admitted("client_secret_basic", &taken),
        Err("clientAuthentication: https://id.example/realm does not take client_secret_basic; \
             it takes private_key_jwt"
            .to_owned())
    );
    // RFC 8414 section 2: the one that holds where nothing is told.
    assert_eq!(admitted("client_secret_basic", &json!({})), Ok(()));
    assert!(admitted("client_secret_post", &json!({})).is_err());
    // What has no registered name, or is seldom told, is not looked for.
    for method in ["none", "bearer", "federated_jwt"] {
        assert_eq!(admitted(method, &json!({})), Ok(()));
    }
}

#[test]
fn a_certificate_is_shown_at_the_alias() {
    let aliases = json!({
        "token_endpoint_auth_methods_supported": ["tls_client_auth", "client_secret_basic"],
        "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.id.example/t"},
    });
    let metadata = told("https://id.example/realm", &aliases).unwrap().unwrap();
    let token_endpoint = |method: &str| {
        let spec =
            format!("{{issuer: 'https://id.example/realm', clientAuthentication: [{method}]}}");
        metadata.token_endpoint(&endpoint(&spec)).unwrap().to_string()
    };
    assert_eq!(token_endpoint("tls_client_auth"), "https://mtls.id.example/t");
    assert_eq!(token_endpoint("client_secret_basic"), "https://id.example/t");
}

#[test]
fn what_is_told_besides_is_known() {
    let more = json!({"jwks_uri": "https://id.example/keys", "revocation_endpoint": "https://id.example/r",
        "mtls_endpoint_aliases": {"revocation_endpoint": "https://mtls.id.example/r"}, "made_up": [1]});
    let metadata = told("https://id.example/realm", &more).unwrap().unwrap();
    assert_eq!(metadata.jwks_uri().unwrap().as_str(), "https://id.example/keys");
    let revocation_endpoint = |method: &str| {
        let spec =
            format!("{{issuer: 'https://id.example/realm', clientAuthentication: [{method}]}}");
        metadata.revocation_endpoint(&endpoint(&spec)).unwrap().to_string()
    };
    assert_eq!(revocation_endpoint("client_secret_basic"), "https://id.example/r");
    assert_eq!(revocation_endpoint("self_signed_tls_client_auth"), "https://mtls.id.example/r");
}

#[test]
fn an_issuer_without_a_token_endpoint_is_of_no_use() {
    let body = json!({"issuer": "https://id.example"});
    let metadata = issuer("https://id.example").read(&json_answer(200, &[], &body)).unwrap();
    let metadata = metadata.unwrap();
    let error = metadata.token_endpoint(&endpoint("{issuer: 'https://id.example'}")).unwrap_err();
    assert!(error.message().contains("https://id.example tells no token_endpoint"));
    assert!(issuer("https://id.example").not_found().message().contains("set spec.request.url"));
}

#[rstest]
#[case(json!("text"))]
#[case(json!({"issuer": 7}))]
#[case(json!({"issuer": "https://id.example/realm", "mtls_endpoint_aliases": "s3cr3t"}))]
fn what_is_no_metadata_is_refused(#[case] body: Value) {
    let error = issuer("https://id.example/realm").read(&json_answer(200, &[], &body)).unwrap_err();
    assert_eq!(error.message(), "id.example tells no metadata of an issuer (RFC 8414)");
}

proptest! {
    #[test]
    fn no_metadata_panics_or_is_quoted(
        status in prop::sample::select(vec![200_u16, 404, 429, 500]),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "[a-z]{12,40}".prop_map(|text| json!({"issuer": text, "token_endpoint": text}).to_string().into_bytes()),
            ("[a-z]{12,40}", "[a-z]{1,40}").prop_map(|(text, path)| json!({
                "issuer": "https://id.example/realm", "token_endpoint": format!("https://{text}.example/{path}"),
                "token_endpoint_auth_methods_supported": [text],
            }).to_string().into_bytes()),
        ],
    ) {
        match issuer("https://id.example/realm").read(&answer(status, &[], &body)) {
            Ok(Some(metadata)) => prop_assert_eq!(metadata.issuer, "https://id.example/realm"),
            Ok(None) => prop_assert_eq!(status, 404),
            Err(error) => {
                let body = String::from_utf8_lossy(&body);
                let shown: Vec<char> = error.message().chars().collect();
                for slice in shown.windows(12) {
                    let slice: String = slice.iter().collect();
                    prop_assert!(!body.contains(&slice) || "https://id.example/realm".contains(&slice), "{}", error);
                }
            }
        }
    }
}
