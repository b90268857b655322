//! `Retry-After` (RFC 9110 section 10.2.3): seconds or an HTTP date.

use std::time::Duration;

use super::answer::{Answer, http_date};

/// Longest silence that is obeyed: a provider that asks for more is asked again after an hour.
const CAP: Duration = Duration::from_secs(3600);

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
