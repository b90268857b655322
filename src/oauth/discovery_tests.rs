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
