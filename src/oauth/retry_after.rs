//! How long a provider wants to be left alone, in the forms in which it says so.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::RETRY_AFTER;
use serde_json::Value;

use super::answer::http_date;
use super::life::{Unit, epoch, number};
use super::places::{Place, Reading, scalar};
use crate::api::RetryAfterKind;
use crate::error::Class;

/// Longest silence that is obeyed: a provider that asks for more is asked again after an hour.
const CAP: Duration = Duration::from_hours(1);

/// How long the provider wants to be left alone, at most an hour: the first place that tells it.
pub(super) fn retry_after(
    places: &[(Place, RetryAfterKind)],
    (class, reading): (Class, &Reading<'_>),
) -> Option<Duration> {
    // Limits of rate are told with any answer: only where one was hit do they matter.
    let counts = |place: &Place| class == Class::Throttled || *place == Place::Header(RETRY_AFTER);
    let mut counting = places.iter().filter(|(place, _)| counts(place));
    counting.find_map(|(place, kind)| wait(&*reading.at(place)?, *kind, reading))
}

fn wait(value: &Value, kind: RetryAfterKind, reading: &Reading<'_>) -> Option<Duration> {
    let text = scalar(value)?;
    let text = text.trim();
    match kind {
        // RFC 9110 section 10.2.3.
        RetryAfterKind::Auto if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
            // More digits than a u64 holds is still a number, and a long one.
            Some(text.parse().map_or(CAP, Duration::from_secs).min(CAP))
        }
        RetryAfterKind::Auto => Some(until(http_date(text)?, reading)),
        RetryAfterKind::Seconds => {
            let seconds: f64 = text.parse().ok()?;
            Some(Duration::try_from_secs_f64(seconds).unwrap_or(CAP).min(CAP))
                .filter(|_| seconds >= 0.0)
        }
        RetryAfterKind::EpochSeconds => Some(until(epoch(number(value)?, Unit::Seconds), reading)),
    }
}

/// A time counts against the provider's own clock where it tells it.
fn until(time: DateTime<Utc>, reading: &Reading<'_>) -> Duration {
    let from = reading.answer.date().unwrap_or(reading.answer.received_at);
    let wait: TimeDelta = time.signed_duration_since(from);
    wait.to_std().unwrap_or_default().min(CAP)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::oauth::answer::Answer;
    use crate::oauth::testing::answer;

    const DATE: (&str, &str) = ("date", "Sat, 21 Nov 2026 21:24:00 GMT");

    fn standard(answer: &Answer) -> Option<Duration> {
        let places = [(Place::Header(RETRY_AFTER), RetryAfterKind::Auto)];
        retry_after(&places, (Class::Transient, &Reading::new(answer)))
    }

    // The answer was received at 2026-11-21T20:24:02.5Z.
    #[rstest]
    #[case::seconds("120", &[], Some(120_000))]
    #[case::padded(" 120 ", &[], Some(120_000))]
    #[case::zero("0", &[], Some(0))]
    #[case::an_hour_at_most("3601", &[], Some(3_600_000))]
    #[case::more_than_fits("99999999999999999999", &[], Some(3_600_000))]
    #[case::date("Sat, 21 Nov 2026 20:25:02 GMT", &[], Some(59_500))]
    #[case::date_by_their_clock("Sat, 21 Nov 2026 21:25:00 GMT", &[DATE], Some(60_000))]
    #[case::past("Sat, 21 Nov 2020 20:25:02 GMT", &[], Some(0))]
    #[case::far("Sat, 21 Nov 2099 20:25:02 GMT", &[], Some(3_600_000))]
    #[case::end_of_time("31 Dec 262142 23:59:59 GMT", &[], Some(3_600_000))]
    #[case::garbage("soon", &[], None)]
    #[case::empty("", &[], None)]
    #[case::negative("-5", &[], None)]
    #[case::fraction("1.5", &[], None)]
    fn retry_after_is_read(
        #[case] value: &str,
        #[case] others: &[(&str, &str)],
        #[case] wait: Option<u64>,
    ) {
        let headers = [&[("retry-after", value)], others].concat();
        let answer = answer(429, &headers, b"");
        assert_eq!(standard(&answer), wait.map(Duration::from_millis));
    }

    #[test]
    fn without_one_nothing_is_asked_for() {
        assert_eq!(standard(&answer(429, &[], b"")), None);
    }

    // The answer was received at epoch second 1795292642.5.
    #[rstest]
    #[case::epoch("header:x-reset", RetryAfterKind::EpochSeconds, "1795292672", Some(29_500))]
    #[case::epoch_past("header:x-reset", RetryAfterKind::EpochSeconds, "1", Some(0))]
    #[case::epoch_in_milliseconds(
        "header:x-reset",
        RetryAfterKind::EpochSeconds,
        "1795292672000",
        Some(3_600_000)
    )]
    #[case::fraction("header:x-reset", RetryAfterKind::Seconds, "1.5", Some(1_500))]
    #[case::negative("header:x-reset", RetryAfterKind::Seconds, "-1", None)]
    #[case::not_a_number("header:x-reset", RetryAfterKind::Seconds, "NaN", None)]
    #[case::of_the_body("/wait", RetryAfterKind::Seconds, "", Some(7_000))]
    fn other_places_count_where_there_were_too_many_requests(
        #[case] at: &str,
        #[case] kind: RetryAfterKind,
        #[case] value: &str,
        #[case] wait: Option<u64>,
    ) {
        let answer = answer(429, &[("x-reset", value)], br#"{"wait": 7}"#);
        let places = [(Place::parse(at, "errors.retryAfter").unwrap(), kind)];
        let found = |class| retry_after(&places, (class, &Reading::new(&answer)));
        assert_eq!(found(Class::Throttled), wait.map(Duration::from_millis));
        assert_eq!(found(Class::Transient), None);
    }

    #[test]
    fn the_first_place_that_tells_it_wins() {
        let answer = answer(429, &[("x-a", "soon"), ("x-b", "7"), ("retry-after", "9")], b"{}");
        let places: Vec<_> = ["/none", "header:x-a", "header:x-b", "header:retry-after"]
            .map(|at| (Place::parse(at, "errors.retryAfter").unwrap(), RetryAfterKind::Seconds))
            .into();
        let found = |class| retry_after(&places, (class, &Reading::new(&answer)));
        assert_eq!(found(Class::Throttled), Some(Duration::from_secs(7)));
        assert_eq!(found(Class::Permanent), Some(Duration::from_secs(9)));
    }

    proptest! {
        #[test]
        fn no_wish_is_longer_than_an_hour(
            value in prop_oneof![
                "[ -~]{0,30}", "[0-9]{1,25}", "-?[0-9]{1,5}(\\.[0-9]{1,5})?(e[0-9]{1,4})?",
                "[0-3][0-9] (Jan|Dec) [0-9]{2,6} [0-2][0-9]:[0-5][0-9]:[0-6][0-9] [-+][0-9]{4}",
            ],
            date in "[0-3][0-9] (Jan|Dec) [0-9]{2,6} [0-2][0-9]:[0-5][0-9]:[0-6][0-9] [-+][0-9]{4}",
            kind in prop::sample::select(vec![
                RetryAfterKind::Auto, RetryAfterKind::Seconds, RetryAfterKind::EpochSeconds,
            ]),
        ) {
            let headers = [("retry-after", value.as_str()), ("date", date.as_str())];
            let body = serde_json::json!({"wait": value}).to_string();
            let answer = answer(429, &headers, body.as_bytes());
            for at in ["header:retry-after", "/wait", "body"] {
                let places = [(Place::parse(at, "errors.retryAfter").unwrap(), kind)];
                let wait = retry_after(&places, (Class::Throttled, &Reading::new(&answer)));
                prop_assert!(wait.is_none_or(|wait| wait <= CAP), "{:?}", wait);
            }
        }

        #[test]
        fn a_number_of_seconds_is_obeyed(seconds in 0..10_000_u64) {
            let answer = answer(503, &[("retry-after", &seconds.to_string())], b"");
            prop_assert_eq!(standard(&answer), Some(Duration::from_secs(seconds.min(3600))));
        }
    }
}
