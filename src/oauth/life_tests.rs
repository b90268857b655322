use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::oauth::testing::*;

/// The provider's clock when it answers, and the second by ours at which it is asked.
const DATE: &str = "Sat, 21 Nov 2026 20:24:00 GMT";
const NOW: i64 = 1_795_292_640;

fn life_of(
    expiry: &str,
    (headers, body): (&[(&str, &str)], &Value),
) -> Result<TimeDelta, crate::error::Error> {
    let endpoint = endpoint(&format!(
        "{{request: {{url: 'https://id.example'}}, response: {{token: [body, /access_token], \
         expiry: {expiry}}}}}"
    ));
    let mut body = body.clone();
    body["access_token"] = json!("t");
    let issued = answered(&endpoint, &json_answer(200, headers, &body))?;
    assert_eq!(issued.life.issued_at, sent_at());
    Ok(issued.life.expires_at - issued.life.issued_at)
}

fn milliseconds(expiry: &str, body: &Value) -> i64 {
    let life = life_of(expiry, (&[("date", DATE)], body));
    life.unwrap_or_else(|error| panic!("{error}: {expiry} {body}")).num_milliseconds()
}

#[rstest]
#[case::milliseconds("{kind: milliseconds}", json!({"expires_in": 90_500}), 90_500)]
#[case::in_text("{kind: milliseconds}", json!({"expires_in": "90500"}), 90_500)]
#[case::epoch("{kind: epochMilliseconds}", json!({"expires_in": (NOW + 60) * 1000 + 250}), 59_250)]
#[case::date("{kind: date}", json!({"expires_in": "2026-11-22"}), (3 * 3600 + 36 * 60 - 1) * 1000)]
#[case::padded_date("{kind: date}", json!({"expires_in": " 2026-11-22 "}), (3 * 3600 + 36 * 60 - 1) * 1000)]
#[case::never("{zeroMeansNever: true}", json!({"expires_in": 0}), LONGEST.num_milliseconds())]
#[case::never_in_text("{zeroMeansNever: true}", json!({"expires_in": "0"}), LONGEST.num_milliseconds())]
#[case::never_at_an_epoch("{kind: epochSeconds, zeroMeansNever: true}", json!({"expires_in": 0}), LONGEST.num_milliseconds())]
#[case::never_but_no_longer_than_believed("{zeroMeansNever: true, max: 24h}", json!({"expires_in": 0}), 86_400_000)]
#[case::not_never("{zeroMeansNever: true}", json!({"expires_in": 5}), 5_000)]
#[case::at_most("{max: 1h}", json!({"expires_in": 7_200}), 3_600_000)]
#[case::within("{max: 1h}", json!({"expires_in": 60}), 60_000)]
#[case::by_default_at_most("{default: 2h, max: 1h}", json!({}), 3_600_000)]
fn a_life_is_read(#[case] expiry: &str, #[case] body: Value, #[case] life: i64) {
    assert_eq!(milliseconds(expiry, &body), life);
}

// Providers that hand out a token again tell how long it lived in all.
#[rstest]
#[case::seconds("{kind: epochSeconds, at: [/i]}", json!(NOW - 600), 2_999_000)]
#[case::milliseconds("{kind: epochMilliseconds, at: [/i]}", json!((NOW - 600) * 1000), 2_999_000)]
#[case::rfc3339("{kind: rfc3339, at: [/i]}", json!("2026-11-21T20:14:00Z"), 2_999_000)]
#[case::the_first_that_is_there("{kind: epochSeconds, at: [/none, /i]}", json!(NOW - 600), 2_999_000)]
#[case::not_told("{kind: epochSeconds, at: [/none]}", json!(NOW - 600), 3_600_000)]
#[case::ahead_of_us("{kind: epochSeconds, at: [/i]}", json!(NOW + 600), 3_600_000)]
fn a_life_may_have_begun_before(#[case] issued_at: &str, #[case] told: Value, #[case] life: i64) {
    let body = json!({"expires_in": 3600, "i": told});
    assert_eq!(milliseconds(&format!("{{issuedAt: {issued_at}}}"), &body), life);
}

#[rstest]
#[case::zero("{}", json!({"expires_in": 0}), "already expired")]
#[case::zero_text("{kind: milliseconds}", json!({"expires_in": "0"}), "already expired")]
#[case::no_number("{kind: milliseconds}", json!({"expires_in": "soon"}), "not a number of milliseconds")]
#[case::no_epoch("{kind: epochMilliseconds}", json!({"expires_in": []}), "not a number of milliseconds since 1970")]
#[case::today("{kind: date}", json!({"expires_in": "2026-11-21"}), "already expired")]
#[case::no_day("{kind: date}", json!({"expires_in": "2026-02-30"}), "not a day, as 2026-11-21")]
#[case::a_time("{kind: date}", json!({"expires_in": "2026-11-22T00:00:00Z"}), "not a day")]
#[case::a_number("{kind: date}", json!({"expires_in": 20_261_122}), "not a day")]
#[case::issued_when("{issuedAt: {kind: rfc3339, at: [/i]}}", json!({"expires_in": 9, "i": "then"}), "time of issue at /i cannot be read")]
#[case::issued_long_ago("{issuedAt: {kind: epochSeconds, at: [/i]}}", json!({"expires_in": 9, "i": 0}), "already expired")]
#[case::before_all_time("{issuedAt: {kind: epochSeconds, at: [/i]}}", json!({"expires_in": -9, "i": i64::MIN}), "already expired")]
fn what_makes_no_life_is_refused(#[case] expiry: &str, #[case] body: Value, #[case] says: &str) {
    let error = life_of(expiry, (&[("date", DATE)], &body)).unwrap_err();
    assert!(error.message().contains(says), "{error}");
}

#[rstest]
#[case(json!(7), Some(7))]
#[case(json!(-7.9), Some(-7))]
#[case(json!(" 7.9 "), Some(7))]
#[case(json!("1e3"), Some(1000))]
#[case(json!(1e300), Some(i64::MAX))]
#[case(json!("1e400"), None)]
#[case(json!("0x7"), None)]
#[case(json!(true), None)]
#[case(json!([7]), None)]
fn a_number_is_read(#[case] value: Value, #[case] expected: Option<i64>) {
    assert_eq!(number(&value), expected);
}

/// What a provider may write where a time belongs.
fn told() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        (0..4_000_000_000_i64).prop_map(|number| json!(number)),
        any::<i64>().prop_map(|number| json!(number.to_string())),
        "[-+]?[0-9]{1,6}-[01][0-9]-[0-3][0-9](T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](Z|[-+][0-9]{2}:00))?"
            .prop_map(|text| json!(text)),
        "\\PC{0,20}".prop_map(|text| json!(text)),
        Just(json!(null)),
        Just(json!([1])),
    ]
}

const KINDS: &[&str] =
    &["seconds", "milliseconds", "epochSeconds", "epochMilliseconds", "rfc3339", "date", "jwt"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_life_is_longer_than_nothing_and_no_longer_than_believed(
        kind in prop::sample::select(KINDS),
        (expires_in, issued_at) in (told(), told()),
        issued in prop::sample::select(vec!["epochSeconds", "epochMilliseconds", "rfc3339"]),
        (never, max) in (any::<bool>(), prop::option::of(1..100_000_u32)),
        date in "([0-3][0-9] (Jan|Dec) [0-9]{2,6} [0-2][0-9]:[0-5][0-9]:[0-6][0-9] [-+][0-9]{4})?",
    ) {
        let issued = match kind {
            "seconds" | "milliseconds" => format!(", issuedAt: {{kind: {issued}, at: [/i]}}"),
            _ => String::new(),
        };
        let most = max.map_or(String::new(), |max| format!(", max: {max}s"));
        let expiry = format!("{{kind: {kind}, at: [/e], zeroMeansNever: {never}{issued}{most}}}");
        let body = json!({"e": expires_in, "i": issued_at});
        if let Ok(life) = life_of(&expiry, (&[("date", &date)], &body)) {
            let most = max.map_or(LONGEST, |max| TimeDelta::seconds(max.into()));
            prop_assert!(life > TimeDelta::zero() && life <= most, "{}", life);
        }
    }

    #[test]
    fn a_token_that_was_issued_before_lives_no_longer(
        life in 1..1_000_000_i64, age in -1_000..1_000_000_i64,
    ) {
        let body = json!({"expires_in": life, "i": NOW - age});
        let read = life_of(
            "{issuedAt: {kind: epochSeconds, at: [/i]}}", (&[("date", DATE)], &body),
        );
        let left = (life - age - 1).min(life);
        match read {
            Ok(read) => prop_assert_eq!(read.num_seconds(), left),
            Err(error) => prop_assert!(left <= 0, "{}", error),
        }
    }
}
