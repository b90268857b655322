use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::oauth::testing::*;

fn refused(rules: &str, status: u16, body: &Value) -> Error {
    let endpoint = endpoint(&format!(
        "{{preset: oauth2, variables: {{tokenUrl: 'https://id.example'}}, errors: {rules}}}"
    ));
    answered(&endpoint, &json_answer(status, &[], body)).unwrap_err()
}

#[rstest]
#[case(400, json!({"error": "invalid_client"}), Class::Permanent, ": invalid_client")]
#[case(400, json!({"error": "INVALID_CLIENT"}), Class::Permanent, ": invalid_client")]
#[case(401, json!({"error": "invalid_request"}), Class::Permanent, ": invalid_request")]
#[case(400, json!({"error": "invalid_grant"}), Class::Permanent, ": invalid_grant")]
#[case(403, json!({"error": "unauthorized_client"}), Class::Permanent, ": unauthorized_client")]
#[case(400, json!({"error": "unsupported_grant_type"}), Class::Permanent, ": unsupported_grant_type")]
#[case(400, json!({"error": "invalid_scope"}), Class::Permanent, ": invalid_scope")]
#[case(400, json!({"error": "invalid_target"}), Class::Permanent, ": invalid_target")]
#[case(403, json!({"error": "access_denied"}), Class::Permanent, ": access_denied")]
#[case(400, json!({"error": "consent_required"}), Class::Permanent, ": consent_required")]
#[case(400, json!({"error": "interaction_required"}), Class::Permanent, ": interaction_required")]
#[case(408, json!({"error": "invalid_client"}), Class::Transient, ": invalid_client")]
#[case(425, json!({"error": "invalid_client"}), Class::Transient, ": invalid_client")]
#[case(429, json!({"error": "invalid_client"}), Class::Throttled, ": invalid_client")]
#[case(500, json!({"error": "invalid_client"}), Class::Transient, ": invalid_client")]
#[case(503, json!({"error": "temporarily_unavailable"}), Class::Transient, ": temporarily_unavailable")]
#[case(400, json!({"error": "server_error"}), Class::Transient, ": server_error")]
#[case(400, json!({"error": "made_up"}), Class::Transient, ": unrecognised")]
#[case(400, json!({"error": 40013}), Class::Transient, ": unrecognised")]
#[case(400, json!({"error": ""}), Class::Transient, "")]
#[case(400, json!({"error": {"code": "invalid_client"}}), Class::Transient, "")]
#[case(418, json!("teapot"), Class::Transient, "")]
#[case(302, json!({}), Class::Transient, " (redirects are not followed)")]
#[case(200, json!({"error": "invalid_client"}), Class::Transient, ": invalid_client")]
#[case(200, json!({"error": 40013}), Class::Transient, ": unrecognised")]
fn refusals_are_classed(
    #[case] status: u16,
    #[case] body: Value,
    #[case] class: Class,
    #[case] shown: &str,
) {
    let error = refused("{}", status, &body);
    assert_eq!((error.class(), error.reason()), (class, reason(class)), "{error}");
    assert_eq!(error.message(), format!("the provider answered HTTP {status}{shown}"));
}

#[test]
fn a_refusal_without_a_body_is_transient() {
    let endpoint = endpoint("{request: {url: 'https://id.example'}}");
    for body in [&b""[..], b"<html>no</html>", b"\xff\xfe"] {
        let error = answered(&endpoint, &answer(401, &[], body)).unwrap_err();
        assert_eq!((error.class(), error.reason()), (Class::Transient, Reason::ProviderError));
        assert_eq!(error.message(), "the provider answered HTTP 401");
    }
}

#[rstest]
#[case::by_code("{code: [slow], class: throttled}", (400, json!({"error": "SLOW"})), Class::Throttled, ": slow")]
#[case::over_a_known_code("{code: [invalid_client], class: transient}", (400, json!({"error": "invalid_client"})), Class::Transient, ": invalid_client")]
#[case::over_a_status("{status: [503], class: permanent}", (503, json!({})), Class::Permanent, "")]
#[case::over_429("{status: [429], class: permanent}", (429, json!({})), Class::Permanent, "")]
#[case::by_number("{code: ['40013'], class: permanent}", (400, json!({"error": 40013})), Class::Permanent, ": 40013")]
#[case::by_number_with_200("{code: ['40013'], class: permanent}", (200, json!({"error": 40013})), Class::Permanent, ": 40013")]
#[case::by_message("{message: 'Rate Exceeded', class: throttled}", (400, json!({"error": "invalid_grant", "error_description": "login rate exceeded"})), Class::Throttled, ": invalid_grant")]
#[case::by_message_with_200("{message: frequent, class: throttled}", (200, json!({"error_description": "too FREQUENT"})), Class::Throttled, "")]
#[case::all_must_match("{status: [400], code: [x], message: z, class: permanent}", (400, json!({"error": "x", "error_description": "y"})), Class::Transient, ": x")]
fn a_documents_rule_wins(
    #[case] rule: &str,
    #[case] (status, body): (u16, Value),
    #[case] class: Class,
    #[case] shown: &str,
) {
    let error = refused(&format!("{{rules: [{rule}]}}"), status, &body);
    assert_eq!((error.class(), error.reason()), (class, reason(class)), "{error}");
    assert_eq!(error.message(), format!("the provider answered HTTP {status}{shown}"));
}

#[test]
fn the_first_rule_that_matches_wins() {
    let rules = "{rules: [{code: [x], class: throttled}, {status: [400], class: permanent}]}";
    assert_eq!(refused(rules, 400, &json!({"error": "x"})).class(), Class::Throttled);
    assert_eq!(refused(rules, 400, &json!({"error": "y"})).class(), Class::Permanent);
}

#[test]
fn codes_and_messages_are_where_the_document_says() {
    let rules = "{code: [/errors/0/id, /errcode], message: [/errmsg], \
                 rules: [{code: ['-1'], message: busy, class: throttled}]}";
    let error = refused(rules, 400, &json!({"errcode": -1, "errmsg": "system busy"}));
    assert_eq!(error.class(), Class::Throttled);
    let error = refused(rules, 400, &json!({"errors": [{"id": "invalid_client"}]}));
    assert_eq!(error.class(), Class::Permanent);
}

#[rstest]
#[case::named(429, &[("retry-after", "7")], Some(7))]
#[case::unnamed(429, &[], Some(60))]
#[case::with_a_transient_one(503, &[("retry-after", "7")], Some(7))]
#[case::none(503, &[], None)]
fn silence_is_kept_as_long_as_it_is_asked_for(
    #[case] status: u16,
    #[case] headers: &[(&str, &str)],
    #[case] wait: Option<u64>,
) {
    let endpoint = endpoint("{request: {url: 'https://id.example'}}");
    let error = answered(&endpoint, &answer(status, headers, b"")).unwrap_err();
    assert_eq!(error.retry_after(), wait.map(Duration::from_secs));
}

#[rstest]
#[case::there("{name: X-Quota}", &[("x-quota", "1")], true)]
#[case::not_there("{name: X-Quota}", &[], false)]
#[case::of_a_value("{name: x-quota, value: '0'}", &[("x-quota", "0")], true)]
#[case::of_another_value("{name: x-quota, value: '0'}", &[("x-quota", "00")], false)]
fn a_rule_may_look_at_a_header(
    #[case] header: &str,
    #[case] headers: &[(&str, &str)],
    #[case] matches: bool,
) {
    let endpoint = endpoint(&format!(
        "{{request: {{url: 'https://id.example'}}, errors: {{rules: [{{header: {header}, class: throttled}}]}}}}"
    ));
    let error = answered(&endpoint, &answer(403, headers, b"")).unwrap_err();
    assert_eq!(error.class() == Class::Throttled, matches, "{error}");
}

#[rstest]
#[case::at_least(&[("retry-after", "7")], 900)]
#[case::longer(&[("retry-after", "1000")], 1000)]
#[case::alone(&[], 900)]
fn a_rule_says_how_long_to_wait_at_least(#[case] headers: &[(&str, &str)], #[case] wait: u64) {
    let endpoint = endpoint(
        "{request: {url: 'https://id.example'}, errors: {rules: [{status: [403], class: transient, \
         wait: 15m}]}}",
    );
    let error = answered(&endpoint, &answer(403, headers, b"")).unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(wait)));
}

#[rstest]
#[case::known("{}", json!({"error": "Invalid_Client"}), true)]
#[case::other("{}", json!({"error": "invalid_grant"}), false)]
#[case::by_rule("{rules: [{code: ['40001'], class: invalidClient}]}", json!({"error": 40001}), true)]
#[case::not_by_rule("{rules: [{code: [invalid_client], class: permanent}]}", json!({"error": "invalid_client"}), false)]
fn it_is_known_whether_the_clients_secret_is_to_blame(
    #[case] rules: &str,
    #[case] body: Value,
    #[case] blamed: bool,
) {
    let error = refused(rules, 401, &body);
    assert_eq!((error.blames_client(), error.class()), (blamed, Class::Permanent));
}

#[rstest]
#[case::known("{}", json!({"error": "Invalid_Grant"}), true)]
#[case::another("{}", json!({"error": "invalid_scope"}), false)]
#[case::of_the_providers_own(
    "{rules: [{code: [BAD_REFRESH_TOKEN], class: permanent}]}", json!({"error": "BAD_REFRESH_TOKEN"}), true,
)]
#[case::a_throttle("{rules: [{code: [invalid_grant], class: throttled}]}", json!({"error": "invalid_grant"}), false)]
fn it_is_known_whether_the_refresh_token_is_refused(
    #[case] rules: &str,
    #[case] body: Value,
    #[case] refuses: bool,
) {
    assert_eq!(refused(rules, 400, &body).refuses_grant(), refuses);
}

#[rstest]
#[case(json!({"code": 0, "error": "x"}), None)]
#[case(json!({"code": "0"}), None)]
#[case(json!({}), None)]
#[case(json!({"code": null}), None)]
#[case(json!({"code": 7, "error": "invalid_grant"}), Some(Class::Permanent))]
#[case(json!({"code": 7, "error": "busy"}), Some(Class::Transient))]
#[case(json!({"code": 7}), Some(Class::Transient))]
#[case(json!({"code": [0]}), Some(Class::Transient))]
#[case(json!({"code": false}), Some(Class::Transient))]
fn conditions_of_success_must_hold(#[case] body: Value, #[case] refused: Option<Class>) {
    let endpoint = endpoint(
        "{request: {url: 'https://id.example'}, response: {success: [{at: /code, oneOf: ['0'], \
         mayBeAbsent: true}]}}",
    );
    let mut body = body;
    body["access_token"] = json!("t");
    body["expires_in"] = json!(60);
    let read = answered(&endpoint, &json_answer(200, &[], &body));
    assert_eq!(read.map(drop).map_err(|error| error.class()), refused.map_or(Ok(()), Err));
}

#[test]
fn a_condition_that_may_not_be_absent_must_be_there() {
    let endpoint = endpoint(
        "{request: {url: 'https://id.example'}, response: {success: [{at: /ok, oneOf: ['true']}]}}",
    );
    for (ok, good) in [(json!({"ok": true}), true), (json!({}), false), (json!({"ok": 1}), false)] {
        let mut body = ok;
        body["access_token"] = json!("t");
        body["expires_in"] = json!(60);
        assert_eq!(answered(&endpoint, &json_answer(200, &[], &body)).is_ok(), good, "{body}");
    }
}

proptest! {
    #[test]
    fn a_refusal_shows_no_more_than_its_status_and_a_known_code(
        status in 300..600_u16,
        code in prop_oneof!["\\PC{0,30}", "(invalid_grant|SLOW|slow_down|x1)"],
        message in "\\PC{0,40}",
        (listed, class) in ("(slow|[a-z]{3})", "(permanent|transient|throttled|invalidClient)"),
        wait in prop::option::of(0..10_000_u64),
    ) {
        let least = wait.map_or(String::new(), |wait| format!(", wait: {wait}s"));
        let rules = format!(
            "{{code: [/error], rules: [{{code: ['{listed}'], class: {class}{least}}}, \
             {{message: quota, class: throttled}}]}}"
        );
        let error = refused(&rules, status, &json!({"error": code, "error_description": message}));
        let known = code.eq_ignore_ascii_case(&listed) || lists(PERMANENT, &code) || lists(REGISTERED, &code);
        let shown = match (code.as_str(), known) {
            ("", _) => String::new(),
            (code, true) => format!(": {}", code.to_ascii_lowercase()),
            _ => ": unrecognised".to_owned(),
        };
        let expected = format!("the provider answered HTTP {status}{shown}");
        prop_assert_eq!(error.message().trim_end_matches(" (redirects are not followed)"), expected);
        let matched = code.eq_ignore_ascii_case(&listed);
        let least = wait.filter(|_| matched).map(Duration::from_secs);
        let throttled = Some(UNNAMED_THROTTLE).filter(|_| error.class() == Class::Throttled);
        prop_assert_eq!(error.retry_after(), least.or(throttled));
    }
}
