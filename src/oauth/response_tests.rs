use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::error::Class;
use crate::oauth::life::LONGEST;
use crate::oauth::testing::*;

const OAUTH2: &str = "{preset: oauth2, variables: {tokenUrl: 'https://id.example/token'}}";
const DATE: &str = "Sat, 21 Nov 2026 20:24:00 GMT";

/// The generic document with other rules for the expiry.
fn expiring(expiry: &str) -> Endpoint {
    endpoint(&format!(
        "{{preset: oauth2, variables: {{tokenUrl: 'https://id.example/token'}}, \
         response: {{expiry: {expiry}}}}}"
    ))
}

fn read(endpoint: &Endpoint, body: &Value) -> Result<Issued, Error> {
    read_with(endpoint, &json_answer(200, &[], body), client())
}

fn life_of(issued: &Issued) -> TimeDelta {
    assert_eq!(issued.life.issued_at, sent_at());
    issued.life.expires_at - issued.life.issued_at
}

fn jwt(exp: &Value) -> String {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(&json!({"exp": exp})))
}

#[rstest]
#[case::html(b"<html>maintenance at 9</html>", "is not a JSON object")]
#[case::empty(b"", "is not a JSON object")]
#[case::string(b"\"abcdef\"", "is not a JSON object")]
#[case::array(b"[]", "is not a JSON object")]
#[case::not_utf8(b"{\"access_token\": \"\xff\"}", "is not a JSON object")]
#[case::deep(&[b'['; 10_000], "is not a JSON object")]
#[case::no_token(b"{}", "no token (a non-empty string at /access_token)")]
#[case::token_number(b"{\"access_token\": 12345678901234}", "no token")]
#[case::token_null(b"{\"access_token\": null}", "no token")]
#[case::token_object(b"{\"access_token\": {}}", "no token")]
#[case::token_empty(b"{\"access_token\": \"\"}", "no token")]
#[case::token_breaks(b"{\"access_token\": \"a\\nb\", \"expires_in\": 9}", "control character")]
#[case::no_expiry(b"{\"access_token\": \"t\"}", "no response.expiry.default")]
fn an_answer_that_is_none_is_transient(#[case] body: &[u8], #[case] says: &str) {
    let error = read_with(&endpoint(OAUTH2), &answer(200, &[], body), client()).unwrap_err();
    assert_eq!((error.reason(), error.class()), (Reason::InvalidResponse, Class::Transient));
    assert!(error.message().contains(says), "{error}");
}

#[rstest]
#[case::number(json!(3599), 3599)]
#[case::text(json!("3599"), 3599)]
#[case::padded_text(json!(" 3599 "), 3599)]
#[case::fraction(json!(3599.9), 3599)]
#[case::text_fraction(json!("3599.9"), 3599)]
#[case::one(json!(1), 1)]
#[case::hundred_years(json!(3_153_600_000_u64), 3_153_600_000)]
#[case::more_than_that(json!(4_000_000_000_u64), 36_500 * 86_400)]
#[case::i64_max(json!(i64::MAX), 36_500 * 86_400)]
#[case::u64_max(json!(u64::MAX), 36_500 * 86_400)]
#[case::huge_float(json!(1e300), 36_500 * 86_400)]
#[case::huge_text(json!("99999999999999999999999"), 36_500 * 86_400)]
fn seconds_are_read(#[case] expires_in: Value, #[case] life: i64) {
    let issued =
        read(&endpoint(OAUTH2), &json!({"access_token": "t", "expires_in": expires_in})).unwrap();
    assert_eq!(life_of(&issued), TimeDelta::seconds(life));
}

#[rstest]
#[case::zero(json!(0), "already expired")]
#[case::negative(json!(-1), "already expired")]
#[case::i64_min(json!(i64::MIN), "already expired")]
#[case::under_a_second(json!(0.9), "already expired")]
#[case::bool(json!(true), "expiry at /expires_in is not a number of seconds")]
#[case::object(json!({}), "is not a number of seconds")]
#[case::list(json!([3600]), "is not a number of seconds")]
#[case::words(json!("one hour"), "is not a number of seconds")]
#[case::nothing(json!(""), "is not a number of seconds")]
#[case::nan(json!("NaN"), "is not a number of seconds")]
#[case::infinite(json!("inf"), "is not a number of seconds")]
#[case::null(json!(null), "no response.expiry.default")]
fn seconds_that_make_no_life_are_refused(#[case] expires_in: Value, #[case] says: &str) {
    let error = read(&endpoint(OAUTH2), &json!({"access_token": "t", "expires_in": expires_in}))
        .unwrap_err();
    assert_eq!((error.reason(), error.class()), (Reason::InvalidResponse, Class::Transient));
    assert!(error.message().contains(says), "{error}");
}

#[rstest]
#[case::absent(json!({"access_token": "t"}))]
#[case::null(json!({"access_token": "t", "expires_in": null}))]
fn a_default_holds_where_nothing_is_told(#[case] body: Value) {
    let issued = read(&expiring("{default: 1h30m}"), &body).unwrap();
    assert_eq!(life_of(&issued), TimeDelta::minutes(90));
    let told = json!({"access_token": "t", "expires_in": 60});
    assert_eq!(life_of(&read(&expiring("{default: 1h}"), &told).unwrap()), TimeDelta::minutes(1));
    assert_eq!(
        life_of(&read(&expiring("{kind: none, default: 1h}"), &told).unwrap()),
        TimeDelta::hours(1)
    );
}

/// The request goes out at 20:24:00.5 by our clock.
#[rstest]
#[case::epoch("{kind: epochSeconds, at: [/e]}", json!(1_795_292_940), 299_500)]
#[case::epoch_text("{kind: epochSeconds, at: [/e]}", json!("1795292940"), 299_500)]
#[case::rfc3339("{kind: rfc3339, at: [/e]}", json!("2026-11-21T20:29:00Z"), 299_500)]
#[case::milliseconds("{kind: rfc3339, at: [/e]}", json!("2026-11-21T20:29:00.250Z"), 299_750)]
#[case::offset("{kind: rfc3339, at: [/e]}", json!("2026-11-21T22:59:00+02:30"), 299_500)]
#[case::offset_west("{kind: rfc3339, at: [/e]}", json!("2026-11-21T14:29:00.000-06:00"), 299_500)]
#[case::jwt("{kind: jwt, at: [/e]}", json!(jwt(&json!(1_795_292_940))), 299_500)]
#[case::jwt_fraction("{kind: jwt, at: [/e]}", json!(jwt(&json!(1_795_292_940.9))), 299_500)]
fn absolute_times_count_against_the_answers_own_date(
    #[case] expiry: &str,
    #[case] told: Value,
    #[case] by_our_clock: i64,
) {
    let endpoint = expiring(expiry);
    let body = json!({"access_token": "t", "e": told});
    let life = |headers: &[(&str, &str)]| {
        life_of(&read_with(&endpoint, &json_answer(200, headers, &body), client()).unwrap())
    };
    let by_our_clock = TimeDelta::milliseconds(by_our_clock);
    assert_eq!(life(&[]), by_our_clock);
    assert_eq!(life(&[("date", "yesterday")]), by_our_clock);
    // Date has whole seconds, so 20:24:00 may be 20:24:00.999.
    let by_theirs = by_our_clock - TimeDelta::milliseconds(500);
    assert_eq!(life(&[("date", DATE)]), by_theirs);
    // Our clock is an hour ahead of theirs: a good token stays good.
    let late = [("date", "Sat, 21 Nov 2026 19:24:00 GMT")];
    assert_eq!(life(&late), by_theirs + TimeDelta::hours(1));
}

#[test]
fn a_jwt_is_read_from_the_token_itself() {
    let endpoint = expiring("{kind: jwt}");
    let issued = read(&endpoint, &json!({"access_token": jwt(&json!(1_795_292_940))})).unwrap();
    assert_eq!(life_of(&issued), TimeDelta::milliseconds(299_500));
    let error = read(&endpoint, &json!({"access_token": "opaque"})).unwrap_err();
    assert!(error.message().contains("tells no expiry"), "{error}");
    let opaque = read(&expiring("{kind: jwt, default: 5m}"), &json!({"access_token": "opaque"}));
    assert_eq!(life_of(&opaque.unwrap()), TimeDelta::minutes(5));
}

#[rstest]
#[case("{kind: epochSeconds, at: [/e]}", json!(i64::MAX))]
#[case("{kind: epochSeconds, at: [/e]}", json!(1e300))]
#[case("{kind: rfc3339, at: [/e]}", json!("9999-12-31T23:59:60Z"))]
#[case("{kind: jwt, at: [/e]}", json!(jwt(&json!(1e300))))]
fn the_end_of_time_is_a_hundred_years_away(#[case] expiry: &str, #[case] told: Value) {
    for date in [DATE, "Thu, 01 Jan 1970 00:00:00 GMT"] {
        let answer = json_answer(200, &[("date", date)], &json!({"access_token": "t", "e": told}));
        let issued = read_with(&expiring(expiry), &answer, client()).unwrap();
        assert_eq!(life_of(&issued), LONGEST);
    }
}

#[rstest]
#[case("{kind: epochSeconds, at: [/e]}", json!(i64::MIN), "already expired")]
#[case("{kind: epochSeconds, at: [/e]}", json!(0), "already expired")]
#[case("{kind: epochSeconds, at: [/e]}", json!(1_795_292_940), "already expired")]
#[case("{kind: rfc3339, at: [/e]}", json!("2026-11-21T20:29:00Z"), "already expired")]
#[case("{kind: rfc3339, at: [/e]}", json!("0000-01-01T00:00:00+23:59"), "already expired")]
#[case("{kind: rfc3339, at: [/e]}", json!("2026-11-21"), "is not an RFC 3339 timestamp")]
#[case("{kind: rfc3339, at: [/e]}", json!(1_795_292_940), "is not an RFC 3339 timestamp")]
#[case("{kind: epochSeconds, at: [/e]}", json!("soon"), "is not a number of seconds since 1970")]
fn an_absolute_time_that_makes_no_life_is_refused(
    #[case] expiry: &str,
    #[case] told: Value,
    #[case] says: &str,
) {
    // The last second that chrono knows, which leaves no room for one more.
    for date in ["Sun, 21 Nov 2027 20:24:00 GMT", "31 Dec 262142 23:59:59 GMT"] {
        let answer = json_answer(200, &[("date", date)], &json!({"access_token": "t", "e": told}));
        let error = read_with(&expiring(expiry), &answer, client()).unwrap_err();
        assert_eq!(error.reason(), Reason::InvalidResponse);
        assert!(error.message().contains(says), "{error}");
    }
}

#[test]
fn oracle_is_read_where_it_differs() {
    let oracle =
        endpoint("{preset: oracle-content-channel, variables: {host: a.example, channelId: CC79}}");
    let body = json!({"token": "t", "channelId": "CC79",
        "expiration": {"value": "2026-11-28T20:24:00.000Z", "timezone": "UTC"}});
    let issued = read_with(&oracle, &json_answer(201, &[("date", DATE)], &body), client()).unwrap();
    assert_eq!(life_of(&issued), TimeDelta::days(7) - TimeDelta::seconds(1));
    assert_eq!((issued.token_type.as_deref(), issued.scopes.len()), (None, 0));
    let error = read_with(&oracle, &json_answer(200, &[], &body), client()).unwrap_err();
    assert_eq!((error.reason(), error.class()), (Reason::ProviderError, Class::Transient));
    for status in [400, 403] {
        let error = read_with(&oracle, &answer(status, &[], b""), client()).unwrap_err();
        assert_eq!(error.reason(), Reason::TokenRequestRejected);
    }
    let error = read_with(&oracle, &answer(500, &[], b""), client()).unwrap_err();
    assert_eq!(error.reason(), Reason::ProviderError);
}

#[test]
fn the_first_non_empty_string_is_the_token() {
    let endpoint = endpoint(
        "{preset: oauth2, variables: {tokenUrl: 'https://id.example'}, \
         response: {token: [/a, /b/0, /c~1d]}}",
    );
    let body = json!({"a": "", "b": [7], "c/d": "t", "expires_in": 60});
    assert_eq!(read(&endpoint, &body).unwrap().access_token.expose_secret(), "t");
}

#[test]
fn type_and_scope_are_what_the_provider_says() {
    let body = json!({"access_token": "t0ken-value", "expires_in": 60, "token_type": "bearer",
        "scope": "read a:b,c  write"});
    let issued = read(&endpoint(OAUTH2), &body).unwrap();
    assert_eq!(issued.token_type.as_deref(), Some("bearer"));
    assert_eq!(issued.scopes, ["read", "a:b", "c", "write"]);
    assert!(!format!("{issued:?}").contains("t0ken"), "{issued:?}");
}

#[rstest]
#[case::the_token("t0ken-0123456789-abcdef")]
#[case::a_part_of_it("ken-0123456789")]
#[case::more_than_it("Bearer.t0ken-0123456789-abcdef")]
#[case::a_part_in_other_text("Bearer.t0ken-0123456789")]
#[case::the_secret("s3cr3t+0123456789")]
#[case::a_part_of_the_secret("xx.3cr3t+012345678.xx")]
#[case::a_short_secret("x.abcd.x")]
#[case::control("a\nb")]
#[case::not_ascii("é")]
fn what_could_hold_a_secret_is_not_taken_over(#[case] text: &str) {
    let credentials = credentials(&[("client_secret", "s3cr3t+0123456789"), ("pin", "abcd")]);
    let body = json!({"access_token": "t0ken-0123456789-abcdef", "expires_in": 60,
        "token_type": text, "scope": format!("read {text}")});
    let answer = json_answer(200, &[], &body);
    let issued = read_with(&endpoint(OAUTH2), &answer, credentials).unwrap();
    assert_eq!(issued.token_type, None);
    assert!(issued.scopes.iter().all(|scope| ["read", "a", "b"].contains(&&**scope)), "{issued:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_answer_panics_or_shows_in_an_error(
        status in prop::sample::select(vec![200_u16, 201, 302, 400, 401, 429, 500]),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..400),
            "\\PC{0,100}".prop_map(|text| json!({"error": text, "error_description": text}).to_string().into_bytes()),
            ("\\PC{12,60}", any::<f64>()).prop_map(|(text, number)| json!({"access_token": text, "token_type": text, "scope": text, "expires_in": number}).to_string().into_bytes()),
            ("\\PC{12,60}", any::<i64>()).prop_map(|(text, number)| json!({"access_token": text, "expires_in": number.to_string()}).to_string().into_bytes()),
        ],
        date in prop_oneof!["[ -~]{0,40}", "[0-3][0-9] (Jan|Dec) [0-9]{2,6} [0-2][0-9]:[0-5][0-9]:[0-6][0-9] [-+][0-9]{4}"],
        secret in "[ -~]{12,40}",
        kind in prop::sample::select(vec!["seconds", "epochSeconds", "rfc3339", "jwt"]),
    ) {
        let endpoint = expiring(&format!("{{kind: {kind}, at: [/expires_in]}}"));
        let credentials = credentials(&[("client_id", "id"), ("client_secret", &secret)]);
        let headers = [("date", date.as_str()), ("retry-after", date.as_str())];
        match read_with(&endpoint, &answer(status, &headers, &body), credentials) {
            Ok(issued) => prop_assert!(issued.life.expires_at > issued.life.issued_at),
            Err(error) => {
                let shown = error.message();
                let body = String::from_utf8_lossy(&body);
                // The document's own words are no text of an answer.
                let ours = ["access_token", "/expires_in"];
                for slice in slices(&body).chain(slices(&secret)) {
                    prop_assert!(!shown.contains(&slice) || ours.iter().any(|o| slice.contains(o)), "{shown}: {slice}");
                }
            }
        }
    }

    #[test]
    fn text_of_an_answer_shares_no_slice_with_a_secret(
        secret in "[a-z]{12,30}", from in 0..8_usize, around in "[A-Z]{0,9}",
    ) {
        let text = format!("{around}{}{around}", &secret[from..]);
        let body = json!({"access_token": "t", "expires_in": 9, "token_type": text, "scope": text});
        let credentials = credentials(&[("client_secret", &secret)]);
        let issued = read_with(&endpoint(OAUTH2), &json_answer(200, &[], &body), credentials).unwrap();
        let shown: Vec<String> = issued.token_type.into_iter().chain(issued.scopes).collect();
        for slice in slices(&secret) {
            prop_assert!(!shown.iter().any(|text| text.contains(&slice)), "{shown:?}");
        }
    }
}

fn slices(text: &str) -> impl Iterator<Item = String> {
    let chars: Vec<char> = text.chars().collect();
    (12..=chars.len()).map(move |end| chars[end - 12..end].iter().collect())
}

#[test]
fn the_end_of_a_refresh_token_is_warned_of_a_week_before() {
    let spec = "{grant: refresh_token, request: {url: 'https://id.example'}, \
                response: {refreshTokenExpiresIn: [/left]}}";
    let warnings = |left: i64| {
        let body = json!({"access_token": "t", "expires_in": 60, "left": left});
        answered(&endpoint(spec), &json_answer(200, &[], &body)).unwrap().warnings
    };
    assert_eq!(warnings(8 * 86_400), Vec::<String>::new());
    assert_eq!(
        warnings(6 * 86_400),
        ["the refresh token itself ends on 2026-11-27: a new consent gives another one"]
    );
}

#[test]
fn what_is_renewed_is_known_even_where_the_rest_cannot_be_read() {
    let spec = "{grant: refresh_token, request: {url: 'https://id.example'}}";
    let renewed = |status: u16, body: Value| {
        let answer = json_answer(status, &[], &body);
        let endpoint = endpoint(spec);
        assert!(answered(&endpoint, &answer).is_err());
        endpoint.renewed(&answer).refresh_token.map(|token| token.expose_secret().to_owned())
    };
    let next = Some("next".to_owned());
    assert_eq!(renewed(200, json!({"access_token": "t", "refresh_token": "next"})), next);
    assert_eq!(renewed(201, json!({"access_token": "t", "refresh_token": "next"})), next);
    assert_eq!(renewed(200, json!({"refresh_token": "next"})), next);
    assert_eq!(renewed(400, json!({"refresh_token": "next"})), None);
}
