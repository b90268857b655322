//! The decision.

use chrono::{DateTime, Utc};

use super::conditions::verdicts;
use super::facts::{Facts, HeldToken};
use super::ownership::{Holder, not_owned, ownership};
use super::schedule::{self, Pace};
use super::snapshot::{Means, Snapshot};
use crate::api::annotations::{EXPIRES_AT, INPUTS, ISSUED_AT, OWNER, REFRESH_AT, format_time};
use crate::api::conditions::Verdict;
use crate::error::Error;

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Nothing, until then (for ever where no time is given: something that is watched must
    /// change first). The verdicts are the state of things.
    Wait {
        /// When to decide again.
        until: Option<DateTime<Utc>>,
        /// When the provider is asked next, if nothing changes.
        next_attempt_at: Option<DateTime<Utc>>,
        /// The conditions.
        verdicts: Verdicts,
    },
    /// Read the credentials and tell whether the inputs differ from the last attempt's.
    VerifyInputs,
    /// Ask the provider for a token and write it to the target.
    Fetch(FetchOrder),
    /// Write the token that is there again: to the target itself, whose metadata is not as it
    /// should be, or from the Secret that was the target before.
    WriteAgain {
        /// The Secret that holds the token now.
        from: String,
        /// What is known of that token.
        held: HeldToken,
    },
}

/// The three conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// `Ready`.
    pub ready: Verdict,
    /// `Fresh`.
    pub fresh: Verdict,
    /// `Stalled`.
    pub stalled: Verdict,
}

/// How to fetch.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchOrder {
    /// What the new token's schedule depends on.
    pub pace: Pace,
    /// The refresh request that this answers, if there is one.
    pub refresh_request: Option<String>,
    /// Whether there is no good token to fall back on.
    pub without_target: bool,
    /// The token that is there, to tell whether the provider hands it back.
    pub held: Option<HeldToken>,
}

/// Decides. `random` is in `0.0..1.0`.
pub fn decide(snapshot: &Snapshot, now: DateTime<Utc>, random: f64) -> Plan {
    let view = View { snapshot, facts: &snapshot.facts, now };
    if let Holder::Another(whose) = ownership(snapshot) {
        return view.refuse(&not_owned(snapshot.secret_name(), &whose));
    }
    if snapshot.token.spec.suspend {
        return view.wait(None, None);
    }
    let means = match &snapshot.means {
        Ok(means) => means,
        Err(error) => return view.refuse(error),
    };
    let inputs = match view.inputs(means) {
        Inputs::Unread => return Plan::VerifyInputs,
        Inputs::Unusable(error) => return view.refuse(error),
        Inputs::Changed => Change::Changed,
        Inputs::Same => Change::Same,
    };
    if let Some(plan) = view.write_again(inputs) {
        return plan;
    }
    let due = view.due(means, inputs);
    if due > now {
        return view.wait(Some(due), None);
    }
    Plan::Fetch(FetchOrder {
        pace: Pace { delivery: snapshot.delivery, min_interval: means.min_interval, random },
        refresh_request: snapshot.refresh_request().map(str::to_owned),
        without_target: view.good().is_none(),
        held: snapshot.facts.held.clone(),
    })
}

struct View<'a> {
    snapshot: &'a Snapshot,
    facts: &'a Facts,
    now: DateTime<Utc>,
}

enum Inputs<'a> {
    /// They have to be read.
    Unread,
    /// No request can be made from them.
    Unusable(&'a Error),
    /// Other than those of the last attempt.
    Changed,
    /// Those of the last attempt, or there was none.
    Same,
}

#[derive(Clone, Copy, PartialEq)]
enum Change {
    Changed,
    Same,
}

impl View<'_> {
    /// What is known of the inputs without reading them.
    fn inputs(&self, means: &Means) -> Inputs<'_> {
        let seen = self.facts.seen.as_ref().filter(|seen| seen.at == means.seen);
        match (seen.map(|seen| &seen.found), &self.facts.attempted) {
            (Some(Err(error)), _) => Inputs::Unusable(error),
            // The first request reads them anyway.
            (_, None) => Inputs::Same,
            (None, Some(_)) => Inputs::Unread,
            (Some(Ok(found)), Some(attempted)) if found == attempted => Inputs::Same,
            (Some(Ok(_)), Some(_)) => Inputs::Changed,
        }
    }

    /// The token that the target holds, while it is good.
    fn good(&self) -> Option<&HeldToken> {
        let held = self.facts.held.as_ref()?;
        let target = self.snapshot.target.as_ref()?;
        let there = target.holds(held) && held.secret_name == self.snapshot.secret_name();
        (there && held.expires_at > self.now).then_some(held)
    }

    /// When the token that is there only has to be written again.
    fn write_again(&self, inputs: Change) -> Option<Plan> {
        let held = self.facts.held.as_ref().filter(|held| held.expires_at > self.now)?;
        if inputs == Change::Changed {
            return None;
        }
        let wanted = self.snapshot.secret_name();
        let again = match &self.snapshot.target {
            // Renamed: the old Secret still holds the token, unless an attempt found otherwise.
            None => held.secret_name != wanted && self.facts.failure.is_none(),
            Some(target) if held.secret_name == wanted => {
                target.holds(held) && !self.metadata_is_right(held)
            }
            Some(_) => self.facts.failure.is_none(),
        };
        again.then(|| Plan::WriteAgain { from: held.secret_name.clone(), held: held.clone() })
    }

    fn metadata_is_right(&self, held: &HeldToken) -> bool {
        let Some(target) = &self.snapshot.target else { return false };
        let owner = self.snapshot.owner();
        let is = |key: &str, value: String| target.annotations.get(key) == Some(&value);
        let referenced = target.controller.as_ref().is_some_and(|c| c.uid == owner.uid);
        target.labelled
            && referenced
            && is(ISSUED_AT, format_time(held.issued_at))
            && is(EXPIRES_AT, format_time(held.expires_at))
            && is(REFRESH_AT, format_time(held.refresh_at))
            && is(OWNER, owner.to_string())
            && target.annotations.contains_key(INPUTS)
    }

    /// When the provider is to be asked next.
    fn due(&self, means: &Means, inputs: Change) -> DateTime<Utc> {
        let facts = self.facts;
        let life = facts
            .held
            .as_ref()
            .map_or_else(chrono::TimeDelta::zero, |held| held.expires_at - held.issued_at);
        let floor = schedule::min_interval(means.min_interval, life);
        let Some(last) = facts.last_attempt_at else {
            return facts.held.as_ref().map_or(self.now, |held| self.scheduled(held));
        };
        let urgent = last + schedule::urgent_interval(floor);
        let due = if inputs == Change::Changed || self.asked_for() || self.lost_target() {
            urgent
        } else if let Some(retry_at) = facts.retry_at {
            self.spread(retry_at)
        } else {
            match &facts.held {
                Some(held) if self.good().is_some() => self.scheduled(held).max(last + floor),
                // Expired, and nothing failed: as soon as the floor lets it.
                Some(_) => last + floor,
                None => urgent,
            }
        };
        facts.throttled_until.map_or(due, |until| due.max(until))
    }

    fn scheduled(&self, held: &HeldToken) -> DateTime<Utc> {
        if self.good().is_none() && held.expires_at > self.now {
            return self.now;
        }
        self.spread(held.refresh_at)
    }

    /// What was overdue when work resumed forms no herd.
    fn spread(&self, due: DateTime<Utc>) -> DateTime<Utc> {
        let resumed_at = self.snapshot.resumed_at;
        match &self.facts.held {
            Some(held) if due < resumed_at && self.good().is_some() => {
                let uid = self.snapshot.token.metadata.uid.as_deref().unwrap_or_default();
                schedule::spread(resumed_at, held.expires_at, schedule::share_of(uid))
            }
            _ => due,
        }
    }

    /// Whether a person asked for a refresh that was not acted on yet.
    fn asked_for(&self) -> bool {
        let request = self.snapshot.refresh_request();
        request.is_some() && request != self.facts.handled_refresh_request.as_deref()
    }

    /// Whether the target was lost since the last attempt.
    fn lost_target(&self) -> bool {
        let held_one = self.facts.held.as_ref().is_some_and(|held| held.expires_at > self.now);
        held_one && self.good().is_none() && !self.facts.attempted_without_target
    }

    fn refuse(&self, error: &Error) -> Plan {
        self.wait(None, Some(error))
    }

    /// Waits until something is due or the token expires, whichever is first.
    fn wait(&self, next_attempt_at: Option<DateTime<Utc>>, refusal: Option<&Error>) -> Plan {
        let expiry = self.good().map(|held| held.expires_at);
        Plan::Wait {
            until: next_attempt_at.into_iter().chain(expiry).min(),
            next_attempt_at,
            verdicts: verdicts(self.snapshot, self.good(), refusal, self.now),
        }
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
