use std::collections::BTreeMap;

use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::error::Reason;
use crate::oauth::testing::*;

fn document(response: &str) -> String {
    format!(
        "{{request: {{url: 'https://id.example/{{{{ region }}}}'}}, variables: {{region: eu}}, \
         response: {{expiry: {{default: 1h}}, {response}}}}}"
    )
}

fn outputs(rules: &str, body: &Value) -> Result<BTreeMap<String, String>, String> {
    let endpoint = endpoint(&document(&format!("outputs: {rules}")));
    let mut body = body.clone();
    body["access_token"] = json!("t0ken");
    body["token_type"] = json!("Bearer");
    let answer = json_answer(200, &[("x-url", "https://h.example")], &body);
    answered(&endpoint, &answer)
        .map_err(|error| error.message().to_owned())
        .map(|issued| issued.outputs)
        .map(|outputs| {
            let shown =
                outputs.into_iter().map(|(key, value)| (key, value.expose_secret().to_owned()));
            shown.collect()
        })
}

#[rstest]
#[case::found("{o: {at: [/o]}}", json!({"o": "x"}), Some("x"))]
#[case::number("{o: {at: [/o]}}", json!({"o": 7}), Some("7"))]
#[case::flag("{o: {at: [/o]}}", json!({"o": false}), Some("false"))]
#[case::of_a_header("{o: {at: ['header:x-url']}}", json!({}), Some("https://h.example"))]
#[case::the_first_that_is_filled("{o: {at: [/a, /b, /o]}}", json!({"a": "", "b": {}, "o": "x"}), Some("x"))]
#[case::not_there("{o: {at: [/o]}}", json!({}), None)]
#[case::made("{o: {value: '{{ region }}/{{ outputs.access_token }}?{{ outputs.token_type }}'}}", json!({}), Some("eu/t0ken?Bearer"))]
#[case::made_of_what_is_found("{a: {at: [/a]}, o: {value: 'x{{ outputs.a }}'}}", json!({"a": "y"}), Some("xy"))]
#[case::made_of_nothing("{a: {at: [/a]}, o: {value: 'x{{ outputs.a }}'}}", json!({}), Some("x"))]
#[case::never_read_again("{a: {at: [/a]}, o: {value: '{{ outputs.a }}'}}", json!({"a": "{{ region }}"}), Some("{{ region }}"))]
fn outputs_are_found_or_made(
    #[case] rules: &str,
    #[case] body: Value,
    #[case] expected: Option<&str>,
) {
    let outputs = outputs(rules, &body).unwrap();
    assert_eq!(outputs.get("o").map(String::as_str), expected);
}

#[test]
fn an_answer_without_a_required_output_is_none() {
    let rules = "{o: {at: [/o, 'header:x-o'], required: true}}";
    let error = outputs(rules, &json!({"o": []})).unwrap_err();
    assert_eq!(error, "the answer holds no o (at /o, header:x-o)");
    assert!(outputs(rules, &json!({"o": "x"})).is_ok());
}

#[rstest]
#[case::of_itself("outputs: {o: {value: '{{ outputs.o }}'}}", "response.outputs.o")]
#[case::of_another_made_one(
    "outputs: {a: {value: x}, o: {value: '{{ outputs.a }}'}}",
    "neither a variable nor an output"
)]
#[case::of_a_credential("outputs: {o: {value: '{{ credentials.c }}'}}", "response.outputs.o")]
#[case::of_nothing("outputs: {o: {}}", "response.outputs.o: at or value says what it is")]
#[case::no_place("outputs: {o: {at: [o]}}", "response.outputs.o: \"o\" is no place")]
#[case::a_secret_expected("expect: {issuer: '{{ credentials.c }}'}", "response.expect")]
#[case::a_place_of_success(
    "success: [{at: code, oneOf: ['0']}]",
    "response.success: \"code\" is no place"
)]
#[case::of_a_token("token: [access_token]", "response.token: \"access_token\" is no place")]
fn what_an_answer_cannot_hold_is_refused(#[case] response: &str, #[case] says: &str) {
    let error = compile(&document(response)).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidProvider);
    assert!(error.message().contains(says), "{error}");
}

#[rstest]
#[case("{kind: none}", "needs response.expiry.default")]
#[case("{max: 0s}", "response.expiry.max is zero")]
#[case(
    "{kind: date, issuedAt: {kind: rfc3339, at: [/i]}}",
    "only the kinds seconds and milliseconds"
)]
#[case("{issuedAt: {kind: rfc3339, at: [i]}}", "response.expiry.issuedAt.at")]
fn a_life_that_cannot_be_told_is_refused(#[case] expiry: &str, #[case] says: &str) {
    let error = compile(&format!(
        "{{request: {{url: 'https://id.example'}}, response: {{expiry: {expiry}}}}}"
    ))
    .unwrap_err();
    assert!(error.message().contains(says), "{error}");
}

#[rstest]
#[case::other_names(
    "request: {url: 'https://a.example/{{ outputs.x }}'}",
    "request: {{ outputs.x }}"
)]
#[case::revoked("request: {url: 'https://a.example/{{ revoked.token }}'}", "{{ revoked.token }}")]
#[case::fingerprint("request: {url: 'https://a.example/{{ key.sha256 }}'}", "{{ key.sha256 }}")]
#[case::an_issuer_of_parameters(
    "issuer: 'https://a.example/{{ parameters.x }}'",
    "issuer: {{ parameters.x }}"
)]
fn a_name_stands_where_it_has_a_value(#[case] fields: &str, #[case] says: &str) {
    let error = compile(&format!("{{{fields}}}")).unwrap_err();
    assert!(error.message().contains(says), "{error}");
}

#[rstest]
#[case::new("r2", Some("r2"))]
#[case::the_same("r1", Some("r1"))]
#[case::none_at_all("none", None)]
fn a_refresh_token_is_taken_unless_it_is_none(#[case] told: &str, #[case] expected: Option<&str>) {
    let of_grant = |grant: &str| {
        let spec = format!(
            "{{grant: {grant}, request: {{url: 'https://id.example'}}, response: \
             {{ignoredRefreshTokens: [none]}}}}"
        );
        let body = json!({"access_token": "t", "expires_in": 9, "refresh_token": told});
        let issued = answered(&endpoint(&spec), &json_answer(200, &[], &body)).unwrap();
        issued.refresh_token.map(|token| token.expose_secret().to_owned())
    };
    assert_eq!(of_grant("refresh_token").as_deref(), expected);
    assert_eq!(of_grant("client_credentials"), None);
}
