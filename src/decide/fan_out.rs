//! One token in many namespaces: which copies are written, which go, and how all of it stands.
//!
//! A copy is as it should be exactly when the master copy would be, were it in the master's place:
//! so it is judged by the same view.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::admission::SecretKey;
use super::copy_facts::{CopyFacts, Tried};
use super::facts::{Facts, HeldToken, Repairs};
use super::ownership::{Claim, Holder, Rivals, holder};
use super::plan::Plan;
use super::snapshot::{Outline, Snapshot, TargetMeta};
use super::tally::Tally;
use super::view::View;
use crate::api::{DeletionPolicy, OAuthClientToken, keys};
use crate::error::{Class, Error};

/// Steps at once. What changed meanwhile, the spec among it, is seen before the next ones.
const STEPS: usize = 64;

/// Everything that is known of the copies of a token at one moment.
#[derive(Clone, Debug)]
pub struct FanOut {
    /// The grant, whose target is the master copy.
    pub grant: Snapshot,
    /// What a copy has to be like: the grant with the target of the spec.
    pub pattern: Arc<OAuthClientToken>,
    /// What a copy ought to look like beside its token, or why that cannot be said.
    pub shape: Result<Outline, Error>,
    /// The selected namespaces, by name; an error where they cannot be told.
    pub destinations: Result<Vec<Destination>, Error>,
    /// Secrets that say they are copies and are in no place of one.
    pub strays: Vec<(SecretKey, Arc<TargetMeta>)>,
    /// What is remembered of some copies.
    pub memory: BTreeMap<SecretKey, CopyFacts>,
}

/// A namespace that is to get a copy.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Where the copy is to be.
    pub key: SecretKey,
    /// Whether the provider admits the namespace.
    pub admission: Result<(), Error>,
    /// The Secret there, as far as it is known.
    pub found: Option<Arc<TargetMeta>>,
}

/// One copy to change.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyStep {
    /// Where.
    pub key: SecretKey,
    /// The Secret there when this was decided.
    pub seen: Option<Arc<TargetMeta>>,
    /// How.
    pub change: CopyChange,
}

/// What to do with a copy.
#[derive(Clone, Debug, PartialEq)]
pub enum CopyChange {
    /// Write the token of the master copy to it.
    Write(HeldToken),
    /// Take its expired token out of it.
    Withdraw(HeldToken),
    /// Remove it.
    Remove,
}

/// What to do next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FanOutPlan {
    /// The copies to change.
    pub steps: Vec<CopyStep>,
    /// When to decide again, if nothing changes.
    pub until: Option<DateTime<Utc>>,
    /// How all of it stands; `None` where that cannot be told.
    pub tally: Option<Tally>,
}

/// What one Secret comes to.
struct Judged {
    /// What has to be done.
    change: Option<CopyChange>,
    /// Why it cannot be as it should.
    trouble: Option<Error>,
    /// When the token in it expires, where it is one that has not.
    expires_at: Option<DateTime<Utc>>,
    /// Whether former copies beside it may go: it is as it should be, or is to be none.
    settled: bool,
}

/// Decides what to do about the copies.
pub fn fan_out(all: &FanOut, now: DateTime<Utc>) -> FanOutPlan {
    let Ok(destinations) = &all.destinations else { return withdrawals(all, now) };
    let mut plan = FanOutPlan::default();
    let good = View::new(&all.grant, now).good();
    let mut pattern = pattern(all);
    let mut tally = Tally { selected: destinations.len(), ..Tally::default() };
    let mut unsettled = BTreeSet::new();
    for destination in destinations {
        pattern.target = destination.found.as_deref().cloned();
        let facts = all.memory.get(&destination.key);
        let judged = judge(&pattern, (destination, good, facts), now);
        if let Some(expires_at) = judged.expires_at {
            tally.ready += 1;
            tally.expires_at = Some(tally.expires_at.map_or(expires_at, |at| at.min(expires_at)));
        }
        if !judged.settled {
            unsettled.insert(destination.key.namespace.as_str());
        }
        let setback = facts.and_then(|facts| facts.setback.as_ref());
        let setback = setback.map(|held_up| &held_up.setback).filter(|_| judged.change.is_some());
        // One hiccup is no news.
        let told = setback.filter(|s| s.times > 1 || s.error.class() == Class::Permanent);
        let told = judged.trouble.or_else(|| told.map(|setback| setback.error.clone()));
        let repairs = facts.and_then(|facts| facts.repairs.as_ref());
        plan.wake_up(repairs.and_then(Repairs::contested_until), now);
        let contested = || repairs?.contested(&destination.key.name, now);
        if let Some(error) = told.or_else(contested) {
            tally.failures.push((destination.key.namespace.clone(), error));
        }
        if let Some(change) = judged.change {
            let seen = destination.found.clone();
            plan.take(all, CopyStep { key: destination.key.clone(), seen, change }, now);
        }
    }
    plan.clear(all, &unsettled, now);
    plan.wake_up(tally.expires_at, now);
    if all.grant.token.spec.suspend {
        plan.steps.clear();
    }
    FanOutPlan { tally: Some(tally), ..plan }
}

/// While it is unknown who is to have a copy, none comes and none goes; but what expires leaves
/// those that are there, where the spec asks for that.
fn withdrawals(all: &FanOut, now: DateTime<Utc>) -> FanOutPlan {
    let mut plan = FanOutPlan::default();
    let mut pattern = pattern(all);
    for (key, meta) in all.strays.iter().filter(|(key, _)| key.name == all.pattern.secret_name()) {
        pattern.target = Some(TargetMeta::clone(meta));
        let view = View::new(&pattern, now);
        let own = HeldToken::of_target(meta, &key.name).map(|own| own.expires_at);
        plan.wake_up(own.filter(|_| view.leaves_when_expired()), now);
        if let (true, Some(held)) = (view.is_ours(), expired(&view)) {
            let (key, seen) = (key.clone(), Some(Arc::clone(meta)));
            plan.take(all, CopyStep { key, seen, change: CopyChange::Withdraw(held) }, now);
        }
    }
    plan.wake_up(pattern.facts.held.map(|held| held.expires_at), now);
    plan
}

/// The grant, as if its target were a copy.
fn pattern(all: &FanOut) -> Snapshot {
    let name = all.pattern.secret_name();
    let held = all.grant.facts.held.clone();
    let held = held.filter(|held| held.secret_name == all.grant.secret_name());
    let held = held.map(|held| HeldToken { secret_name: name.to_owned(), ..held });
    // What stands in the grant's way does not stand in that of its copies.
    let facts = Facts {
        held,
        setback: None,
        repairs: None,
        inspected: None,
        unrendered: None,
        ..all.grant.facts.clone()
    };
    Snapshot {
        token: Arc::clone(&all.pattern),
        facts,
        shape: all.shape.clone(),
        rivals: Rivals::default(),
        ..all.grant.clone()
    }
}

/// Judges what is at a destination. `good` is the token that may be written there.
fn judge(
    pattern: &Snapshot,
    (destination, good, facts): (&Destination, Option<&HeldToken>, Option<&CopyFacts>),
    now: DateTime<Utc>,
) -> Judged {
    let view = View::new(pattern, now);
    let ours = view.is_ours();
    let expires_at = pattern.target.as_ref().filter(|_| ours).and_then(|meta| unexpired(meta, now));
    let (change, trouble) = match (&destination.admission, &view.claim) {
        (Err(error), _) => {
            ((ours && clears(&pattern.token)).then_some(CopyChange::Remove), Some(error.clone()))
        }
        (Ok(()), Claim::Refused(error)) => (None, Some(error.clone())),
        (Ok(()), _) if view.is_in_order() => (None, None),
        (Ok(()), _) => {
            let secret_name = pattern.secret_name().to_owned();
            let held = good.map(|held| HeldToken { secret_name, ..held.clone() });
            let trouble = pattern.shape.as_ref().err().cloned();
            let write = held.filter(|_| trouble.is_none()).map(CopyChange::Write);
            let barred = facts.is_some_and(|facts| facts.is_write_barred(now));
            // Where no other can be written now, an expired one goes.
            let goes = expired(&view).filter(|_| write.is_none() || barred);
            (goes.map(CopyChange::Withdraw).or(write), trouble)
        }
    };
    let settled = destination.admission.is_err() || (trouble.is_none() && view.is_in_order());
    Judged { change, trouble, expires_at, settled }
}

/// The expired token that is to leave a copy: its own, which may be an older one than the grant's,
/// or whatever it says that it holds while the grant's has expired.
fn expired(view: &View<'_>) -> Option<HeldToken> {
    if let Some(Plan::Withdraw(held)) = view.withdraw() {
        return Some(held);
    }
    let own = HeldToken::of_target(view.snapshot.target.as_ref()?, view.snapshot.secret_name())?;
    (own.expires_at <= view.now && view.leaves_when_expired()).then_some(own)
}

/// Whether Secrets that are copies no more go.
fn clears(pattern: &OAuthClientToken) -> bool {
    pattern.spec.target.deletion_policy == DeletionPolicy::Delete
}

/// When the token that a copy holds expires, where it has not.
fn unexpired(meta: &TargetMeta, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let held = HeldToken::of_target(meta, "").filter(|held| held.expires_at > now)?;
    meta.owned_keys.contains(keys::ACCESS_TOKEN).then_some(held.expires_at)
}

impl FanOutPlan {
    /// What is in no place of a copy goes, like any former target: not before the new one is there.
    fn clear(&mut self, all: &FanOut, unsettled: &BTreeSet<&str>, now: DateTime<Utc>) {
        let owner = all.grant.owner();
        for (key, meta) in &all.strays {
            let goes = clears(&all.pattern) && !unsettled.contains(key.namespace.as_str());
            if goes && holder(meta, &owner) == Holder::Us {
                let (key, seen) = (key.clone(), Some(Arc::clone(meta)));
                self.take(all, CopyStep { key, seen, change: CopyChange::Remove }, now);
            }
        }
    }

    /// Takes a step in, or the time when it may be taken.
    fn take(&mut self, all: &FanOut, step: CopyStep, now: DateTime<Utc>) {
        let generation = all.pattern.metadata.generation;
        let facts = all.memory.get(&step.key);
        let not_before = facts.and_then(|facts| facts.not_before(&step.tried(generation)));
        match not_before.filter(|at| *at > now) {
            Some(at) => self.wake_up(Some(at), now),
            None if self.steps.len() < STEPS => self.steps.push(step),
            None => {}
        }
    }

    fn wake_up(&mut self, at: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        let at = at.filter(|at| *at > now);
        self.until = [self.until, at].into_iter().flatten().min();
    }
}

impl CopyStep {
    /// What it is about, by a spec of this generation.
    pub fn tried(&self, generation: Option<i64>) -> Tried {
        let issued_at = match &self.change {
            CopyChange::Write(held) => Some(held.issued_at),
            CopyChange::Withdraw(_) | CopyChange::Remove => None,
        };
        Tried { version: self.seen.as_deref().map(TargetMeta::version), generation, issued_at }
    }
}

#[cfg(test)]
#[path = "fan_out_tests.rs"]
mod tests;
