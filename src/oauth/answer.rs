//! An answer as it came: status, headers and capped body.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{DATE, HeaderMap};
use secrecy::{ExposeSecret, SecretBox};
use serde_json::Value;

use super::life::LONGEST;

/// What a token endpoint answered. Its body is secret: it may hold a token.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// HTTP headers.
    pub headers: HeaderMap,
    /// At most 64 KiB.
    pub body: SecretBox<Vec<u8>>,
    /// When the request was about to be sent.
    pub sent_at: DateTime<Utc>,
    /// When the answer was there.
    pub received_at: DateTime<Utc>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Answer {
    /// The body as JSON, where it is JSON.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(self.body.expose_secret()).ok()
    }

    /// By how much the provider's clock is ahead of ours, to a second or two. A clock that is off
    /// by more than any token lives is none: no lifetime can be added to a hostile one's time.
    pub fn clock_skew(&self) -> Option<TimeDelta> {
        let between = self.sent_at + (self.received_at - self.sent_at) / 2;
        let skew = self.date()?.signed_duration_since(between);
        Some(skew).filter(|skew| skew.abs() <= LONGEST)
    }

    /// The provider's own time, in whole seconds.
    pub(super) fn date(&self) -> Option<DateTime<Utc>> {
        http_date(self.headers.get(DATE)?.to_str().ok()?)
    }
}

/// An HTTP date (RFC 9110 section 5.6.7) in the form that is still sent.
pub(super) fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text.trim()).ok().map(|date| date.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use crate::oauth::testing::answer;

    // The answer came between 20:24:00.5 and 20:24:02.5.
    #[rstest]
    #[case::ahead("Sat, 21 Nov 2026 21:24:01 GMT", Some(3_599_500))]
    #[case::behind("Sat, 21 Nov 2026 20:22:01 GMT", Some(-120_500))]
    #[case::no_date("yesterday", None)]
    #[case::of_no_clock("31 Dec 262142 23:59:59 GMT", None)]
    #[case::of_no_clock_either("01 Jan 0001 00:00:00 GMT", None)]
    fn their_clock_is_compared_with_ours(#[case] date: &str, #[case] skew: Option<i64>) {
        let skew = skew.map(chrono::TimeDelta::milliseconds);
        assert_eq!(answer(400, &[("date", date)], b"").clock_skew(), skew);
    }

    proptest! {
        #[test]
        fn time_goes_on_by_any_clock(
            date in "[0-3][0-9] (Jan|Dec) [0-9]{2,6} [0-2][0-9]:[0-5][0-9]:[0-6][0-9] [-+][0-9]{4}",
        ) {
            let answer = answer(400, &[("date", date.as_str())], b"");
            if let Some(skew) = answer.clock_skew() {
                let day = chrono::TimeDelta::days(1);
                let now = answer.received_at.checked_add_signed(skew).unwrap();
                prop_assert!(now.checked_add_signed(day).is_some());
                prop_assert!(now.checked_sub_signed(day).is_some());
            }
        }
    }
}
