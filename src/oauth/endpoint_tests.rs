use rstest::rstest;

use super::*;
use crate::error::Reason;
use crate::oauth::testing::*;

#[rstest]
#[case::nothing("{}", "spec.request.url is not set")]
#[case::missing_variable(
    "{preset: oauth2}",
    "spec.variables.tokenUrl (The token endpoint) is not set"
)]
#[case::misspelt_variable(
    "{preset: oauth2, variables: {tokenURL: 'https://a.example'}}",
    "did you mean \"tokenUrl\"?"
)]
#[case::undeclared_variable(
    "{request: {url: 'https://{{ hots }}/t'}, variables: {hosts: a.example}}",
    "did you mean \"hots\"?"
)]
#[case::unset_variable(
    "{request: {url: 'https://{{ host }}/t'}}",
    "spec.variables.host is not set"
)]
#[case::unknown_group(
    "{request: {url: 'https://a.example/{{ credential.x }}'}}",
    "did you mean \"credentials\"?"
)]
#[case::no_url(
    "{preset: oauth2, variables: {tokenUrl: a.example}}",
    "spec.variables.tokenUrl is not an absolute URL"
)]
#[case::no_host(
    "{preset: optimizely-cms-saas, variables: {host: 'https://a.example'}}",
    "spec.variables.host is not a host"
)]
#[case::no_segment(
    "{preset: optimizely-cms-saas, variables: {host: a.example, version: '..'}}",
    "spec.variables.version is not a path segment"
)]
#[case::get_with_a_body(
    "{request: {url: 'https://a.example', method: GET}}",
    "request.method GET has no body"
)]
#[case::object_in_a_form(
    "{request: {url: 'https://a.example', parameters: {a: {b: c}}}}",
    "request.parameters.a"
)]
#[case::list_of_lists_in_a_form(
    "{request: {url: 'https://a.example', parameters: {a: [[1]]}}}",
    "request.parameters.a"
)]
#[case::null_in_a_form(
    "{request: {url: 'https://a.example', parameters: {a: null}}}",
    "request.parameters.a"
)]
#[case::null_in_a_list_in_a_form(
    "{request: {url: 'https://a.example', parameters: {a: [null]}}}",
    "request.parameters.a"
)]
#[case::parameters_that_go_nowhere(
    "{request: {url: 'https://a.example', encoding: none, parameters: {a: b}}}",
    "encoding none sends nothing"
)]
#[case::credentials_that_go_nowhere(
    "{request: {url: 'https://a.example', encoding: none}, clientAuthentication: [client_secret_post]}",
    "encoding none sends nothing"
)]
#[case::a_client_id_that_goes_nowhere(
    "{request: {url: 'https://a.example', encoding: none}, clientAuthentication: [none]}",
    "encoding none sends nothing"
)]
#[case::header_name(
    "{request: {url: 'https://a.example', headers: {'X-A\\r\\nB': c}}}",
    "is not a header's name"
)]
#[case::header_line_break(
    "{request: {url: 'https://a.example', headers: {X-A: \"b\\nc\"}}}",
    "request.headers.x-a: holds a line break"
)]
#[case::variable_line_break(
    "{request: {url: 'https://a.example', headers: {X-A: '{{ v }}'}}, variables: {v: \"b\\rc\"}}",
    "request.headers.x-a: {{ v }} holds a line break"
)]
#[case::two_authorizations(
    "{request: {url: 'https://a.example', headers: {authorization: 'Bearer {{ credentials.t }}'}}}",
    "request.headers.authorization: clientAuthentication client_secret_basic and bearer set"
)]
#[case::json_type_on_a_form(
    "{request: {url: 'https://a.example', headers: {Content-Type: application/JSON}}}",
    "request.headers.content-type"
)]
#[case::form_type_on_json(
    "{request: {url: 'https://a.example', encoding: json, headers: {Content-Type: application/x-www-form-urlencoded}}}",
    "request.headers.content-type"
)]
#[case::no_life_at_all(
    "{request: {url: 'https://a.example'}, response: {expiry: {kind: none}}}",
    "response.expiry.kind none needs response.expiry.default"
)]
#[case::a_life_of_nothing(
    "{request: {url: 'https://a.example'}, response: {expiry: {default: 0s}}}",
    "response.expiry.default is zero"
)]
fn what_is_wrong_with_a_document_is_found_at_once(#[case] spec: &str, #[case] says: &str) {
    let error = compile(spec).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidProvider);
    assert!(error.message().contains(says), "{error}");
}

#[rstest]
fn headers_of_the_connection_are_refused(
    #[values(
        "Host",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "HTTP2-Settings",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Proxy-Authenticate",
        "Expect"
    )]
    name: &str,
) {
    let spec = format!("{{request: {{url: 'https://a.example', headers: {{{name}: x}}}}}}");
    let error = compile(&spec).unwrap_err();
    assert!(error.message().contains("belongs to the connection"), "{error}");
}

#[test]
fn a_declared_variable_that_an_override_leaves_unused_is_no_error() {
    let endpoint = endpoint(
        "{preset: optimizely-cms-saas, variables: {host: a.example, version: v9}, \
         request: {url: 'https://b.example/t'}}",
    );
    assert_eq!(endpoint.origin().unwrap().as_str(), "https://b.example/t");
}

#[test]
fn an_optional_variable_without_a_value_is_empty() {
    let mut merged = crate::catalogue::merge(
        &serde_yaml::from_str("{request: {url: 'https://a.example/t?h={{ h }}'}}").unwrap(),
    )
    .unwrap();
    let input = serde_yaml::from_str("{description: A host, format: host}").unwrap();
    merged.inputs.insert("h".to_owned(), input);
    let endpoint = Endpoint::compile(merged, Provenance::Cluster).unwrap();
    let url = ask(&endpoint, &asking(&[]), client()).unwrap().url;
    assert_eq!(url.as_str(), "https://a.example/t?h=");
}

#[test]
fn credential_keys_are_those_that_a_request_is_made_from() {
    let keys = |spec: &str| {
        let url = "request: {url: 'https://a.example', headers: {X: '{{ credentials.x }}'}}";
        let endpoint = endpoint(&format!("{{{url}, {spec}}}"));
        endpoint.needs().credentials().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(keys("grant: client_credentials"), "client_id client_secret x");
    assert_eq!(keys("clientAuthentication: [none]"), "client_id x");
    assert_eq!(keys("grant: none"), "x");
}

#[test]
fn the_shape_is_what_is_sent_and_no_more() {
    let shape = |rest: &str| {
        let spec = format!("{{preset: optimizely-cms-saas, variables: {{host: a.example{rest}}}");
        endpoint(&spec).shape().clone()
    };
    let plain = shape("}");
    // A default that a new release changes must count as a change.
    assert_eq!(plain["variables"]["version"], "preview2");
    assert_eq!(plain, shape(", version: preview2}"));
    assert_ne!(plain, shape(", version: preview3}"));
    assert_eq!(plain, shape("}, limits: {minInterval: 5s}"));
}

#[test]
fn requests_are_limited_by_windows_however_they_are_written() {
    let endpoint = |limits: &str| {
        compile(&format!(
            "{{request: {{url: 'https://a.example/t'}}, limits: {{requestsPer: {limits}}}}}"
        ))
    };
    let told = |limits: &str| {
        let endpoint = endpoint(limits).unwrap();
        let requests = endpoint.requests_per().iter();
        requests.map(|(length, requests)| (length.as_secs(), *requests)).collect::<Vec<_>>()
    };
    assert_eq!(told("{}"), []);
    assert_eq!(told("{24h: 1000, 1s: 0}"), [(1, 0), (86_400, 1000)]);
    assert_eq!(told("{60m: 5, 1h: 3}"), [(3600, 3)]);
    for wrong in ["day", "500ms", "-1h", "1000h", ""] {
        let error = endpoint(&format!("{{'{wrong}': 1}}")).unwrap_err();
        assert!(error.message().contains("limits.requestsPer"), "{wrong}: {error}");
    }
}
