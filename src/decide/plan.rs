//! The decision.

use chrono::{DateTime, TimeDelta, Utc};

use super::facts::HeldToken;
use super::finalizer::FinalizerChange;
use super::schedule::Pace;
use super::snapshot::Snapshot;
use super::view::{Change, Inputs, View};
use crate::api::DeletionPolicy;
use crate::api::conditions::Verdict;

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
    /// Revoke former tokens that nobody can hold any more.
    Revoke,
    /// Take the expired token out of its target.
    Withdraw(HeldToken),
    /// Restart the workloads that read the token only when they start.
    Restart {
        /// When the token took another's place.
        changed_at: DateTime<Utc>,
    },
    /// The resource is deleted: revoke its tokens.
    Part,
    /// Set or remove the finalizer.
    Finalizer(FinalizerChange),
    /// Look at the target more closely than its metadata tells, before anything is written to it.
    Inspect,
    /// Clear a former target of the token, or let it be.
    Leave {
        /// The Secret.
        secret_name: String,
        /// What becomes of it.
        fate: DeletionPolicy,
    },
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
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
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
    /// How long after the new token is written the former one is revoked, where it is.
    pub revoke_after: Option<TimeDelta>,
}

/// A provider that adds no more than this to a token's life handed back the same one.
const SAME_TOKEN_GAIN: TimeDelta = TimeDelta::seconds(5);

/// How a token compares with the one that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Another one that lives longer.
    Longer,
    /// The very same, with more of its life.
    Prolonged,
    /// The very same, and no more of its life.
    Same,
    /// Another one that ends no later: all tokens of a session end with it.
    NoLonger,
}

impl FetchOrder {
    /// How a token compares with the one that is there.
    pub fn renewal(
        &self,
        fingerprint: &str,
        issued_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Renewal {
        let Some(held) = &self.held else { return Renewal::Longer };
        let gain = expires_at - held.expires_at;
        if held.fingerprint.as_deref() == Some(fingerprint) {
            return match gain <= SAME_TOKEN_GAIN {
                true => Renewal::Same,
                false => Renewal::Prolonged,
            };
        }
        let alive = held.expires_at > issued_at;
        // Two requests within a moment prove nothing.
        let apart = issued_at - held.issued_at > SAME_TOKEN_GAIN;
        match alive && apart && gain <= TimeDelta::zero() {
            true => Renewal::NoLonger,
            false => Renewal::Longer,
        }
    }

    /// When to ask again after a token that was issued and expires then: before its expiry, or,
    /// where the provider gave nothing that lasts longer, as its patience has it.
    pub fn refresh_at(
        &self,
        renewal: Renewal,
        issued_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> DateTime<Utc> {
        match renewal {
            Renewal::Longer | Renewal::Prolonged => self.pace.refresh_at(issued_at, expires_at),
            Renewal::Same | Renewal::NoLonger => {
                self.pace.same_token_again_at(issued_at, expires_at)
            }
        }
    }
}

/// What has to happen at this very moment although work on the token is under way: its expiry waits
/// for nobody. The verdicts are the state of things.
pub fn meanwhile(snapshot: &Snapshot, now: DateTime<Utc>) -> (Verdicts, Option<Plan>) {
    let view = View::new(snapshot, now);
    (view.verdicts(None), view.withdraw())
}

/// What is due besides keeping the token fresh.
fn chore(view: &View<'_>) -> Option<Plan> {
    let revoke = view.facts.revoke_at.is_some_and(|at| at <= view.now);
    revoke.then_some(Plan::Revoke).or_else(|| view.leave()).or_else(|| view.restart())
}

/// Decides. `random` is in `0.0..1.0`.
pub fn decide(snapshot: &Snapshot, now: DateTime<Utc>, random: f64) -> Plan {
    let view = View::new(snapshot, now);
    if let Some(plan) = view.parting() {
        return plan;
    }
    if let Some(error) = view.barred() {
        return view.refuse(&error);
    }
    if snapshot.token.spec.suspend {
        return view.wait(None, None);
    }
    if let Some(chore) = chore(&view) {
        return chore;
    }
    let withdraw = view.withdraw();
    if let Err(error) = &snapshot.shape {
        return withdraw.unwrap_or_else(|| view.refuse(error));
    }
    if view.wants_a_look() {
        return match view.is_set_back() {
            true => view.wait(None, None),
            false => Plan::Inspect,
        };
    }
    let mend = withdraw.or_else(|| view.mend());
    // What failed to be mended must not keep everything else from its turn.
    if let (Some(mend), None) = (&mend, &snapshot.facts.setback) {
        return mend.clone();
    }
    let means = match &snapshot.means {
        Ok(means) => means,
        Err(error) => return mend.unwrap_or_else(|| view.refuse(error)),
    };
    let inputs = match view.inputs(means) {
        Inputs::Unread if view.is_set_back() => {
            return view.wait(Some(view.due(means, Change::Same)), None);
        }
        Inputs::Unread => return Plan::VerifyInputs,
        Inputs::Unusable(error) => return mend.unwrap_or_else(|| view.refuse(error)),
        Inputs::Read(change) => change,
    };
    let due = view.due(means, inputs);
    if due > now {
        return mend.unwrap_or_else(|| view.wait(Some(due), None));
    }
    if let Some(held_back) = snapshot.held_back.as_ref().filter(|held| held.until > now) {
        return mend.unwrap_or_else(|| view.held_back(held_back));
    }
    Plan::Fetch(FetchOrder {
        pace: snapshot.pace(means, random),
        refresh_request: snapshot.refresh_request().map(str::to_owned),
        without_target: view.good().is_none(),
        held: snapshot.facts.held.clone(),
        revoke_after: view.good().and(snapshot.revoke_after()),
    })
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "expiry_tests.rs"]
mod expiry_tests;
