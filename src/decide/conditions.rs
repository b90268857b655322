//! The conditions that follow from a snapshot.

use chrono::{DateTime, Utc};

use super::facts::{Facts, HeldToken, REFRESHED};
use super::finalizer::finalizer_change;
use super::leaving;
use super::plan::Verdicts;
use super::snapshot::Snapshot;
use crate::api::annotations::format_time;
use crate::api::conditions::{Holds, Verdict};
use crate::error::{Class, Error};

/// `good` is the unexpired token in the target, `refusal` why no request can be made.
pub(super) fn verdicts(
    snapshot: &Snapshot,
    good: Option<&HeldToken>,
    refusal: Option<&Error>,
    now: DateTime<Utc>,
) -> Verdicts {
    let contested = snapshot.facts.contested(snapshot.secret_name(), now);
    let trouble = refusal.or_else(|| standing(&snapshot.facts)).or(contested.as_ref());
    let suspended = snapshot.token.spec.suspend;
    Verdicts {
        ready: ready(snapshot, (good, trouble), now),
        fresh: match (trouble, good) {
            _ if suspended => fresh_while_suspended(good, now),
            (Some(error), _) => no(error.reason().as_str(), error.message()),
            (None, Some(_)) => yes("Refreshed", refreshed(snapshot)),
            (None, None) => no("Pending", "a token is about to be requested"),
        },
        stalled: match trouble {
            Some(error) if error.class() == Class::Permanent && !suspended => {
                yes(error.reason().as_str(), error.message())
            }
            _ => no("Progressing", "nothing waits for a person"),
        },
    }
}

fn refreshed(snapshot: &Snapshot) -> String {
    let Snapshot { token, facts, .. } = snapshot;
    let wanted = finalizer_change(token);
    let tried = facts.finalizer.as_ref().filter(|tried| Some(tried.change) == wanted);
    let denied = tried.and_then(|tried| tried.error.as_ref()).map(Error::message);
    let left = facts.leaving.as_ref().map(|failed| leaving::remark(&failed.error));
    let mut told = REFRESHED.to_owned();
    for remark in facts.remark.as_deref().into_iter().chain(denied).chain(left.as_deref()) {
        told = format!("{told}; {remark}");
    }
    told
}

/// What went wrong last. One hiccup on our side does not hide what the provider said.
fn standing(facts: &Facts) -> Option<&Error> {
    match (&facts.setback, &facts.failure) {
        (Some(setback), Some(failure)) if setback.times < 2 => Some(failure),
        (Some(setback), _) => Some(&setback.error),
        (None, failure) => failure.as_ref(),
    }
}

fn ready(
    snapshot: &Snapshot,
    (good, trouble): (Option<&HeldToken>, Option<&Error>),
    now: DateTime<Utc>,
) -> Verdict {
    if let Some(held) = good {
        return yes(
            "TokenValid",
            format!("the token is valid until {}", format_time(held.expires_at)),
        );
    }
    if let Some(error) = trouble {
        return no(error.reason().as_str(), error.message());
    }
    match &snapshot.facts.held {
        Some(held) if held.expires_at <= now => {
            no("TokenExpired", format!("the token expired at {}", format_time(held.expires_at)))
        }
        Some(_) => no("Pending", "the token is about to be written to its target"),
        None => no("Pending", "no token has been written yet"),
    }
}

fn fresh_while_suspended(good: Option<&HeldToken>, now: DateTime<Utc>) -> Verdict {
    let message = "spec.suspend is true: nothing is refreshed";
    match good {
        Some(held) if held.refresh_at > now => yes("Suspended", message),
        _ => no("Suspended", message),
    }
}

fn yes(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict::new(Holds::Yes, reason, message)
}

fn no(reason: &'static str, message: impl Into<String>) -> Verdict {
    Verdict::new(Holds::No, reason, message)
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;
