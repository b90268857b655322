//! Reading an answer. Pure; every error says what was wrong and nothing of what was there.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::answer::{Answer, find};
use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::secrets::Secrets;
use super::{errors, jwt};
use crate::api::ExpiryKind;
use crate::error::{Error, Reason};

/// A token, fresh from its provider.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub access_token: SecretString,
    /// As the provider says (RFC 6749 section 7.1).
    pub token_type: Option<String>,
    /// As the provider says, where it says so.
    pub scopes: Vec<String>,
    /// When it was asked for and when it expires, by our clock.
    pub life: Life,
}

/// A token's time, by our clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Just before the request was sent.
    pub issued_at: DateTime<Utc>,
    /// Always later.
    pub expires_at: DateTime<Utc>,
}

/// No token is believed to live longer: 100 years, which every calendar can hold.
const LONGEST: TimeDelta = TimeDelta::days(36_500);

impl Endpoint {
    /// Reads an answer: a token, or what the refusal means.
    pub fn read(&self, answer: &Answer, credentials: &Credentials) -> Result<Issued, Error> {
        if !self.response.success_status.contains(&answer.status) {
            return Err(errors::read(self, answer));
        }
        let json = answer.json().filter(Value::is_object).ok_or_else(|| {
            invalid(format!("the answer (HTTP {}) is not a JSON object", answer.status))
        })?;
        let token = find(&json, &self.response.token, |v| v.as_str().filter(|t| !t.is_empty()));
        let Some(token) = token else {
            return Err(errors::read_success(self, answer, &json).unwrap_or_else(|| {
                let at = self.response.token.join(", ");
                invalid(format!("the answer holds no token (a non-empty string at {at})"))
            }));
        };
        if token.chars().any(char::is_control) {
            return Err(invalid("the token holds a control character"));
        }
        let token = SecretString::from(token);
        let life = self.life(answer, &json, &token)?;
        let secrets = Secrets::new(credentials.values().chain([&token]));
        let token_type = self.token_type(&json).filter(|text| !secrets.touch(text));
        let scopes = self.scopes(&json, |scope| !secrets.touch(scope));
        Ok(Issued { token_type, scopes, access_token: token, life })
    }

    fn token_type(&self, json: &Value) -> Option<String> {
        let is_type = |text: &&str| {
            (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic() || c == ' ')
        };
        find(json, &self.response.token_type, |v| v.as_str().filter(is_type)).map(str::to_owned)
    }

    fn scopes(&self, json: &Value, harmless: impl Fn(&str) -> bool) -> Vec<String> {
        let is_scope = |text: &&str| {
            (1..=256).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic())
        };
        find(json, &self.response.scope, Value::as_str)
            .map(|text| text.split([' ', ',']).filter(is_scope).filter(|s| harmless(s)).take(64))
            .map(|scopes| scopes.map(str::to_owned).collect())
            .unwrap_or_default()
    }

    fn life(&self, answer: &Answer, json: &Value, token: &SecretString) -> Result<Life, Error> {
        let at = &self.response.expiry_at;
        let unreadable = |what: &str| {
            let at = if at.is_empty() { "the token's exp".to_owned() } else { at.join(", ") };
            invalid(format!("the expiry at {at} is not {what}"))
        };
        let told = find(json, at, |value| Some(value).filter(|v| !v.is_null()));
        let remaining = match (self.response.expiry_kind, told) {
            (ExpiryKind::Seconds, Some(value)) => {
                Some(seconds(value).ok_or_else(|| unreadable("a number of seconds"))?)
            }
            (ExpiryKind::EpochSeconds, Some(value)) => Some(until(
                epoch(value).ok_or_else(|| unreadable("a number of seconds since 1970"))?,
                answer,
            )),
            (ExpiryKind::Rfc3339, Some(value)) => Some(until(
                rfc3339(value).ok_or_else(|| unreadable("an RFC 3339 timestamp"))?,
                answer,
            )),
            (ExpiryKind::Jwt, told) => {
                let jwt = told.and_then(Value::as_str).unwrap_or(token.expose_secret());
                jwt::claims(jwt)
                    .and_then(|claims| epoch(claims.get("exp")?))
                    .map(|exp| until(exp, answer))
            }
            (_, None) | (ExpiryKind::None, _) => None,
        };
        let remaining = remaining
            .or_else(|| TimeDelta::from_std(self.response.default_life?).ok())
            .ok_or_else(|| {
                invalid(
                    "the answer tells no expiry and the document has no response.expiry.default",
                )
            })?;
        if remaining <= TimeDelta::zero() {
            return Err(invalid("the token has already expired by its own account"));
        }
        let issued_at = answer.sent_at;
        Ok(Life { issued_at, expires_at: issued_at + remaining.min(LONGEST) })
    }
}

/// A number, or a string that holds one; fractions are cut off.
fn number(value: &Value) -> Option<i64> {
    let whole = |number: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "`as` saturates, which is what is meant"
        )]
        number.is_finite().then_some(number.trunc() as i64)
    };
    match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| whole(text.parse().ok()?))
        }
        _ => None,
    }
}

fn seconds(value: &Value) -> Option<TimeDelta> {
    let seconds = number(value)?;
    Some(TimeDelta::seconds(seconds.clamp(-LONGEST.num_seconds(), LONGEST.num_seconds())))
}

fn epoch(value: &Value) -> Option<DateTime<Utc>> {
    let seconds = number(value)?;
    let farthest = if seconds > 0 { DateTime::<Utc>::MAX_UTC } else { DateTime::<Utc>::MIN_UTC };
    Some(DateTime::from_timestamp(seconds, 0).unwrap_or(farthest))
}

fn rfc3339(value: &Value) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|time| time.with_timezone(&Utc))
}

/// What remains until an absolute time: against the answer's own Date, whose whole seconds may
/// hide almost one more, so that a skewed clock of ours does no harm.
fn until(expiry: DateTime<Utc>, answer: &Answer) -> TimeDelta {
    match answer.date() {
        // A hostile Date may be the last that there is: nothing can be added to it.
        Some(date) => expiry - date - TimeDelta::seconds(1),
        None => expiry - answer.sent_at,
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Reason::InvalidResponse, message)
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
