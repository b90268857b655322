//! What is known of an account at a provider (an origin and the credentials that it is asked with,
//! whichever tokens share them), and whether it may be asked now.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::breaker::{Breaker, Health, Urgency};
use super::schedule::after;
use super::window::{Parts, Quota, Window, is_kept};
use crate::error::{Error, Reason};

/// What any provider is asked at most, unless its document says otherwise.
pub const DEFAULT_QUOTA: Quota = Quota { window: TimeDelta::seconds(1), requests: 50 };

/// A namespace that was not heard of for so long has no token of the account any more.
const USER_MEMORY: TimeDelta = TimeDelta::minutes(5);
/// What was told to a token is forgotten so long after it has ceased to hold.
const HELD_MEMORY: TimeDelta = TimeDelta::minutes(1);
/// Reserved at once, at most this part of a quota: so much is lost in a crash.
const LARGEST_BATCH: u32 = 20;
/// The longest silence that is obeyed, and what two clocks may differ.
const LONGEST_BELIEVED: TimeDelta = TimeDelta::minutes(62);

/// A token that wants to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its uid.
    pub token: String,
    /// Its namespace.
    pub namespace: String,
    /// How urgent it is.
    pub urgency: Urgency,
    /// What its provider's document allows.
    pub quotas: Vec<Quota>,
}

/// A request that is not made yet, why not, and when it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// When to try again.
    pub until: DateTime<Utc>,
    /// Why.
    pub error: Error,
}

/// Whether a caller may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Now.
    Go,
    /// In a moment.
    Later(DateTime<Utc>),
    /// Not soon.
    HeldBack(HeldBack),
}

/// What outlives the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The provider asked for silence until then.
    pub silent_until: Option<DateTime<Utc>>,
    /// Requests by window.
    pub windows: BTreeMap<TimeDelta, Parts>,
}

/// Requests that are counted already, where it outlives the process, and not yet made.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    left: u32,
    until: DateTime<Utc>,
}

/// An account at a provider.
#[derive(Debug)]
pub struct Account {
    /// Since when requests are counted: what a former process made before is not known.
    since: DateTime<Utc>,
    silent_until: Option<DateTime<Utc>>,
    breaker: Breaker,
    windows: BTreeMap<TimeDelta, Counted>,
    batches: BTreeMap<String, Batch>,
    held: BTreeMap<String, (Urgency, HeldBack)>,
    users: BTreeMap<String, DateTime<Utc>>,
}

#[derive(Debug)]
struct Counted {
    window: Window,
    /// When a document last had a quota of this length.
    wanted_at: DateTime<Utc>,
    /// How many it allowed, once one was seen.
    allowed: Option<u32>,
}

impl Account {
    /// An account that this process knows of `since` then.
    pub fn new(since: DateTime<Utc>) -> Self {
        Self {
            since,
            silent_until: None,
            breaker: Breaker::default(),
            windows: BTreeMap::new(),
            batches: BTreeMap::new(),
            held: BTreeMap::new(),
            users: BTreeMap::new(),
        }
    }

    /// Takes over what is written down: of what is kept that is the truth.
    pub fn recall(&mut self, memory: &Memory, now: DateTime<Utc>) {
        self.silent_until = self.silent_until.max(memory.silent_until);
        let kept = self.windows.keys().filter(|length| is_kept(**length));
        let lengths: BTreeSet<TimeDelta> = kept.chain(memory.windows.keys()).copied().collect();
        for length in lengths {
            let parts = memory.windows.get(&length).cloned().unwrap_or_default();
            let before = self.windows.get(&length);
            let wanted_at = before.map_or(now, |before| before.wanted_at);
            let allowed = before.and_then(|before| before.allowed);
            let window = Window::new(length, parts);
            self.windows.insert(length, Counted { window, wanted_at, allowed });
        }
    }

    /// What is to be written down.
    pub fn memory(&self) -> Memory {
        let kept = self.windows.iter().filter(|(length, _)| is_kept(**length));
        let parts = kept.map(|(length, counted)| (*length, counted.window.parts().clone()));
        Memory { silent_until: self.silent_until, windows: parts.collect() }
    }

    /// What is left of each limit that is kept, and of how many: by the length of its window.
    pub fn left(&self, now: DateTime<Utc>) -> impl Iterator<Item = (String, (u32, u32))> {
        self.windows.iter().filter(|(length, _)| is_kept(**length)).filter_map(
            move |(length, counted)| {
                let quota = Quota { window: *length, requests: counted.allowed? };
                let left = quota.requests.saturating_sub(counted.window.used(now));
                Some((quota.length(), (left, quota.requests)))
            },
        )
    }

    /// Whether its circuit breaker is open.
    pub fn is_open(&self) -> bool {
        self.breaker.is_open()
    }

    /// A namespace has a token here.
    pub fn note_user(&mut self, namespace: &str, now: DateTime<Utc>) {
        self.users.insert(namespace.to_owned(), now);
    }

    /// What a token was told, as long as it holds.
    pub fn holds_back(&self, token: &str, now: DateTime<Utc>) -> Option<HeldBack> {
        let told = self.held.get(token).map(|(_, held)| held).filter(|held| held.until > now);
        self.silence(now).or_else(|| told.cloned())
    }

    /// Whether a caller may ask now. What it is told is remembered.
    pub fn judge(&mut self, caller: &Caller, now: DateTime<Utc>) -> Turn {
        self.know(&caller.quotas, now);
        let held_back = self
            .silence(now)
            .or_else(|| self.outage(caller, now))
            .or_else(|| self.used_up(caller, now));
        match held_back {
            Some(held_back) => {
                self.hold(caller, held_back.clone());
                Turn::HeldBack(held_back)
            }
            None => self.rushed(&caller.quotas, now).map_or(Turn::Go, Turn::Later),
        }
    }

    /// Remembers what a caller is told.
    pub fn hold(&mut self, caller: &Caller, held_back: HeldBack) {
        self.held.insert(caller.token.clone(), (caller.urgency, held_back));
    }

    /// A caller goes. Tells whether it probes.
    pub fn begin(&mut self, caller: &Caller, now: DateTime<Utc>) -> bool {
        self.held.remove(&caller.token);
        self.count(caller, now);
        self.breaker.begin()
    }

    /// A caller asks once more, with something else. Tells whether it may.
    pub fn begin_again(&mut self, caller: &Caller, now: DateTime<Utc>) -> bool {
        let may = self.silence(now).is_none() && self.rushed(&caller.quotas, now).is_none();
        if may {
            self.count(caller, now);
        }
        may
    }

    /// A request that began then is about to be made. Tells whether it may: where its count has to
    /// be written down first, after it was reserved.
    pub fn spend(&mut self, caller: &Caller, began: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        if self.windows.keys().any(|length| is_kept(*length)) {
            let batch = self.batches.get_mut(&caller.namespace);
            let Some(batch) = batch.filter(|batch| batch.left > 0 && batch.until > now) else {
                return false;
            };
            batch.left -= 1;
        }
        // Reading the credentials took its time: it is made now, not then.
        for (_, counted) in self.windows.iter_mut().filter(|(length, _)| !is_kept(**length)) {
            if counted.window.good_until(began) <= now {
                counted.window.count(&caller.namespace, 1, now);
            }
        }
        true
    }

    /// A request that was written down was not made: another may be.
    pub fn give_back(&mut self, caller: &Caller) {
        if let Some(batch) = self.batches.get_mut(&caller.namespace) {
            batch.left = batch.left.saturating_add(1);
        }
    }

    fn count(&mut self, caller: &Caller, now: DateTime<Utc>) {
        for (_, counted) in self.windows.iter_mut().filter(|(length, _)| !is_kept(**length)) {
            counted.window.count(&caller.namespace, 1, now);
        }
    }

    /// Whether requests are counted already that were not made yet.
    pub fn has_reserve(&self, caller: &Caller, now: DateTime<Utc>) -> bool {
        let batch = self.batches.get(&caller.namespace);
        batch.is_some_and(|batch| batch.left > 0 && batch.until > now)
    }

    /// Counts requests that are about to be made, as many as are wanted and allowed. They may be
    /// made once that is written down and they are granted.
    pub fn reserve(
        &mut self,
        caller: &Caller,
        wanted: u32,
        now: DateTime<Utc>,
    ) -> Result<Batch, HeldBack> {
        self.batches.remove(&caller.namespace);
        if let Some(held_back) = self.used_up(caller, now) {
            self.hold(caller, held_back.clone());
            return Err(held_back);
        }
        let room = caller.quotas.iter().filter(|quota| quota.is_kept()).map(|quota| {
            let left = quota.requests.saturating_sub(self.used(quota.window, now));
            left.min(quota.requests / LARGEST_BATCH)
        });
        let left = room.fold(wanted, u32::min).max(1);
        let kept = self.windows.iter_mut().filter(|(length, _)| is_kept(**length));
        let until = kept.map(|(_, counted)| {
            counted.window.count(&caller.namespace, left, now);
            counted.window.good_until(now)
        });
        Ok(Batch { left, until: until.min().unwrap_or(now) })
    }

    /// What was reserved is written down and may be made.
    pub fn grant(&mut self, caller: &Caller, batch: Batch) {
        self.batches.insert(caller.namespace.clone(), batch);
    }

    /// What came of a request, be it a probe or not.
    pub fn learn(&mut self, caller: &Caller, (probe, health): (bool, Health), now: DateTime<Utc>) {
        let was_open = self.breaker.is_open();
        let waiting = self.held.values().filter(|(_, held)| held.until > now).map(|(u, _)| *u);
        let urgency = waiting.min().map_or(caller.urgency, |first| first.min(caller.urgency));
        self.breaker.learn((probe, health), urgency, now);
        if was_open && !self.breaker.is_open() {
            self.held.retain(|_, (_, held)| held.error.reason() != Reason::CircuitOpen);
        }
    }

    /// The provider asked for silence. Tells whether that is news.
    pub fn silence_until(&mut self, until: DateTime<Utc>) -> bool {
        let is_news = self.silent_until.is_none_or(|before| before < until);
        self.silent_until = self.silent_until.max(Some(until));
        is_news
    }

    /// Forgets what is over. Tells whether anything is left.
    pub fn tidy(&mut self, now: DateTime<Utc>) -> bool {
        self.silent_until = self.silent_until.filter(|until| *until > now);
        self.held.retain(|_, (_, held)| held.until + HELD_MEMORY > now);
        self.users.retain(|_, seen| *seen + USER_MEMORY > now);
        self.batches.retain(|_, batch| batch.left > 0 && batch.until > now);
        for counted in self.windows.values_mut() {
            counted.window.tidy(now);
        }
        let used = self.windows.values().any(|counted| !counted.window.is_empty());
        let waits = !self.held.is_empty() || self.silent_until.is_some();
        used || waits || !self.users.is_empty() || self.breaker.remembers(now)
    }

    fn silence(&self, now: DateTime<Utc>) -> Option<HeldBack> {
        // No silence is longer: what lies farther ahead was written down by a clock that was wrong.
        let believed = |until: &DateTime<Utc>| *until <= after(now, LONGEST_BELIEVED);
        let until = self.silent_until.filter(|until| *until > now).filter(believed)?;
        let message = "the provider asked for silence, which holds for all that share these \
                       credentials";
        Some(HeldBack { until, error: Error::new(Reason::ProviderThrottled, message) })
    }

    fn outage(&self, caller: &Caller, now: DateTime<Utc>) -> Option<HeldBack> {
        let before = |urgency: Urgency| urgency <= caller.urgency;
        let ahead = self.held.iter().filter(|(token, (urgency, held))| {
            **token != caller.token && held.until > now && before(*urgency)
        });
        let ahead = ahead.fold(0_i32, |count, _| count.saturating_add(1));
        let until = self.breaker.wait(caller.urgency, ahead, now)?;
        let message = "the provider failed several times in a row: one token at a time asks whether \
                       it is back";
        Some(HeldBack { until, error: Error::new(Reason::CircuitOpen, message) })
    }

    /// What does not come back in a moment.
    fn used_up(&self, caller: &Caller, now: DateTime<Utc>) -> Option<HeldBack> {
        if self.has_reserve(caller, now) {
            return None;
        }
        let kept = caller.quotas.iter().filter(|quota| quota.is_kept());
        let refused = kept.filter_map(|quota| self.beyond(quota, caller, now));
        refused.max_by_key(|held_back| held_back.until)
    }

    fn beyond(&self, quota: &Quota, caller: &Caller, now: DateTime<Utc>) -> Option<HeldBack> {
        let window = &self.windows.get(&quota.window)?.window;
        let until = window.eases_at(now).unwrap_or(now + quota.window);
        let used = window.used(now);
        if used >= quota.requests {
            let message = format!("all requests are made that limits.requestsPer allows ({quota})");
            return Some(HeldBack { until, error: Error::new(Reason::BudgetExhausted, message) });
        }
        let users: BTreeSet<&String> = window.users(now).chain(self.users.keys()).collect();
        let mut share = quota.requests;
        if !users.is_empty() {
            let users = users.iter().fold(0_u32, |count, _| count.saturating_add(1));
            share = (quota.requests / users).max(1);
        }
        let beyond_share = window.used_by(&caller.namespace, now) >= share;
        if beyond_share && used >= quota.requests.div_ceil(2) {
            let message = format!(
                "namespace {:?} has made its share of the requests that limits.requestsPer allows \
                 ({quota}), and less than half is left for others",
                caller.namespace
            );
            return Some(HeldBack { until, error: Error::new(Reason::ShareExhausted, message) });
        }
        None
    }

    /// When requests follow too closely on each other: when the next may be made.
    fn rushed(&self, quotas: &[Quota], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let short = quotas.iter().filter(|quota| !quota.is_kept());
        let full = short.filter(|quota| self.used(quota.window, now) >= quota.requests);
        full.filter_map(|quota| self.windows.get(&quota.window)?.window.eases_at(now)).max()
    }

    fn used(&self, length: TimeDelta, now: DateTime<Utc>) -> u32 {
        self.windows.get(&length).map_or(0, |counted| counted.window.used(now))
    }

    /// Begins to count for these quotas, and ends for those that no document has any more.
    fn know(&mut self, quotas: &[Quota], now: DateTime<Utc>) {
        for quota in quotas {
            let since = self.since;
            let counted = self.windows.entry(quota.window).or_insert_with(|| {
                let mut window = Window::new(quota.window, Parts::new());
                if !quota.is_kept() && *quota != DEFAULT_QUOTA {
                    window.count("", quota.requests, since);
                }
                Counted { window, wanted_at: now, allowed: None }
            });
            counted.wanted_at = now;
            counted.allowed = Some(quota.requests);
        }
        self.windows.retain(|length, counted| counted.wanted_at + *length * 2 > now);
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
