//! How long a token lives, as an answer tells it. Every error says what was wrong and nothing of
//! what was there.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::answer::Answer;
use super::jwt;
use super::places::Reading;
use super::response::Life;
use super::rules::ExpiryRules;
use crate::api::{ExpiryKind, IssuedAtKind};
use crate::error::{Error, Reason};

/// No token is believed to live longer: 100 years, which every calendar can hold.
pub(super) const LONGEST: TimeDelta = TimeDelta::days(36_500);

/// What a number counts.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

impl Unit {
    fn milliseconds(self) -> i64 {
        match self {
            Self::Seconds => 1000,
            Self::Milliseconds => 1,
        }
    }
}

/// A token's time, by our clock.
pub(super) fn life(
    rules: &ExpiryRules,
    (reading, token): (&Reading<'_>, &SecretString),
) -> Result<Life, Error> {
    let told = reading.find(&rules.at, |value| Some(value.clone()));
    let never = rules.zero_means_never && told.as_ref().and_then(number) == Some(0);
    let remaining = match (rules.kind, told) {
        _ if never => Some(LONGEST),
        (ExpiryKind::Jwt, told) => {
            let jwt = told.as_ref().and_then(Value::as_str).unwrap_or(token.expose_secret());
            let exp = jwt::claims(jwt).and_then(|claims| number(claims.get("exp")?));
            exp.map(|exp| until(epoch(exp, Unit::Seconds), reading.answer))
        }
        (_, None) | (ExpiryKind::None, _) => None,
        (kind, Some(value)) => Some(remaining(rules, (kind, &value), reading)?),
    };
    let remaining =
        remaining.or_else(|| TimeDelta::from_std(rules.default?).ok()).ok_or_else(|| {
            invalid("the answer tells no expiry and the document has no response.expiry.default")
        })?;
    if remaining <= TimeDelta::zero() {
        return Err(invalid("the token has already expired by its own account"));
    }
    let most = rules.max.and_then(|max| TimeDelta::from_std(max).ok()).unwrap_or(LONGEST);
    let issued_at = reading.answer.sent_at;
    Ok(Life { issued_at, expires_at: issued_at + remaining.min(most).min(LONGEST) })
}

/// What remains by a value that is there.
fn remaining(
    rules: &ExpiryRules,
    (kind, value): (ExpiryKind, &Value),
    reading: &Reading<'_>,
) -> Result<TimeDelta, Error> {
    let unreadable = |what: &str| invalid(format!("the expiry at {} is not {what}", rules.at));
    let relative = |unit: Unit, what: &str| {
        let life = number(value).map(|number| duration(number, unit));
        since_issue(rules, (life.ok_or_else(|| unreadable(what))?, reading))
    };
    let absolute = |time: Option<DateTime<Utc>>, what: &str| {
        time.map(|time| until(time, reading.answer)).ok_or_else(|| unreadable(what))
    };
    match kind {
        ExpiryKind::Seconds => relative(Unit::Seconds, "a number of seconds"),
        ExpiryKind::Milliseconds => relative(Unit::Milliseconds, "a number of milliseconds"),
        ExpiryKind::EpochSeconds => {
            let time = number(value).map(|number| epoch(number, Unit::Seconds));
            absolute(time, "a number of seconds since 1970")
        }
        ExpiryKind::EpochMilliseconds => {
            let time = number(value).map(|number| epoch(number, Unit::Milliseconds));
            absolute(time, "a number of milliseconds since 1970")
        }
        ExpiryKind::Rfc3339 => absolute(rfc3339(value), "an RFC 3339 timestamp"),
        ExpiryKind::Date => absolute(date(value), "a day, as 2026-11-21"),
        ExpiryKind::Jwt | ExpiryKind::None => Err(unreadable("told that way")),
    }
}

/// What remains of a life that may have begun before this answer. Where the time of issue is not
/// told, it began with it.
fn since_issue(
    rules: &ExpiryRules,
    (life, reading): (TimeDelta, &Reading<'_>),
) -> Result<TimeDelta, Error> {
    let Some((kind, at)) = &rules.issued_at else { return Ok(life) };
    let Some(value) = reading.find(at, |value| Some(value.clone())) else { return Ok(life) };
    let issued_at = match kind {
        IssuedAtKind::EpochSeconds => number(&value).map(|n| epoch(n, Unit::Seconds)),
        IssuedAtKind::EpochMilliseconds => number(&value).map(|n| epoch(n, Unit::Milliseconds)),
        IssuedAtKind::Rfc3339 => rfc3339(&value),
    };
    let issued_at =
        issued_at.ok_or_else(|| invalid(format!("the time of issue at {at} cannot be read")))?;
    let expiry = issued_at.checked_add_signed(life).unwrap_or(DateTime::<Utc>::MAX_UTC);
    // Its clock may be a little ahead of ours: that makes no life longer.
    Ok(until(expiry, reading.answer).min(life))
}

fn date(value: &Value) -> Option<DateTime<Utc>> {
    let day: NaiveDate = value.as_str()?.trim().parse().ok()?;
    Some(day.and_time(NaiveTime::MIN).and_utc())
}

/// A number, or a string that holds one; fractions are cut off.
pub(super) fn number(value: &Value) -> Option<i64> {
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

/// So long, no longer than what is believed at all.
pub(super) fn duration(number: i64, unit: Unit) -> TimeDelta {
    let longest = LONGEST.num_milliseconds();
    let milliseconds = number.saturating_mul(unit.milliseconds());
    TimeDelta::milliseconds(milliseconds.clamp(-longest, longest))
}

/// A time since 1970; what no calendar can hold is as far as one goes.
pub(super) fn epoch(number: i64, unit: Unit) -> DateTime<Utc> {
    let farthest = if number > 0 { DateTime::<Utc>::MAX_UTC } else { DateTime::<Utc>::MIN_UTC };
    let time = number.checked_mul(unit.milliseconds()).and_then(DateTime::from_timestamp_millis);
    time.unwrap_or(farthest)
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
#[path = "life_tests.rs"]
mod tests;
