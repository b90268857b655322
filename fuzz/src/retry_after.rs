//! Wishes for silence: a line with the endpoint's name, then the answer.

use std::sync::LazyLock;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use tokenward::error::Class;
use tokenward::oauth::{Answer, Asking, Endpoint, Supplies};

use super::shared;

const HOUR: Duration = Duration::from_hours(1);

const SPECS: &[(&str, &str)] = &[
    ("standard", "{request: {url: 'https://id.example'}}"),
    (
        "places",
        "{request: {url: 'https://id.example'}, errors: {retryAfter: [{at: /wait, kind: seconds}, \
         {at: 'header:x-reset', kind: epochSeconds}, {at: /until, kind: epochSeconds}, {at: body}, \
         {at: 'header:retry-after'}, {at: 'header:x-wait', kind: seconds}]}}",
    ),
    (
        "rules",
        "{request: {url: 'https://id.example'}, errors: {rules: [{status: [503], class: throttled, \
         wait: 30s}, {header: {name: x-quota}, class: throttled, wait: 1h}, {code: [slow], class: \
         throttled}]}}",
    ),
];

static ENDPOINTS: LazyLock<Vec<(String, Endpoint)>> = LazyLock::new(|| {
    SPECS.iter().map(|(name, spec)| ((*name).to_owned(), shared::endpoint(spec))).collect()
});

/// Reads a refusal.
pub fn run(data: &[u8]) {
    let (name, rest) = shared::first_line(data);
    let endpoint = shared::pick(&ENDPOINTS, name);
    let answer = shared::answer(rest);
    let answer = Answer { status: answer.status.max(400), ..answer };
    let read = endpoint.read(&answer, &Asking::default(), &Supplies::default());
    let Err(error) = read else { panic!("{} is no success", answer.status) };
    let wait = error.retry_after();
    assert!(wait.is_none_or(|wait| wait <= HOUR), "{wait:?}");
    assert!(wait.is_some() || error.class() != Class::Throttled);
    if name == b"standard" {
        check_standard(&answer, (error.class(), wait));
    }
}

/// RFC 9110 section 10.2.3, said once more: a number of seconds is obeyed, up to an hour.
fn check_standard(answer: &Answer, (class, wait): (Class, Option<Duration>)) {
    let text = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let Some(text) = text else { return };
    let digits = text.trim();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = digits.trim_start_matches('0');
        let seconds = if seconds.len() > 5 { 3600 } else { seconds.parse().unwrap_or(0) };
        assert_eq!(wait, Some(Duration::from_secs(seconds).min(HOUR)), "{text:?}");
    } else if digits.len() < 8 {
        // Too short for a date: as if nothing had been said.
        assert_eq!(wait.is_some(), class == Class::Throttled, "{text:?}");
    }
}
