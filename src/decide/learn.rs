//! What an outcome means for the next decision.

use chrono::{DateTime, TimeDelta, Utc};

use super::facts::{Facts, HeldToken, Seen};
use super::schedule::{Backoff, min_interval};
use crate::api::annotations::whole_seconds;
use crate::error::{Error, Reason};

/// What came of a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The inputs were read: their digest.
    Verified {
        /// See [`super::Means::seen`].
        seen: String,
        /// Digest, or why no request can be made from them.
        found: Result<String, Error>,
    },
    /// A token was fetched and written.
    Published {
        /// The token.
        held: HeldToken,
        /// The attempt.
        attempt: Attempt,
    },
    /// No token was fetched, or it could not be written.
    Failed {
        /// Why.
        error: Error,
        /// The attempt.
        attempt: Attempt,
    },
    /// The token that was there was written again.
    WrittenAgain {
        /// The token, where it lies now.
        held: HeldToken,
    },
    /// The token that was there is not good enough to be written again: a fetch must follow.
    NothingToWriteAgain,
}

/// What an attempt was made with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attempt {
    /// When it began.
    pub at: DateTime<Utc>,
    /// See [`super::Means::seen`].
    pub seen: String,
    /// Digest of the inputs, where it came that far.
    pub inputs: Option<String>,
    /// The refresh request that it answers.
    pub refresh_request: Option<String>,
    /// Whether there was no good token to fall back on.
    pub without_target: bool,
}

/// What the next decision depends on besides the outcome.
#[derive(Clone, Copy, Debug)]
pub struct Lesson {
    /// Now.
    pub now: DateTime<Utc>,
    /// The document's `limits.minInterval`.
    pub min_interval: Option<TimeDelta>,
    /// In `0.0..1.0`.
    pub random: f64,
}

/// Takes an outcome into account.
#[must_use]
pub fn learn(facts: Facts, outcome: Outcome, lesson: Lesson) -> Facts {
    match outcome {
        Outcome::Verified { seen, found } => verified(facts, seen, found),
        Outcome::Published { held, attempt } => published(facts, held, attempt),
        Outcome::Failed { error, attempt } => failed(facts, error, attempt, lesson),
        Outcome::WrittenAgain { held } => Facts { held: Some(held), ..facts },
        Outcome::NothingToWriteAgain => Facts { held: None, ..facts },
    }
}

fn verified(facts: Facts, seen: String, found: Result<String, Error>) -> Facts {
    // A digest made with another key says nothing: take over what was found, fetch nothing.
    let attempted = match (&found, facts.attempted) {
        (Ok(found), Some(attempted)) if key_id(found) != key_id(&attempted) => Some(found.clone()),
        (_, attempted) => attempted,
    };
    Facts { seen: Some(Seen { at: seen, found }), attempted, ..facts }
}

fn key_id(digest: &str) -> &str {
    digest.split('.').next().unwrap_or_default()
}

fn published(facts: Facts, held: HeldToken, attempt: Attempt) -> Facts {
    let held = HeldToken {
        issued_at: whole_seconds(held.issued_at),
        expires_at: whole_seconds(held.expires_at),
        refresh_at: whole_seconds(held.refresh_at),
        ..held
    };
    Facts {
        held: Some(held),
        consecutive_failures: 0,
        retry_at: None,
        throttled_until: None,
        failure: None,
        attempted_without_target: false,
        ..attempted(facts, attempt)
    }
}

fn failed(facts: Facts, error: Error, attempt: Attempt, lesson: Lesson) -> Facts {
    let failures = facts.consecutive_failures.saturating_add(1);
    let held = facts.held.as_ref().filter(|held| held.expires_at > lesson.now);
    let life = held.map_or(TimeDelta::zero(), |held| held.expires_at - held.issued_at);
    let backoff = Backoff {
        failures,
        remaining: held.map(|held| held.expires_at - lesson.now),
        min_interval: match held {
            Some(_) => min_interval(lesson.min_interval, life),
            None => lesson.min_interval.unwrap_or(TimeDelta::seconds(5)),
        },
        random: lesson.random,
    };
    // Whose the target is gets decided anew before every request: no need to wait for long.
    let wait = match error.reason() {
        Reason::SecretNotOwned => TimeDelta::zero(),
        _ => backoff.after(&error),
    };
    let retry_at = lesson.now + wait;
    Facts {
        consecutive_failures: failures,
        throttled_until: error.retry_after().map(|_| retry_at),
        retry_at: Some(retry_at),
        failure: Some(error),
        ..attempted(facts, attempt)
    }
}

fn attempted(facts: Facts, attempt: Attempt) -> Facts {
    let seen = attempt.inputs.clone().map(|found| Seen { at: attempt.seen, found: Ok(found) });
    Facts {
        last_attempt_at: Some(attempt.at),
        attempted: attempt.inputs.or(facts.attempted),
        attempted_without_target: attempt.without_target,
        seen: seen.or(facts.seen),
        handled_refresh_request: attempt.refresh_request.or(facts.handled_refresh_request),
        ..facts
    }
}
