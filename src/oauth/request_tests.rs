use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::oauth::testing::*;

const SITECORE: &str = "{preset: sitecore-content-hub-one, variables: {
    authority: 'https://auth.example/oauth/token?tenant=a', audience: 'https://api.example'}}";
const MEDIAHOUND: &str =
    "{preset: mediahound, variables: {tokenUrl: 'https://api.example/1.3/security/oauth/token'}}";
const OPTIMIZELY: &str =
    "{preset: optimizely-cms-saas, variables: {host: app.cms.example, version: preview2}}";
const OPTIMIZELY_BASIC: &str =
    "{preset: optimizely-cms-saas-basic, variables: {host: app.cms.example}}";
const ORACLE: &str =
    "{preset: oracle-content-channel, variables: {host: 'acme.example:8443', channelId: CC/79}}";
const OAUTH2: &str = "{preset: oauth2, variables: {tokenUrl: 'https://id.example/token'}}";

const JSON_TYPE: &str = "application/json";
const FORM_TYPE: &str = "application/x-www-form-urlencoded";

const ID: &str = "editor-sync";
/// `HARD` as a form writes it (WHATWG URL, application/x-www-form-urlencoded).
const FORM: &str = "a%3Ab%252F%2B%26%2F%3D%22%5C+%C3%A9%E2%82%AC%7B%7B+host+%7D%7D%23%3F%3B";
/// `HARD` as JSON writes it.
const JSON: &str = r#""a:b%2F+&/=\"\\ é€{{ host }}#?;""#;

fn request(spec: &str) -> TokenRequest {
    ask(&endpoint(spec), &Asking::default(), client()).unwrap()
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

#[rstest]
#[case::sitecore(
    SITECORE,
    "https://auth.example/oauth/token?tenant=a",
    format!("audience=https%3A%2F%2Fapi.example&client_id={ID}&client_secret={FORM}&grant_type=client_credentials"),
    None,
)]
#[case::mediahound(
    MEDIAHOUND,
    "https://api.example/1.3/security/oauth/token",
    format!("client_id={ID}&client_secret={FORM}&grant_type=client_credentials"),
    Some(basic(&format!("{ID}:{HARD}"))),
)]
#[case::optimizely(
    OPTIMIZELY,
    "https://app.cms.example/_cms/preview2/oauth/token",
    format!(r#"{{"client_id":"{ID}","client_secret":{JSON},"grant_type":"client_credentials"}}"#),
    None,
)]
#[case::optimizely_basic(
    OPTIMIZELY_BASIC,
    "https://app.cms.example/_cms/preview2/oauth/token",
    "grant_type=client_credentials".to_owned(),
    Some(basic(&format!("{ID}:{HARD}"))),
)]
#[case::oauth2(
    OAUTH2,
    "https://id.example/token",
    "grant_type=client_credentials".to_owned(),
    Some(basic(&format!("{ID}:{FORM}"))),
)]
fn the_catalogue_sends_these_bytes(
    #[case] spec: &str,
    #[case] url: &str,
    #[case] expected: String,
    #[case] authorization: Option<String>,
) {
    let request = request(spec);
    assert_eq!(request.method, Method::Post);
    assert_eq!(request.url.as_str(), url);
    assert_eq!(body(&request), Some(expected.as_str()));
    assert_eq!(header(&request, "authorization"), authorization.as_deref());
    assert_eq!(header(&request, "accept"), Some("application/json"));
    let media_type = if expected.starts_with('{') { JSON_TYPE } else { FORM_TYPE };
    assert_eq!(header(&request, "content-type"), Some(media_type));
    assert_eq!(request.headers.len(), 2 + usize::from(authorization.is_some()));
}

#[test]
fn oracle_gets_its_secret_byte_for_byte_and_no_client() {
    let secret = "mBMSPvumV4y8dpdkPz/pA+7Nr2t/ITF9wTcWt94sDMk=";
    let credentials = credentials(&[("channel_secret", secret)]);
    let endpoint = endpoint(ORACLE);
    assert_eq!(endpoint.needs().credentials().collect::<Vec<_>>(), ["channel_secret"]);
    let request = ask(&endpoint, &Asking::default(), credentials).unwrap();
    assert_eq!(
        request.url.as_str(),
        "https://acme.example:8443/content/management/api/v1.1/channels/CC%2F79/oauthToken"
    );
    assert_eq!(body(&request), Some(format!(r#"{{"channelSecret":"{secret}"}}"#).as_str()));
    assert_eq!(header(&request, "x-requested-with"), Some("XMLHttpRequest"));
    assert_eq!(header(&request, "authorization"), None);
    assert_eq!(request.headers.len(), 3);
}

#[rstest]
#[case::unset(&[], None)]
#[case::empty(&[("act_as", "")], None)]
#[case::set(&[("act_as", HARD)], Some(HARD))]
fn act_as_is_left_out_when_empty(
    #[case] parameters: &[(&str, &str)],
    #[case] expected: Option<&str>,
) {
    let request = ask(&endpoint(OPTIMIZELY), &asking(parameters), client()).unwrap();
    let sent: Value = serde_json::from_str(body(&request).unwrap()).unwrap();
    assert_eq!(sent.get("act_as").map(|v| v.as_str().unwrap()), expected);
}

#[rstest]
#[case::client_authentication_alone(
    "clientAuthentication: [client_secret_post]",
    Some(format!("client_id={ID}&client_secret={FORM}&grant_type=client_credentials")),
    false
)]
#[case::both_at_once(
    "clientAuthentication: [client_secret_basic, client_secret_post]",
    Some(format!("client_id={ID}&client_secret={FORM}&grant_type=client_credentials")),
    true
)]
#[case::public_client(
    "clientAuthentication: [none]",
    Some(format!("client_id={ID}&grant_type=client_credentials")),
    false
)]
#[case::grant_alone("grant: none", Some(String::new()), true)]
#[case::grant_and_encoding("{grant: none, request: {encoding: none}}", None, true)]
fn an_overlay_changes_one_thing_alone(
    #[case] overlay: &str,
    #[case] expected: Option<String>,
    #[case] authorized: bool,
) {
    let mut spec: serde_json::Map<String, Value> = serde_yaml::from_str(OAUTH2).unwrap();
    let overlay: serde_json::Map<String, Value> = serde_yaml::from_str(overlay).unwrap();
    spec.extend(overlay);
    let request = request(&Value::Object(spec).to_string());
    assert_eq!(body(&request), expected.as_deref());
    assert_eq!(header(&request, "authorization").is_some(), authorized);
}

fn custom(request: &str) -> String {
    format!(
        "{{clientAuthentication: [none], grant: none, request: {{url: 'https://a.example/t', {request}}}}}"
    )
}

#[test]
fn json_values_keep_their_type() {
    let spec = custom(
        "encoding: json, parameters: {flag: false, count: 3, ratio: 1.5, nothing: null, \
         list: ['{{ parameters.a }}', 1, '{{ parameters.unset }}', true], \
         nested: {deep: ['{{ parameters.a }}'], empty: '{{ parameters.unset }}'}}",
    );
    let request = ask(&endpoint(&spec), &asking(&[("a", "3")]), client()).unwrap();
    let sent: Value = serde_json::from_str(body(&request).unwrap()).unwrap();
    assert_eq!(
        sent,
        json!({"flag": false, "count": 3, "ratio": 1.5, "nothing": null,
            "list": ["3", 1, true], "nested": {"deep": ["3"]}})
    );
}

#[rstest]
#[case::form("form", "https://a.example/t?x=1", Some("n=1&on=true&scope=a+b&scope=c%26d"))]
#[case::query("query", "https://a.example/t?x=1&n=1&on=true&scope=a+b&scope=c%26d", None)]
fn lists_repeat_their_key(
    #[case] encoding: &str,
    #[case] url: &str,
    #[case] expected: Option<&str>,
) {
    let spec = format!(
        "{{clientAuthentication: [none], grant: none, request: {{encoding: {encoding}, \
         url: 'https://a.example/t?x=1', parameters: {{on: true, n: 1, \
         scope: ['a b', '{{{{ parameters.s }}}}', '{{{{ parameters.unset }}}}']}}}}}}"
    );
    let request = ask(&endpoint(&spec), &asking(&[("s", "c&d")]), client()).unwrap();
    assert_eq!(request.url.as_str(), url);
    assert_eq!(body(&request), expected);
}

#[test]
fn a_query_of_nothing_leaves_the_url_alone() {
    let spec = custom("encoding: query, parameters: {scope: ['{{ parameters.unset }}']}");
    let request = ask(&endpoint(&spec), &Asking::default(), client()).unwrap();
    assert_eq!(request.url.as_str(), "https://a.example/t");
}

#[test]
fn what_the_document_spells_out_wins_over_what_is_implied() {
    let spec = "{preset: oauth2, clientAuthentication: [client_secret_post], variables: {tokenUrl: \
                'https://id.example/t'}, request: {parameters: {grant_type: 'urn:x', \
                client_id: '{{ credentials.app }}', client_secret: ['{{ credentials.key }}']}}}";
    let endpoint = endpoint(spec);
    assert_eq!(endpoint.needs().credentials().collect::<Vec<_>>(), ["app", "key"]);
    let credentials = credentials(&[("app", "1"), ("key", "2")]);
    let request = ask(&endpoint, &Asking::default(), credentials).unwrap();
    assert_eq!(body(&request), Some("client_id=1&client_secret=2&grant_type=urn%3Ax"));
}

// Injection: every way in, every place that it could reach.

const EVIL: &[&str] = &[
    "x\r\nX-Evil: 1",
    "x\nX-Evil: 1",
    "x\0",
    "a&grant_type=password",
    "\",\"grant_type\":\"password",
    "../../admin",
    "..",
    ".",
    "@evil.example/",
    "//evil.example",
    "https://evil.example",
    "?x=1#y",
    "%2e%2e%2f",
    "{{ credentials.client_secret }}",
    "\\evil",
    "é\u{202e}",
];

/// One value at every place, from one source.
fn everywhere(name: &str, encoding: &str) -> String {
    format!(
        "{{clientAuthentication: [none], grant: none, variables: {{VARIABLES}}, request: {{\
         encoding: {encoding}, url: 'https://a.example/p/{{{{ {name} }}}}/t?q={{{{ {name} }}}}', \
         headers: {{X-Value: 'v {{{{ {name} }}}}'}}, parameters: {{p: 'p {{{{ {name} }}}}'}}}}}}"
    )
}

fn try_everywhere(source: &str, value: &str, encoding: &str) -> Result<TokenRequest, Error> {
    let (name, variables, parameters) = match source {
        "variable" => ("x", format!("x: {}", json!(value)), vec![]),
        "parameter" => ("parameters.x", String::new(), vec![("x", value)]),
        _ => ("credentials.x", String::new(), vec![]),
    };
    let endpoint = compile(&everywhere(name, encoding).replace("VARIABLES", &variables))?;
    ask(&endpoint, &asking(&parameters), credentials(&[("x", value)]))
}

#[rstest]
fn a_value_stays_where_it_was_put(
    #[values("variable", "parameter", "credential")] source: &str,
    #[values("form", "json", "query")] encoding: &str,
) {
    for value in EVIL {
        let request = match try_everywhere(source, value, encoding) {
            Ok(request) => request,
            Err(error) => {
                let expected = match source {
                    "variable" => Reason::InvalidProvider,
                    "parameter" => Reason::InvalidSpec,
                    _ => Reason::InvalidCredentials,
                };
                assert_eq!(error.reason(), expected, "{value:?}: {error}");
                assert!(!error.message().contains(value) || value.len() < 3, "{error}");
                assert!(value.contains(char::is_control) || value.starts_with('.'), "{value:?}");
                continue;
            }
        };
        assert_eq!(request.url.origin().ascii_serialization(), "https://a.example");
        let segments: Vec<_> = request.url.path_segments().unwrap().collect();
        let decoded = percent_encoding::percent_decode_str(segments[1]).decode_utf8().unwrap();
        assert_eq!((segments.len(), segments[0], &*decoded, segments[2]), (3, "p", *value, "t"));
        let mut query: Vec<_> = request.url.query_pairs().into_owned().collect();
        let expected = ("p".to_owned(), format!("p {value}"));
        if encoding == "query" {
            assert_eq!(query.pop(), Some(expected.clone()));
        }
        assert_eq!(query, [("q".to_owned(), (*value).to_owned())]);
        assert_eq!(header(&request, "x-value"), Some(format!("v {value}").as_str()));
        match encoding {
            "form" => {
                let pairs = url::form_urlencoded::parse(body(&request).unwrap().as_bytes());
                assert_eq!(pairs.into_owned().collect::<Vec<_>>(), [expected]);
            }
            "json" => {
                let sent: Value = serde_json::from_str(body(&request).unwrap()).unwrap();
                assert_eq!(sent, json!({"p": format!("p {value}")}));
            }
            _ => assert_eq!(body(&request), None),
        }
    }
}

#[test]
fn a_line_break_in_a_header_names_its_source_and_no_value() {
    let spec = custom("encoding: none, headers: {X-Key: '{{ credentials.key }}'}");
    let credentials = credentials(&[("key", "s3cr3t-value\n")]);
    let error = ask(&endpoint(&spec), &Asking::default(), credentials).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidCredentials);
    assert!(error.message().contains("request.headers.x-key"), "{error}");
    assert!(error.message().contains("credentials.key"), "{error}");
    assert!(!error.message().contains("s3cr3t"), "{error}");
}

#[rstest]
#[case("a b")]
#[case("")]
#[case("a\nb")]
#[case("a\"b")]
#[case("a\\b")]
#[case("é")]
fn a_scope_is_one_scope(#[case] scope: &str) {
    let asking = Asking { scopes: vec![scope.to_owned()], ..Asking::default() };
    let error = ask(&endpoint(OAUTH2), &asking, client()).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidSpec);
    assert!(error.message().starts_with("spec.scopes"), "{error}");
}

#[test]
fn scopes_are_joined_with_spaces() {
    let scopes = vec!["read".to_owned(), "a:b&c".to_owned()];
    let asking = Asking { scopes, ..Asking::default() };
    let request = ask(&endpoint(OAUTH2), &asking, client()).unwrap();
    assert_eq!(body(&request), Some("grant_type=client_credentials&scope=read+a%3Ab%26c"));
}

#[rstest]
#[case::no_grant(ORACLE)]
#[case::a_scope_of_its_own(
    "{preset: oauth2, variables: {tokenUrl: 'https://a.example'}, request: {parameters: {scope: all}}}"
)]
#[case::nothing_is_sent(
    "{preset: oauth2, variables: {tokenUrl: 'https://a.example'}, request: {encoding: none}}"
)]
fn scopes_that_would_be_dropped_are_refused(#[case] spec: &str) {
    let asking = Asking { scopes: vec!["read".into()], ..Asking::default() };
    let error = endpoint(spec).check(&asking).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidSpec);
    assert!(error.message().contains("takes no scopes"), "{error}");
}

#[test]
fn an_unknown_parameter_is_named_with_its_nearest_neighbour() {
    let error = endpoint(OPTIMIZELY).check(&asking(&[("act_is", "x")])).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidSpec);
    assert!(error.message().contains("spec.parameters.act_is"), "{error}");
    assert!(error.message().contains("did you mean \"act_as\"?"), "{error}");
}

#[test]
fn a_missing_credential_is_named_with_its_nearest_neighbour() {
    let credentials = credentials(&[("channelsecret", "s3cr3t")]);
    let error = ask(&endpoint(ORACLE), &Asking::default(), credentials).unwrap_err();
    assert_eq!(error.reason(), Reason::CredentialsKeyMissing);
    assert!(error.message().contains("web/client has no key \"channel_secret\""), "{error}");
    assert!(error.message().contains("did you mean \"channelsecret\"?"), "{error}");
}

#[test]
fn a_header_whose_value_is_empty_is_left_out() {
    let spec = custom(
        "encoding: none, headers: {X-Tenant: '{{ parameters.t }}', Accept: '{{ parameters.t }}'}",
    );
    let request = ask(&endpoint(&spec), &Asking::default(), client()).unwrap();
    assert_eq!(request.headers.len(), 0);
    let request = ask(&endpoint(&spec), &asking(&[("t", "1")]), client()).unwrap();
    assert_eq!((header(&request, "x-tenant"), header(&request, "accept")), (Some("1"), Some("1")));
}

#[test]
fn a_document_may_refine_the_media_type() {
    let spec = custom("encoding: json, headers: {Content-Type: application/vnd.api+json}");
    let request = ask(&endpoint(&spec), &Asking::default(), client()).unwrap();
    assert_eq!(header(&request, "content-type"), Some("application/vnd.api+json"));
    let spec = custom("headers: {content-type: application/x-www-form-urlencoded; charset=utf-8}");
    let request = ask(&endpoint(&spec), &Asking::default(), client()).unwrap();
    assert_eq!(
        header(&request, "content-type"),
        Some("application/x-www-form-urlencoded; charset=utf-8")
    );
}

#[test]
fn nothing_secret_is_shown() {
    let spec = custom("encoding: query, parameters: {s: '{{ credentials.client_secret }}'}");
    let request = ask(&endpoint(&spec), &Asking::default(), client()).unwrap();
    assert!(request.url.query().is_some_and(|query| query.contains(FORM)));
    assert_eq!(
        format!("{request:?}"),
        "TokenRequest { method: Post, origin: \"https://a.example\", .. }"
    );
    let request = self::request(MEDIAHOUND);
    assert!(request.headers["authorization"].is_sensitive());
    assert_eq!(format!("{:?}", request.headers["authorization"]), "Sensitive");
}

proptest! {
    #[test]
    fn any_values_make_a_request_to_the_same_origin(
        variable in any::<String>(), parameter in any::<String>(), secret in any::<String>(),
        scope in any::<String>(), encoding in prop::sample::select(vec!["form", "json", "query"]),
    ) {
        let spec = format!(
            "{{\"variables\": {{\"v\": {}}}, \"request\": {{\"encoding\": \"{encoding}\", \
             \"url\": \"https://a.example:8443/{{{{ v }}}}/{{{{ parameters.p }}}}/{{{{ credentials.s }}}}?{{{{ v }}}}={{{{ parameters.p }}}}\", \
             \"headers\": {{\"X-A\": \"{{{{ v }}}}{{{{ parameters.p }}}}\", \"X-B\": \"{{{{ credentials.s }}}}\"}}, \
             \"parameters\": {{\"a\": \"{{{{ v }}}}\", \"b\": [\"{{{{ parameters.p }}}}\", 1], \"c\": \"{{{{ credentials.s }}}}\"}}}}}}",
            json!(variable)
        );
        let Ok(endpoint) = compile(&spec) else { return Ok(()) };
        let asking = Asking { scopes: vec![scope], ..asking(&[("p", &parameter)]) };
        let credentials = credentials(&[("s", &secret), ("client_id", "i"), ("client_secret", &secret)]);
        match ask(&endpoint, &asking, credentials) {
            Ok(request) => {
                prop_assert_eq!(request.url.origin(), endpoint.origin().unwrap().origin());
                prop_assert_eq!(request.url.origin().ascii_serialization(), "https://a.example:8443");
                prop_assert_eq!(request.url.path_segments().unwrap().count(), 3);
            }
            Err(error) => prop_assert!(no_slice_of(&secret, error.message()), "{}", error),
        }
    }

    #[test]
    fn any_host_is_the_host_or_refused(host in any::<String>(), path in any::<String>()) {
        let spec = json!({"variables": {"host": host, "path": path},
            "request": {"url": "https://{{ host }}/{{ path }}/t"}});
        if let Ok(endpoint) = compile(&spec.to_string()) {
            let url = ask(&endpoint, &Asking::default(), client()).unwrap().url;
            prop_assert_eq!(url.scheme(), "https");
            prop_assert!(url.path().ends_with("/t") && url.query().is_none());
            prop_assert_eq!(url.username(), "");
        }
    }
}

/// Whether no 12 characters of a secret stand in a text.
fn no_slice_of(secret: &str, text: &str) -> bool {
    let secret: Vec<char> = secret.chars().collect();
    secret.windows(12).all(|slice| !text.contains(&slice.iter().collect::<String>()))
}
