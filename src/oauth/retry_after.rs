//! `Retry-After` (RFC 9110 section 10.2.3): seconds or an HTTP date.

use std::time::Duration;

use super::answer::{Answer, http_date};

/// Longest silence that is obeyed: a provider that asks for more is asked again after an hour.
const CAP: Duration = Duration::from_hours(1);

/// How long the provider wants to be left alone, at most an hour.
pub(super) fn retry_after(answer: &Answer) -> Option<Duration> {
    let text = answer.retry_after()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a u64 holds is still a number, and a long one.
        return Some(text.parse().map_or(CAP, Duration::from_secs).min(CAP));
    }
    // A date counts against the provider's own clock where it tells it.
    let from = answer.date().unwrap_or(answer.received_at);
    let wait = http_date(text)?.signed_duration_since(from);
    Some(wait.to_std().unwrap_or_default().min(CAP))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::oauth::testing::answer;

    const DATE: (&str, &str) = ("date", "Sat, 21 Nov 2026 21:24:00 GMT");

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
        assert_eq!(retry_after(&answer), wait.map(Duration::from_millis));
    }

    #[test]
    fn without_one_nothing_is_asked_for() {
        assert_eq!(retry_after(&answer(429, &[], b"")), None);
    }
}
