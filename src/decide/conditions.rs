//! The conditions that follow from a snapshot.

use chrono::{DateTime, Utc};

use super::facts::{Facts, HeldToken, REFRESHED};
use super::finalizer::finalizer_change;
use super::leaving;
use super::plan::Verdicts;
use super::schedule::{self, REFRESH_REMARK};
use super::snapshot::Snapshot;
use crate::api::Delivery;
use crate::api::annotations::format_time;
use crate::api::conditions::{Holds, SUSPENDED, Verdict};
use crate::error::{Class, Error};

/// `good` is the unexpired token in the target, `refusal` why no request can be made.
pub(super) fn verdicts(
    snapshot: &Snapshot,
    good: Option<&HeldToken>,
    refusal: Option<&Error>,
    now: DateTime<Utc>,
) -> Verdicts {
    let repairs = snapshot.facts.repairs.as_ref();
    let contested = repairs.and_then(|repairs| repairs.contested(snapshot.secret_name(), now));
    let trouble = refusal.or_else(|| standing(&snapshot.facts)).or(contested.as_ref());
    let suspended = snapshot.token.spec.suspend;
    Verdicts {
        ready: ready(snapshot, good, (trouble, now)),
        fresh: match (trouble, good) {
            _ if suspended => fresh_while_suspended(good, now),
            (Some(error), _) => no(error.reason().as_str(), error.message()),
            (None, Some(held)) => refreshed(snapshot, held),
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

fn refreshed(snapshot: &Snapshot, held: &HeldToken) -> Verdict {
    let Snapshot { token, facts, .. } = snapshot;
    let wanted = finalizer_change(token);
    let tried = facts.finalizer.as_ref().filter(|tried| Some(tried.change) == wanted);
    let denied = tried.and_then(|tried| tried.error.as_ref()).map(Error::message);
    let left = facts.leaving.as_ref().map(|failed| leaving::remark(&failed.error));
    let (gap, long) = (gap(snapshot), long_lead(snapshot, held));
    let rollout = facts.rollout.as_ref().and_then(|rollout| rollout.remark.as_ref());
    let of_target = rollout.into_iter().chain(&facts.nudge);
    let of_spec = gap.iter().chain(&long).chain(of_target).map(String::as_str).chain(denied);
    let mut told = REFRESHED.to_owned();
    for remark in facts.remark.as_deref().into_iter().chain(of_spec).chain(left.as_deref()) {
        told = format!("{told}; {remark}");
    }
    yes(gap.map_or("Refreshed", |_| "GapExpected"), told)
}

/// The provider gives a new token so late that readers see an expired one for a while.
fn gap(snapshot: &Snapshot) -> Option<String> {
    let means = snapshot.means.as_ref().ok()?;
    let pace = snapshot.pace(means, 0.5);
    let gap = pace.gap()?.num_seconds();
    let until = pace.limits.same_token_until?.num_seconds();
    let when = match until {
        0 => "has expired".to_owned(),
        left => format!("has {left} s left"),
    };
    let mend = match pace.delivery {
        Delivery::Volume => {
            "; readers that watch the Secret (delivery: Watch) or spec.target.nudge shorten that"
        }
        Delivery::Watch => "",
    };
    Some(format!(
        "{REFRESH_REMARK}the provider hands out the same token until it {when}, so that readers may \
         see an expired one for up to {gap} s{mend}"
    ))
}

fn long_lead(snapshot: &Snapshot, held: &HeldToken) -> Option<String> {
    let life = held.expires_at - held.issued_at;
    let lead = snapshot.token.spec.refresh.lead()?;
    let longest = schedule::longest_lead(life);
    (lead > longest).then(|| {
        format!(
            "{REFRESH_REMARK}lead: {} s is more than four fifths of the token's life of {} s: it is \
             refreshed {} s before its end",
            lead.num_seconds(),
            life.num_seconds(),
            longest.num_seconds()
        )
    })
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
    good: Option<&HeldToken>,
    (trouble, now): (Option<&Error>, DateTime<Utc>),
) -> Verdict {
    if let Some(held) = good {
        return yes(
            "TokenValid",
            format!("the token is valid until {}", format_time(held.expires_at)),
        );
    }
    match (&snapshot.facts.held, trouble) {
        // Whoever is called at night reads this first; what stood in the way is in Fresh too.
        (Some(held), trouble) if held.expires_at <= now => {
            let expired = format!("the token expired at {}", format_time(held.expires_at));
            let why = trouble.map(|error| format!(": {}", error.message())).unwrap_or_default();
            no("TokenExpired", expired + &why)
        }
        (_, Some(error)) => no(error.reason().as_str(), error.message()),
        (Some(_), None) => no("Pending", "the token is about to be written to its target"),
        (None, None) => no("Pending", "no token has been written yet"),
    }
}

fn fresh_while_suspended(good: Option<&HeldToken>, now: DateTime<Utc>) -> Verdict {
    let message = "spec.suspend is true: nothing is refreshed";
    match good {
        Some(held) if held.refresh_at > now => yes(SUSPENDED, message),
        _ => no(SUSPENDED, message),
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
