//! Who is served next by one provider: so many at once, the most urgent first, and no namespace,
//! account or kind of request starves another.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

use super::account::{HeldBack, Turn};
use super::breaker::Urgency;

/// Requests under way at once to one origin.
const PLACES: u32 = 8;
/// So many first fetches in a row make way for a refresh: a storm of new tokens must not let old
/// ones expire.
const FIRSTS_IN_A_ROW: u32 = 3;

/// Those who wait with the same account and of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lane {
    /// The account.
    pub account: String,
    /// The namespace.
    pub namespace: String,
}

/// What wait, and how many are served.
#[derive(Debug)]
pub struct Turns<T> {
    lanes: BTreeMap<Lane, BTreeMap<Place, T>>,
    /// Requests under way, by namespace.
    running: BTreeMap<String, u32>,
    /// When a namespace was served last, in turns; one that is not here has waited longest.
    served: BTreeMap<String, u64>,
    firsts_in_a_row: u32,
    serial: u64,
}

/// A place in a lane: the most urgent first, then in the order of coming.
type Place = (Urgency, u64);

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// This one is served.
    Serve(Lane, T),
    /// This one is sent away.
    Dismiss(T, HeldBack),
    /// Nothing: until then, where a time is given, or until a place is free.
    Nothing(Option<DateTime<Utc>>),
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            lanes: BTreeMap::new(),
            running: BTreeMap::new(),
            served: BTreeMap::new(),
            firsts_in_a_row: 0,
            serial: 0,
        }
    }
}

impl<T> Turns<T> {
    /// Somebody waits.
    pub fn enter(&mut self, lane: Lane, urgency: Urgency, who: T) {
        self.serial += 1;
        self.lanes.entry(lane).or_default().insert((urgency, self.serial), who);
    }

    /// How many wait in a lane.
    pub fn waiting(&self, lane: &Lane) -> u32 {
        let waiting = self.lanes.get(lane).map(BTreeMap::len).unwrap_or_default();
        u32::try_from(waiting).unwrap_or(u32::MAX)
    }

    /// Forgets those who wait no longer.
    pub fn retain(&mut self, waits: impl Fn(&T) -> bool) {
        for lane in self.lanes.values_mut() {
            lane.retain(|_, who| waits(who));
        }
        self.lanes.retain(|_, waiting| !waiting.is_empty());
    }

    /// How many wait, and how many are served.
    pub fn size(&self) -> (u32, u32) {
        let waiting =
            self.lanes.keys().fold(0_u32, |sum, lane| sum.saturating_add(self.waiting(lane)));
        (waiting, self.running.values().sum())
    }

    /// A request of a namespace has ended.
    pub fn release(&mut self, namespace: &str) {
        if let Some(running) = self.running.get_mut(namespace) {
            *running = running.saturating_sub(1);
        }
        self.running.retain(|_, running| *running > 0);
    }

    /// Whether nobody waits or is served.
    pub fn is_idle(&self) -> bool {
        self.lanes.is_empty() && self.running.is_empty()
    }

    /// Who is served next. `judge` tells whether a lane's foremost may be.
    pub fn next(&mut self, mut judge: impl FnMut(&Lane, &T) -> Turn) -> Next<T> {
        let running: u32 = self.running.values().sum();
        if running >= PLACES {
            return Next::Nothing(None);
        }
        let mut soonest: Option<DateTime<Utc>> = None;
        for (lane, place) in self.in_order() {
            let Some(who) = self.lanes.get(&lane).and_then(|waiting| waiting.get(&place)) else {
                continue;
            };
            match judge(&lane, who) {
                Turn::Later(at) => soonest = Some(soonest.map_or(at, |before| before.min(at))),
                Turn::HeldBack(held_back) => {
                    if let Some(who) = self.take(&lane, &place) {
                        return Next::Dismiss(who, held_back);
                    }
                }
                Turn::Go => {
                    if let Some(who) = self.take(&lane, &place) {
                        self.serve(&lane.namespace, place.0);
                        return Next::Serve(lane, who);
                    }
                }
            }
        }
        Next::Nothing(soonest)
    }

    fn take(&mut self, lane: &Lane, place: &Place) -> Option<T> {
        let who = self.lanes.get_mut(lane)?.remove(place);
        self.lanes.retain(|_, waiting| !waiting.is_empty());
        if self.lanes.is_empty() {
            self.served.clear();
        }
        who
    }

    fn serve(&mut self, namespace: &str, urgency: Urgency) {
        *self.running.entry(namespace.to_owned()).or_default() += 1;
        self.serial += 1;
        self.served.insert(namespace.to_owned(), self.serial);
        self.firsts_in_a_row = match urgency {
            Urgency::First => self.firsts_in_a_row.saturating_add(1),
            Urgency::Refresh(_) => 0,
        };
    }

    /// The foremost of each lane, in the order in which they are to be served: namespaces within
    /// their share of the places before others, and of what is as urgent that of the namespace that
    /// was not served for longest.
    fn in_order(&self) -> Vec<(Lane, Place)> {
        let waiting = self.lanes.keys().map(|lane| &lane.namespace);
        let namespaces: BTreeSet<&String> = waiting.chain(self.running.keys()).collect();
        let count = namespaces.iter().fold(0_u32, |count, _| count.saturating_add(1)).max(1);
        let share = PLACES.div_ceil(count);
        let refresh_is_due = self.firsts_in_a_row >= FIRSTS_IN_A_ROW;
        let mut foremost: Vec<(bool, bool, Urgency, u64, u64, &Lane)> = Vec::new();
        for (lane, waiting) in &self.lanes {
            let running = self.running.get(&lane.namespace).copied().unwrap_or_default();
            let first = waiting.keys().next();
            let refreshes = (Urgency::Refresh(DateTime::<Utc>::MIN_UTC), 0)..;
            let refresh = waiting.range(refreshes).next().map(|(place, _)| place);
            let wanted = refresh.filter(|_| refresh_is_due).or(first);
            let served = self.served.get(&lane.namespace).copied().unwrap_or_default();
            foremost.extend(wanted.map(|&(urgency, serial)| {
                let behind = refresh_is_due && urgency == Urgency::First;
                (running >= share, behind, urgency, served, serial, lane)
            }));
        }
        foremost.sort();
        let foremost = foremost.into_iter();
        foremost.map(|(_, _, urgency, _, serial, lane)| (lane.clone(), (urgency, serial))).collect()
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
