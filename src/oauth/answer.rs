//! An answer as it came: status, headers and capped body.

use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
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

    /// The provider's own time, in whole seconds.
    pub(super) fn date(&self) -> Option<DateTime<Utc>> {
        http_date(self.headers.get(DATE)?.to_str().ok()?)
    }

    /// `Retry-After` as it stands.
    pub(super) fn retry_after(&self) -> Option<&str> {
        self.headers.get(RETRY_AFTER)?.to_str().ok()
    }
}

/// An HTTP date (RFC 9110 section 5.6.7) in the form that is still sent.
pub(super) fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text.trim()).ok().map(|date| date.with_timezone(&Utc))
}

/// The value at the first pointer that finds one which `fits` takes.
pub(super) fn find<'a, T>(
    json: &'a Value,
    pointers: &[String],
    fits: impl Fn(&'a Value) -> Option<T>,
) -> Option<T> {
    pointers.iter().find_map(|pointer| fits(json.pointer(pointer)?))
}
