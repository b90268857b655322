//! What an outcome means for the next decision.

use chrono::{DateTime, TimeDelta, Utc};

use super::facts::{Facts, HeldToken, Inspected, Repairs, Seen, Setback};
use super::finalizer::{FinalizerChange, FinalizerTry};
use super::rollout::{Restarts, rolled_out};
use super::schedule::{self, Backoff, after, min_interval};
use crate::api::annotations::{milliseconds, whole_seconds};
use crate::error::{Class, Error, Reason};

/// From the so manieth time on the pause before something is read again does not grow any more.
const READS: u32 = 4;

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
    /// No token was fetched, or it could not be written. Where the attempt knows no inputs, the
    /// provider was not even asked.
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
    /// The target was looked at more closely.
    Inspected(Inspected),
    /// A former target was cleared, or could not be.
    Left {
        /// The Secret.
        secret_name: String,
        /// Why not.
        error: Option<Error>,
    },
    /// Former tokens were revoked, as far as that was possible.
    Revoked {
        /// When the next one is to be.
        next: Option<DateTime<Utc>>,
    },
    /// Workloads were restarted.
    Restarted {
        /// When the token took another's place.
        changed_at: DateTime<Utc>,
        /// What came of it.
        restarts: Restarts,
    },
    /// The expired token left its target.
    Withdrawn,
    /// The resource is deleted and its tokens were revoked, as far as that was possible.
    Parted,
    /// The finalizer was set or removed, or could not be.
    Finalizer {
        /// What was to be done.
        change: FinalizerChange,
        /// For which generation of the resource.
        generation: Option<i64>,
        /// Why it was not.
        error: Option<Error>,
    },
    /// The provider is not asked yet; the next snapshot tells why.
    HeldBack,
    /// The token that was there does not come to the shape that is declared now: a fetch must
    /// follow.
    NotRendered {
        /// See [`super::Outline::digest`].
        shape: String,
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
    /// The target's shape, see [`super::Outline::digest`].
    pub shape: String,
    /// The refresh request that it answers.
    pub refresh_request: Option<String>,
    /// Whether there was no good token to fall back on.
    pub without_target: bool,
    /// What a person should know of the inputs.
    pub remark: Option<String>,
    /// The key of the credentials Secret whose secret the provider took, where there are several.
    pub secret_key: Option<String>,
    /// What hindered the pods that mount the target from being nudged.
    pub nudge: Option<String>,
    /// When the former token is to be revoked, where it is.
    pub revoke_at: Option<DateTime<Utc>>,
}

/// What the next decision depends on besides the outcome.
#[derive(Clone, Copy, Debug)]
pub struct Lesson<'a> {
    /// Now.
    pub now: DateTime<Utc>,
    /// The document's `limits.minInterval`.
    pub min_interval: Option<TimeDelta>,
    /// In `0.0..1.0`.
    pub random: f64,
    /// Who wrote to the target last, apart from us, as far as that is known.
    pub undone_by: Option<&'a str>,
}

/// Takes an outcome into account.
#[must_use]
pub fn learn(facts: Facts, outcome: Outcome, lesson: Lesson<'_>) -> Facts {
    match outcome {
        Outcome::Verified { seen, found } => verified(facts, seen, found),
        Outcome::Published { held, attempt } => published(facts, held, attempt, lesson),
        Outcome::Failed { error, attempt } if attempt.inputs.is_none() => {
            set_back(facts, error, lesson)
        }
        Outcome::Failed { error, attempt } => failed(facts, error, attempt, lesson),
        Outcome::WrittenAgain { held } => written_again(facts, held, lesson),
        Outcome::Inspected(inspected) => {
            Facts { inspected: Some(inspected), setback: None, ..facts }
        }
        Outcome::Left { secret_name, error } => left(facts, (secret_name, error), lesson),
        Outcome::Restarted { changed_at, restarts } => {
            let backoff = backoff(&facts, lesson, 0);
            let before = facts.rollout;
            let rollout = rolled_out(before, (changed_at, restarts), (backoff, lesson));
            Facts { rollout: Some(rollout), ..facts }
        }
        Outcome::Withdrawn => Facts { setback: None, ..facts },
        Outcome::Parted => Facts { parted: true, ..facts },
        Outcome::Finalizer { change, generation, error } => {
            let tried = tried(&facts, (change, generation, error), lesson);
            Facts { finalizer: Some(tried), ..facts }
        }
        Outcome::Revoked { next } => Facts { revoke_at: next, ..facts },
        Outcome::HeldBack => facts,
        Outcome::NotRendered { shape } => Facts { unrendered: Some(shape), setback: None, ..facts },
        Outcome::NothingToWriteAgain => {
            let mut former = facts.former;
            former.extend(facts.held.map(|held| held.secret_name));
            Facts { held: None, setback: None, former, ..facts }
        }
    }
}

/// The token is in this Secret now; where it was before is to be cleared of it.
fn moved(facts: Facts, held: HeldToken) -> Facts {
    let mut former = facts.former;
    former.extend(facts.held.map(|before| before.secret_name));
    former.remove(&held.secret_name);
    Facts { held: Some(held), former, ..facts }
}

fn left(
    mut facts: Facts,
    (secret_name, error): (String, Option<Error>),
    lesson: Lesson<'_>,
) -> Facts {
    let Some(error) = error else {
        facts.former.remove(&secret_name);
        let held = facts.held.filter(|held| held.secret_name != secret_name);
        return Facts { held, leaving: None, ..facts };
    };
    let times = facts.leaving.as_ref().map_or(0, |failed| failed.times).saturating_add(1);
    let wait = Backoff { remaining: None, ..backoff(&facts, lesson, times) }.full_jitter();
    Facts { leaving: Some(Setback { error, times, until: after(lesson.now, wait) }), ..facts }
}

fn verified(facts: Facts, seen: String, found: Result<String, Error>) -> Facts {
    // A digest made with another key says nothing, and none says no more: take over what was
    // found, fetch nothing.
    let attempted = match (&found, facts.attempted) {
        (Ok(found), Some(attempted)) if key_id(found) != key_id(&attempted) => Some(found.clone()),
        (Ok(found), None) if facts.held.is_some() => Some(found.clone()),
        (_, attempted) => attempted,
    };
    Facts { seen: Some(Seen { at: seen, found }), attempted, setback: None, ..facts }
}

fn key_id(digest: &str) -> &str {
    digest.split('.').next().unwrap_or_default()
}

fn published(facts: Facts, held: HeldToken, attempt: Attempt, lesson: Lesson<'_>) -> Facts {
    let lost = attempt.without_target
        && facts.held.as_ref().is_none_or(|before| before.expires_at > attempt.at);
    let same_token_until = same_token_until(&facts, &held, attempt.at);
    let held = HeldToken {
        issued_at: whole_seconds(held.issued_at),
        expires_at: whole_seconds(held.expires_at),
        refresh_at: milliseconds(held.refresh_at),
        ..held
    };
    let facts = moved(facts, held);
    Facts {
        same_token_until,
        repairs: match lost {
            true => Some(repaired(facts.repairs.as_ref(), lesson)),
            false => facts.repairs.clone(),
        },
        consecutive_failures: 0,
        failures_of_a_kind: 0,
        retry_at: None,
        throttled_until: None,
        failure: None,
        attempted_without_target: false,
        unrendered: None,
        secret_key: attempt.secret_key.clone(),
        nudge: attempt.nudge.clone(),
        revoke_at: [facts.revoke_at, attempt.revoke_at].into_iter().flatten().min(),
        ..attempted(facts, attempt)
    }
}

fn written_again(facts: Facts, held: HeldToken, lesson: Lesson<'_>) -> Facts {
    let facts = Facts {
        repairs: Some(repaired(facts.repairs.as_ref(), lesson)),
        attempted_without_target: false,
        unrendered: None,
        setback: None,
        ..moved(facts, held)
    };
    match is_of_shape(facts.failure.as_ref()) {
        // It was the shape, and that is mended.
        true => Facts {
            consecutive_failures: 0,
            failures_of_a_kind: 0,
            retry_at: None,
            failure: None,
            ..facts
        },
        false => facts,
    }
}

/// Whether a token was had, and could not be shown.
pub(super) fn is_of_shape(failure: Option<&Error>) -> bool {
    failure.is_some_and(|failure| failure.reason() == Reason::TargetNotRendered)
}

/// What is known, after a token, of when the provider gives a new one: what was left of the former
/// one if that had been handed back before, and nothing more if that is refuted.
fn same_token_until(facts: &Facts, held: &HeldToken, asked_at: DateTime<Utc>) -> Option<TimeDelta> {
    let known = facts.same_token_until;
    let Some(former) = &facts.held else { return known };
    let left = (former.expires_at - asked_at).max(TimeDelta::zero());
    match (held.repeated, former.repeated) {
        (true, _) => known.filter(|until| left > *until),
        // After an outage it is not known since when another one could have been had.
        (false, true) if facts.consecutive_failures == 0 => known.max(Some(left)),
        (false, _) => known,
    }
}

pub(super) fn repaired(before: Option<&Repairs>, lesson: Lesson<'_>) -> Repairs {
    let Lesson { now, undone_by, .. } = lesson;
    let lately = before.filter(|repairs| now - repairs.at < schedule::REPAIR_MEMORY);
    Repairs {
        times: lately.map_or(0, |repairs| repairs.times).saturating_add(1),
        at: now,
        // Whoever deletes leaves no trace.
        undone_by: undone_by
            .map(str::to_owned)
            .or_else(|| lately.and_then(|repairs| repairs.undone_by.clone())),
    }
}

/// The provider was not asked: what is known of it and of its backoff stays as it is.
fn set_back(facts: Facts, error: Error, lesson: Lesson<'_>) -> Facts {
    let times = facts.setback.as_ref().map_or(0, |setback| setback.times).saturating_add(1);
    let told = schedule::silence(&error);
    // The API server is no provider: what could not be read is tried again within the minute.
    let steps = if error.reason() == Reason::ReadFailed { times.min(READS) } else { times };
    let wait = told.unwrap_or_else(|| backoff(&facts, lesson, steps).full_jitter());
    Facts { setback: Some(Setback { error, times, until: after(lesson.now, wait) }), ..facts }
}

fn failed(facts: Facts, error: Error, attempt: Attempt, lesson: Lesson<'_>) -> Facts {
    let of_a_kind = is_of_the_same_kind(&facts, &error, &attempt);
    let failures = if of_a_kind { facts.failures_of_a_kind.saturating_add(1) } else { 1 };
    let backoff = match attempt.without_target {
        true => Backoff { remaining: None, ..backoff(&facts, lesson, failures) },
        false => backoff(&facts, lesson, failures),
    };
    // Whose the target is gets decided anew before every request: no need to wait for long.
    let wait = match error.reason() {
        Reason::SecretNotOwned | Reason::TargetKeyConflict | Reason::TargetImmutable => {
            backoff.full_jitter()
        }
        _ => backoff.after(&error),
    };
    let silence = schedule::silence(&error);
    Facts {
        consecutive_failures: facts.consecutive_failures.saturating_add(1),
        failures_of_a_kind: failures,
        throttled_until: silence.map(|silence| not_before(after(lesson.now, silence))),
        retry_at: Some(after(lesson.now, wait)),
        failure: Some(error),
        attempted_without_target: attempt.without_target,
        ..attempted(facts, attempt)
    }
}

/// Rounded up: the status holds whole seconds, and a restart must not cut a silence short.
fn not_before(time: DateTime<Utc>) -> DateTime<Utc> {
    match whole_seconds(time) {
        whole if whole == time => whole,
        whole => after(whole, TimeDelta::seconds(1)),
    }
}

fn is_of_the_same_kind(facts: &Facts, error: &Error, attempt: &Attempt) -> bool {
    let is_permanent = |error: &Error| error.class() == Class::Permanent;
    let before = facts.failure.as_ref();
    before.is_none_or(|before| is_permanent(before) == is_permanent(error))
        && facts.attempted == attempt.inputs
}

fn tried(
    facts: &Facts,
    (change, generation, error): (FinalizerChange, Option<i64>, Option<Error>),
    lesson: Lesson<'_>,
) -> FinalizerTry {
    let before = facts.finalizer.as_ref().filter(|tried| tried.change == change);
    let failures = before.filter(|tried| tried.error.is_some()).map_or(0, |tried| tried.failures);
    let failures = failures.saturating_add(1);
    let backoff = Backoff { remaining: None, ..backoff(facts, lesson, failures) };
    // The watch tells of our own change long before.
    let wait = error.as_ref().map_or(TimeDelta::minutes(1), |error| backoff.after(error));
    FinalizerTry { change, generation, failures, until: after(lesson.now, wait), error }
}

fn backoff(facts: &Facts, lesson: Lesson<'_>, failures: u32) -> Backoff {
    let held = facts.held.as_ref().filter(|held| held.expires_at > lesson.now);
    let life = held.map(|held| held.expires_at - held.issued_at).unwrap_or_default();
    Backoff {
        failures,
        remaining: held.map(|held| held.expires_at - lesson.now),
        min_interval: min_interval(lesson.min_interval, life),
        random: lesson.random,
    }
}

fn attempted(facts: Facts, attempt: Attempt) -> Facts {
    let seen = attempt.inputs.clone().map(|found| Seen { at: attempt.seen, found: Ok(found) });
    Facts {
        last_attempt_at: Some(attempt.at),
        attempted: attempt.inputs.or(facts.attempted),
        attempted_shape: Some(attempt.shape),
        seen: seen.or(facts.seen),
        handled_refresh_request: attempt.refresh_request.or(facts.handled_refresh_request),
        setback: None,
        remark: attempt.remark,
        ..facts
    }
}

#[cfg(test)]
#[path = "learn_tests.rs"]
mod tests;
