use rstest::rstest;

use super::*;
use crate::oauth::request::Asking;
use crate::oauth::supplies::Supplies;
use crate::oauth::testing::{
    HARD, body, compile, credentials, endpoint, header as header_of, occasion, requested,
};

fn header(encoding: &str, id: &str, secret: &str) -> Result<String, Error> {
    let endpoint =
        endpoint(&format!("{{request: {{url: 'https://id.example'}}, basicEncoding: {encoding}}}"));
    let request =
        requested(&endpoint, credentials(&[("client_id", id), ("client_secret", secret)]))?;
    assert!(request.headers[AUTHORIZATION].is_sensitive());
    let header = header_of(&request, "authorization").unwrap();
    let pair = STANDARD.decode(header.strip_prefix("Basic ").unwrap());
    Ok(String::from_utf8(pair.unwrap()).unwrap())
}

// RFC 6749 section 2.3.1 and appendix B.
#[rstest]
#[case::form("form", " %&+£€", "x", "+%25%26%2B%C2%A3%E2%82%AC:x")]
#[case::form_colon("form", "a:b", "c:d", "a%3Ab:c%3Ad")]
#[case::raw("raw", "a b", "c:d%&+/=\"\\é", "a b:c:d%&+/=\"\\é")]
#[case::base64("base64", "V1:user:group", "s3cr3t", "VjE6dXNlcjpncm91cA==:czNjcjN0")]
fn the_pair_is_encoded_as_asked(
    #[case] encoding: &str,
    #[case] id: &str,
    #[case] secret: &str,
    #[case] pair: &str,
) {
    assert_eq!(header(encoding, id, secret).unwrap(), pair);
}

#[test]
fn a_colon_in_a_raw_id_is_refused_without_showing_it() {
    let error = header("raw", "a:bcdefgh", HARD).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidCredentials);
    assert!(error.message().contains("client_id holds a colon"), "{error}");
    assert!(!error.message().contains("bcdefgh"), "{error}");
}

const CERTIFICATE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/certificate.pem"));
const KEY: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/rsa.pem"));

/// What is sent besides the grant, header first.
fn implied(more: &str) -> (Option<String>, String) {
    let endpoint = endpoint(&format!(
        "{{grant: jwt_bearer, request: {{url: 'https://id.example', parameters: {{grant_type: '', \
         assertion: ''}}}}, {more}}}"
    ));
    let credentials = credentials(&[
        ("client_id", "c"),
        ("client_secret", "s"),
        ("tls.crt", CERTIFICATE),
        ("tls.key", KEY),
        ("other", "o"),
    ]);
    let supplies = Supplies {
        credentials,
        service_account: endpoint.needs().service_account.then(|| "sa".into()),
        ..Supplies::default()
    };
    let asking = Asking { service_account: endpoint.needs().service_account, ..Asking::default() };
    let request = endpoint.request(&asking, &supplies, &occasion()).unwrap();
    assert_eq!(request.identity.is_some(), more.contains("tls_client_auth"));
    (header_of(&request, "authorization").map(str::to_owned), body(&request).unwrap().to_owned())
}

// RFC 6749 section 2.3.1, RFC 7523 section 2.2, RFC 8705 section 2.
#[rstest]
#[case::nothing_but_the_grant("clientAuthentication: [none]", None, "")]
#[case::usual("variables: {}", None, "")]
#[case::post("clientAuthentication: [client_secret_post]", None, "client_id=c&client_secret=s")]
#[case::certificate("clientAuthentication: [tls_client_auth]", None, "client_id=c")]
#[case::own_certificate("clientAuthentication: [self_signed_tls_client_auth]", None, "client_id=c")]
#[case::federated(
    "clientAuthentication: [federated_jwt]",
    None,
    "client_assertion=sa&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_id=c"
)]
#[case::bearer(
    "clientAuthentication: [bearer], bearerToken: '{{ credentials.other }}'",
    Some("Bearer o"),
    ""
)]
#[case::another_secret(
    "clientAuthentication: [client_secret_post], clientID: app, clientSecret: 'x{{ credentials.other }}'",
    None,
    "client_id=app&client_secret=xo"
)]
fn client_authentication_adds_what_its_rfc_asks_for(
    #[case] more: &str,
    #[case] header: Option<&str>,
    #[case] expected: &str,
) {
    let (sent, body) = implied(more);
    assert_eq!((sent.as_deref(), body.as_str()), (header, expected));
}

#[rstest]
#[case("[client_secret_basic, bearer]", "both set the header Authorization")]
#[case("[private_key_jwt, federated_jwt]", "a request holds one client_assertion")]
#[case("[client_secret_jwt, private_key_jwt]", "a request holds one client_assertion")]
fn methods_that_overwrite_each_other_are_refused(#[case] methods: &str, #[case] says: &str) {
    let error = compile(&format!(
        "{{request: {{url: 'https://id.example'}}, clientAuthentication: {methods}}}"
    ))
    .unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidProvider);
    assert!(error.message().contains(says), "{error}");
}
