//! An answer as it came: status, headers and capped body.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{DATE, HeaderMap};
use secrecy::{ExposeSecret, SecretBox};
use serde_json::Value;

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

    /// By how much the provider's clock is ahead of ours, to a second or two.
    pub fn clock_skew(&self) -> Option<TimeDelta> {
        let between = self.sent_at + (self.received_at - self.sent_at) / 2;
        Some(self.date()?.signed_duration_since(between))
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
