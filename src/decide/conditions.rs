//! The conditions that follow from a snapshot.

use chrono::{DateTime, Utc};

use super::facts::HeldToken;
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
    let trouble = refusal.or(snapshot.facts.failure.as_ref());
    let suspended = snapshot.token.spec.suspend;
    Verdicts {
        ready: ready(snapshot, good, trouble),
        fresh: match (trouble, good) {
            _ if suspended => fresh_while_suspended(good, now),
            (Some(error), _) => no(error.reason().as_str(), error.message()),
            (None, Some(_)) => yes("Refreshed", "the last refresh succeeded"),
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

fn ready(snapshot: &Snapshot, good: Option<&HeldToken>, trouble: Option<&Error>) -> Verdict {
    if let Some(held) = good {
        return yes(
            "TokenValid",
            format!("the token is valid until {}", format_time(held.expires_at)),
        );
    }
    let expired = snapshot.facts.held.as_ref().map(|held| format_time(held.expires_at));
    match (trouble, expired) {
        (Some(error), _) => no(error.reason().as_str(), error.message()),
        (None, _) if snapshot.target.is_none() => no("Pending", "no token has been written yet"),
        (None, Some(at)) => no("TokenExpired", format!("the token expired at {at}")),
        (None, None) => no("Pending", "no token has been written yet"),
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
