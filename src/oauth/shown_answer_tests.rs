use rstest::rstest;
use serde_json::json;

use super::*;
use crate::oauth::testing::{HARD, answer, client, credentials, endpoint, json_answer, supplies};

const SPEC: &str =
    "{request: {url: 'https://id.example'}, response: {outputs: {pin: {at: [/pin]}}}}";

fn shown(answer: &Answer) -> ShownAnswer {
    endpoint(SPEC).show_answer(answer, (&supplies(client()), None))
}

#[test]
fn of_an_answer_the_shape_is_shown_and_what_people_are_meant_to_read() {
    let body = json!({
        "access_token": "short", "token_type": "Bearer", "scope": "a b", "expires_in": 60,
        "nested": {"list": ["x", true, null], "error_description": "not here"}, "pin": 1234,
    });
    let shown = shown(&json_answer(200, &[("content-type", "application/json")], &body));
    let shape: Value = serde_json::from_str(&shown.body).unwrap();
    assert_eq!(
        shape,
        json!({
            "access_token": "<string, 5 characters>", "token_type": "Bearer", "scope": "a b",
            "expires_in": 60, "pin": "<number>",
            "nested": {
                "list": ["<string, 1 character>", true, null],
                "error_description": "<string, 8 characters>",
            },
        })
    );
    assert_eq!(shown.headers, [("content-type", "application/json".to_owned())]);
}

#[rstest]
#[case::a_secret(&format!("no client has the secret {HARD}"), "<redacted: it quotes a secret>")]
#[case::a_piece(&format!("…{}…", &HARD[..9]), "<redacted: it quotes a secret>")]
#[case::a_piece_in_pieces(
    &format!("{}\u{7}{}", &HARD[..4], &HARD[4..9]),
    "<redacted: it quotes a secret>"
)]
#[case::a_jwt("bad eyJhbGciOiJIUzI1NiJ9abcdefgh.x", "bad <redacted, 30 characters>")]
#[case::a_key("key AbCdEfGhIjKlMnOpQrStUvWx0", "key <redacted, 25 characters>")]
#[case::a_hash("0123456789abcdef01234567", "<redacted, 24 characters>")]
#[case::a_line_break("a\r\nb\u{1b}[31m", "ab[31m")]
#[case::an_id(
    "trace 0f6e3c1a-9d2b-4c57-8e4d-1a2b3c4d5e6f",
    "trace 0f6e3c1a-9d2b-4c57-8e4d-1a2b3c4d5e6f"
)]
fn words_of_the_provider_hold_nothing_secret(#[case] said: &str, #[case] seen: &str) {
    let body = json!({"error": "invalid_client", "error_description": said});
    let shown = shown(&json_answer(401, &[], &body));
    assert_eq!(shown.message.as_deref(), Some(seen));
    assert_eq!(shown.code.as_deref(), Some("invalid_client"));
    assert!(shown.body.contains(&json!(seen).to_string()), "{}", shown.body);
}

#[test]
fn a_redirect_leads_nowhere_that_is_secret() {
    let leads = |to: &str| {
        let credentials = credentials(&[("client_secret", "s3cr3t0123")]);
        let answer = answer(302, &[("location", to)], b"");
        endpoint(SPEC).show_answer(&answer, (&supplies(credentials), None)).redirect
    };
    assert_eq!(leads("https://login.example/x").as_deref(), Some("login.example"));
    assert_eq!(leads("https://s3cr3t0123.example/x"), None);
}

#[test]
fn a_member_that_is_named_like_a_secret_is_not_named() {
    let mut body = json!({});
    body[HARD] = json!({"token": "0123456789abcdef"});
    let shown = shown(&json_answer(200, &[], &body));
    assert_eq!(
        shown.body,
        r#"{"<redacted: it quotes a secret>":{"token":"<string, 16 characters>"}}"#
    );
    assert_eq!(shown.tokens, Vec::<String>::new());
}

#[rstest]
#[case(b"", Content::Empty, "no body")]
#[case(b" <!DOCTYPE html><p>", Content::Html, "<an HTML page, 19 bytes>")]
#[case(b"<html>", Content::Html, "<an HTML page, 6 bytes>")]
#[case(b"access_token=x", Content::Other, "<no JSON, 14 bytes>")]
#[case(b"\xff\xfe", Content::Other, "<no JSON, 6 bytes>")]
fn a_body_that_is_no_json_is_described(
    #[case] body: &[u8],
    #[case] content: Content,
    #[case] words: &str,
) {
    let shown = shown(&answer(200, &[], body));
    assert_eq!((shown.content, shown.body.as_str()), (content, words));
}

#[rstest]
#[case("https://login.example/x?code=s3cr3t", Some("login.example"))]
#[case("/login", None)]
#[case("https://0123456789abcdef01234567.example/", None)]
fn of_a_redirect_the_host_is_told(#[case] location: &str, #[case] host: Option<&str>) {
    let shown = shown(&answer(302, &[("location", location)], b""));
    assert_eq!(shown.redirect.as_deref(), host);
}

#[test]
fn what_lies_elsewhere_is_found() {
    let body = json!({
        "data": {"accessToken": "0123456789abcdef", "expires_at": "2026-11-21T20:24:00Z"},
        "refresh_token": "0123456789abcdef", "id_token": "0123456789abcdef",
        "ttl": 300, "valid_until": 1_795_292_642, "expiry": 1_795_292_642_000_i64,
        "expires": "never", "refresh_expires_in": 60, "lifetime": 0,
        "session": {"token_value": "0123456789abcdef", "sessionToken": "too short"},
    });
    let shown = shown(&json_answer(200, &[], &body));
    assert_eq!(shown.tokens, ["/data/accessToken", "/session/token_value"]);
    let expected = [
        ("/data/expires_at", "rfc3339"),
        ("/expiry", "epochMilliseconds"),
        ("/ttl", "seconds"),
        ("/valid_until", "epochSeconds"),
    ];
    let expected: Vec<_> = expected.map(|(at, kind)| (at.to_owned(), kind)).into();
    assert_eq!(shown.expiries, expected);
}

#[test]
fn a_body_without_end_is_cut() {
    let body: Vec<u32> = (0..1000).collect();
    let shown = shown(&json_answer(200, &[], &json!(body)));
    assert!(shown.body.ends_with("\n…") && shown.body.lines().count() == 41, "{}", shown.body);
}
