//! What a snapshot comes to at one moment: whether the token is good, whether the target is as it
//! should be, and what is due when.

use chrono::{DateTime, TimeDelta, Utc};

use super::account::HeldBack;
use super::conditions::verdicts;
use super::facts::{Facts, HeldToken, Repairs};
use super::learn::is_of_shape;
use super::ownership::Claim;
use super::plan::{Plan, Verdicts};
use super::schedule::{self, after};
use super::snapshot::{Means, Outline, Snapshot};
use super::target::claim_of;
use crate::api::OnExpiry;
use crate::api::annotations::{EXPIRES_AT, INPUTS, ISSUED_AT, REFRESH_AT, format_due, format_time};
use crate::error::{Class, Error, Reason};

/// Clocks of two machines differ by less. What is remembered from a later time than this was
/// written by a clock that was wrong, and nothing counted from it is to be believed.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(2);
/// No backoff and no silence lasts longer, whatever is remembered.
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(2);

/// A snapshot at one moment.
pub(super) struct View<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) facts: &'a Facts,
    pub(super) claim: Claim,
    pub(super) now: DateTime<Utc>,
}

/// What is known of the inputs without reading them.
pub(super) enum Inputs<'a> {
    /// They have to be read.
    Unread,
    /// No request can be made from them.
    Unusable(&'a Error),
    /// They are known.
    Read(Change),
}

/// Whether inputs are those of the last attempt.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Change {
    /// Other than those of the last attempt.
    Changed,
    /// Those of the last attempt, or there was none.
    Same,
}

impl<'a> View<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, now: DateTime<Utc>) -> Self {
        Self { snapshot, facts: &snapshot.facts, claim: claim_of(snapshot), now }
    }

    pub(super) fn inputs(&self, means: &Means) -> Inputs<'a> {
        let seen = self.facts.seen.as_ref().filter(|seen| seen.at == means.seen);
        match (seen.map(|seen| &seen.found), &self.facts.attempted) {
            (Some(Err(error)), _) => Inputs::Unusable(error),
            (Some(Ok(found)), Some(attempted)) if found != attempted => {
                Inputs::Read(Change::Changed)
            }
            (Some(Ok(_)), _) => Inputs::Read(Change::Same),
            // The first request reads them anyway.
            (None, None) if self.facts.held.is_none() => Inputs::Read(Change::Same),
            (None, _) => Inputs::Unread,
        }
    }

    /// The token that was last written, wherever to, until it expires.
    fn held(&self) -> Option<&'a HeldToken> {
        let held = self.facts.held.as_ref()?;
        (held.expires_at > self.now && self.is_past(held.issued_at)).then_some(held)
    }

    /// The token that the target holds, while it is good.
    pub(super) fn good(&self) -> Option<&'a HeldToken> {
        let held = self.held()?;
        let target = self.snapshot.target.as_ref()?;
        let barred = self.is_refused() && !self.is_ours();
        let there =
            !barred && held.secret_name == self.snapshot.secret_name() && target.holds(held);
        there.then_some(held)
    }

    /// What the target ought to look like, where that can be said.
    fn shape(&self) -> Option<&'a Outline> {
        self.snapshot.shape.as_ref().ok()
    }

    /// The token that only has to be written again: the target's metadata or shape is not as it
    /// should be, or the target was renamed, and the old one still holds it (an attempt finds out).
    fn mendable(&self) -> Option<&'a HeldToken> {
        let held = self.held()?;
        let shape = self.shape()?;
        if self.facts.unrendered.as_ref() == Some(&shape.digest) {
            return None;
        }
        let mendable = match held.secret_name == self.snapshot.secret_name() {
            true => self.good().is_some() && !self.is_right(held, shape),
            false => true,
        };
        mendable.then_some(held)
    }

    /// The token that is there or will be, without asking the provider.
    fn fallback(&self) -> Option<&'a HeldToken> {
        self.good().or_else(|| self.mendable())
    }

    /// Whether the target is as it should be, so that there is nothing to write.
    pub(super) fn is_in_order(&self) -> bool {
        self.good().is_some() && self.shape().is_some() && self.mendable().is_none()
    }

    fn is_right(&self, held: &HeldToken, shape: &Outline) -> bool {
        let Some(target) = &self.snapshot.target else { return false };
        let owner = self.snapshot.owner();
        let is = |key: &str, value: String| target.annotations.get(key) == Some(&value);
        self.marks_are_right(target, &owner)
            && is(ISSUED_AT, format_time(held.issued_at))
            && is(EXPIRES_AT, format_time(held.expires_at))
            && is(REFRESH_AT, format_due(held.refresh_at))
            && target.annotations.contains_key(INPUTS)
            && target.outputs() == held.outputs
            && shape.is_on(target)
    }

    /// When to write the token again, if that is needed.
    fn mend_at(&self) -> Option<DateTime<Utc>> {
        self.mendable()?;
        let repairs = self.facts.repairs.as_ref().filter(|repairs| self.is_past(repairs.at));
        let rested = repairs.map(|repairs| {
            let rest = schedule::patience(repairs.times).max(schedule::REPAIR_INTERVAL);
            after(repairs.at, rest)
        });
        Some([rested, self.set_back_until()].into_iter().flatten().fold(self.now, DateTime::max))
    }

    /// The token is written again, where that is due.
    pub(super) fn mend(&self) -> Option<Plan> {
        let held = self.mendable()?;
        let due = self.mend_at().is_some_and(|at| at <= self.now);
        due.then(|| Plan::WriteAgain { from: held.secret_name.clone(), held: held.clone() })
    }

    /// The expired token is taken out of its target, where the spec asks for that and it is there.
    pub(super) fn withdraw(&self) -> Option<Plan> {
        let held = self.to_withdraw().filter(|held| held.expires_at <= self.now)?;
        (!self.is_set_back()).then(|| Plan::Withdraw(held.clone()))
    }

    /// When that is, as long as it lies ahead.
    fn withdraws_at(&self) -> Option<DateTime<Utc>> {
        self.to_withdraw().map(|held| held.expires_at)
    }

    /// The token that is not to be left in its target when it expires.
    fn to_withdraw(&self) -> Option<&'a HeldToken> {
        let held = self.facts.held.as_ref()?;
        let there = held.secret_name == self.snapshot.secret_name() && self.leaves_when_expired();
        there.then_some(held)
    }

    /// Whether the target holds a token that is not to be left in it when that expires.
    pub(super) fn leaves_when_expired(&self) -> bool {
        let wanted = self.snapshot.token.spec.on_expiry == OnExpiry::Remove;
        let there = !self.is_refused()
            && self.snapshot.target.as_ref().is_some_and(|meta| {
                let kept = self.shape().map(|shape| &shape.kept_keys);
                !meta.owned_keys.iter().all(|key| kept.is_some_and(|kept| kept.contains(key)))
            });
        wanted && there && !self.snapshot.token.spec.suspend
    }

    /// When the provider is to be asked next.
    pub(super) fn due(&self, means: &Means, inputs: Change) -> DateTime<Utc> {
        let facts = self.facts;
        let life = facts.held.as_ref().map(|held| held.expires_at - held.issued_at);
        let floor = schedule::min_interval(means.limits.min_interval, life.unwrap_or_default());
        let urgent = self.after_last_request(schedule::urgent_interval(floor));
        let retry_at = facts.retry_at.filter(|at| self.is_near(*at));
        let due = if inputs == Change::Changed || self.asked_for() || self.is_out_of_shape() {
            urgent
        } else if self.lost_target() {
            self.patience().map_or(urgent, |at| at.max(urgent))
        } else if let Some(retry_at) = retry_at {
            self.spread(retry_at)
        } else {
            self.scheduled(floor).unwrap_or(urgent)
        };
        let throttled_until = facts.throttled_until.filter(|at| self.is_near(*at));
        [throttled_until, self.set_back_until()].into_iter().flatten().fold(due, DateTime::max)
    }

    /// When the provider is to be asked next while nothing is amiss.
    fn scheduled(&self, floor: TimeDelta) -> Option<DateTime<Utc>> {
        let held = self.facts.held.as_ref()?;
        let floor = self.after_last_request(floor);
        if self.fallback().is_some() {
            // A lead that was lengthened counts at once, a shortened one from the next token on.
            let latest = self.latest_by_spec(held).filter(|_| !held.repeated);
            let due = latest.map_or(held.refresh_at, |latest| latest.min(held.refresh_at));
            return Some(self.spread(due).max(floor));
        }
        // Where the provider hands back the same token until it expires, that is a second later.
        let planned = held.refresh_at.min(after(held.expires_at, schedule::AFTER_EXPIRY));
        (held.expires_at <= self.now).then(|| floor.max(planned))
    }

    /// When a token is due at the latest by the lead that the spec names.
    fn latest_by_spec(&self, held: &HeldToken) -> Option<DateTime<Utc>> {
        self.snapshot.token.spec.refresh.lead?;
        let means = self.snapshot.means.as_ref().ok()?;
        let latest = self.snapshot.pace(means, 0.0);
        Some(latest.refresh_at(held.issued_at, held.expires_at))
    }

    /// So long after the last request; now, if there was none.
    fn after_last_request(&self, wait: TimeDelta) -> DateTime<Utc> {
        let held = self.facts.held.as_ref();
        let last = self.facts.last_attempt_at.or_else(|| held.map(|held| held.issued_at));
        last.filter(|at| self.is_past(*at)).map_or(self.now, |last| after(last, wait))
    }

    /// What was overdue when work resumed forms no herd.
    fn spread(&self, due: DateTime<Utc>) -> DateTime<Utc> {
        let resumed_at = self.snapshot.resumed_at;
        match self.fallback() {
            Some(held) if due < resumed_at => {
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

    /// Whether the target's shape cannot be had of the token that is there, and no other one was
    /// asked for since it was declared.
    fn is_out_of_shape(&self) -> bool {
        let Some(Outline { digest, .. }) = self.shape() else { return false };
        let facts = self.facts;
        let cannot =
            facts.unrendered.as_ref() == Some(digest) || is_of_shape(facts.failure.as_ref());
        cannot
            && match &facts.attempted_shape {
                Some(attempted) => attempted != digest,
                None => facts.retry_at.is_none(),
            }
    }

    /// Whether the target was lost since the last attempt, before its token expired.
    fn lost_target(&self) -> bool {
        let expired = self.facts.held.as_ref().is_some_and(|held| held.expires_at <= self.now);
        !expired && self.fallback().is_none() && !self.facts.attempted_without_target
    }

    /// When a lost target may be mended, where it is lost again and again.
    fn patience(&self) -> Option<DateTime<Utc>> {
        let repairs = self.facts.repairs.as_ref().filter(|repairs| self.is_past(repairs.at))?;
        Some(after(repairs.at, schedule::patience(repairs.times)))
    }

    fn set_back_until(&self) -> Option<DateTime<Utc>> {
        self.facts.setback.as_ref().map(|setback| setback.until).filter(|at| self.is_near(*at))
    }

    /// Whether nothing may be tried yet, because it went wrong a moment ago.
    pub(super) fn is_set_back(&self) -> bool {
        self.set_back_until().is_some_and(|until| until > self.now)
    }

    fn is_past(&self, at: DateTime<Utc>) -> bool {
        at <= after(self.now, CLOCKS_DIFFER)
    }

    fn is_near(&self, at: DateTime<Utc>) -> bool {
        at <= after(self.now, LONGEST_WAIT)
    }

    /// Waits until the provider may be asked, and tells why it may not yet.
    pub(super) fn held_back(&self, held_back: &HeldBack) -> Plan {
        let HeldBack { until, error } = held_back;
        let is_open = error.reason() == Reason::CircuitOpen;
        // What the last attempt came to says more than that a circuit is open, and a refusal more
        // than anything that holds the next attempt back.
        let failure = self.facts.failure.as_ref();
        let told = match failure.filter(|f| is_open || f.class() == Class::Permanent) {
            Some(failure) if failure.message().contains(error.message()) => failure.clone(),
            Some(failure) => failure.clone().with_remark(error.message()),
            None => error.clone(),
        };
        match self.wait(Some(*until), Some(&told)) {
            Plan::Wait { until, next_attempt_at, verdicts } if is_open => {
                let look_again = after(self.now, schedule::LOOK_AGAIN);
                let until = until.map(|until| until.min(look_again));
                Plan::Wait { until, next_attempt_at, verdicts }
            }
            // When its turn comes nobody knows. Of thousands that wait each tells so once.
            Plan::Wait { until, verdicts, .. } if error.reason() == Reason::ProviderBusy => {
                Plan::Wait { until, next_attempt_at: None, verdicts }
            }
            plan => plan,
        }
    }

    pub(super) fn refuse(&self, error: &Error) -> Plan {
        self.wait(None, Some(error))
    }

    /// Waits until something is due or the token expires, whichever is first.
    pub(super) fn wait(
        &self,
        next_attempt_at: Option<DateTime<Utc>>,
        refusal: Option<&Error>,
    ) -> Plan {
        let good = self.good();
        let overdue = good.filter(|_| self.snapshot.token.spec.suspend);
        let wake_ups = [
            next_attempt_at,
            good.map(|held| held.expires_at),
            self.withdraws_at(),
            overdue.map(|held| held.refresh_at),
            self.mend_at(),
            self.set_back_until(),
            self.facts.revoke_at,
            self.restarts_at().filter(|_| !self.snapshot.token.spec.suspend),
            self.facts.finalizer.as_ref().map(|tried| tried.until),
            self.facts.leaving.as_ref().map(|failed| failed.until),
            self.facts.repairs.as_ref().and_then(Repairs::contested_until),
        ];
        Plan::Wait {
            until: wake_ups.into_iter().flatten().filter(|at| *at > self.now).min(),
            next_attempt_at,
            verdicts: self.verdicts(refusal),
        }
    }

    /// The conditions as they are now.
    pub(super) fn verdicts(&self, refusal: Option<&Error>) -> Verdicts {
        verdicts(self.snapshot, self.good(), refusal, self.now)
    }
}
