//! How many requests were made lately. What is counted is counted late rather than short: in no
//! stretch of time of a window's length are there more requests than may be made.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

/// So many requests in any stretch of time of such a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quota {
    /// How long.
    pub window: TimeDelta,
    /// How many.
    pub requests: u32,
}

impl Quota {
    /// Whether its count outlives the process. A shorter one is over before the next has begun in
    /// earnest: that one waits until it is.
    pub fn is_kept(&self) -> bool {
        is_kept(self.window)
    }

    /// How long its window is, as a document would say.
    pub fn length(&self) -> String {
        let seconds = self.window.num_seconds();
        let (number, unit) = match seconds {
            _ if seconds % 3600 == 0 => (seconds / 3600, "h"),
            _ if seconds % 60 == 0 => (seconds / 60, "m"),
            _ => (seconds, "s"),
        };
        format!("{number}{unit}")
    }
}

impl std::fmt::Display for Quota {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {}", self.requests, self.length())
    }
}

/// Windows of this length and longer are kept over a restart.
const KEPT: TimeDelta = TimeDelta::seconds(10);

/// Whether counts of a window are kept over a restart.
pub fn is_kept(window: TimeDelta) -> bool {
    window >= KEPT
}

/// A window is counted in so many parts.
const PARTS: i64 = 8;

/// A part that lies further ahead was counted by a clock that was wrong.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(2);

/// Requests by namespace, by the part of time that they were made in.
pub type Parts = BTreeMap<i64, BTreeMap<String, u32>>;

/// The requests in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    length: TimeDelta,
    parts: Parts,
}

impl Window {
    /// A window with what is known of it.
    pub fn new(length: TimeDelta, parts: Parts) -> Self {
        Self { length, parts }
    }

    /// What is known of it.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The length of a part, in milliseconds.
    fn step(&self) -> i64 {
        (self.length.num_milliseconds() / PARTS).max(1)
    }

    fn part(&self, at: DateTime<Utc>) -> i64 {
        at.timestamp_millis().div_euclid(self.step())
    }

    fn begin(&self, part: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(part.saturating_mul(self.step())).unwrap_or_default()
    }

    /// When what was counted in a part is over: it may have been made at the part's very end, and
    /// have reached the provider as much later as a part is long.
    fn over_at(&self, part: i64) -> DateTime<Utc> {
        self.begin(part) + TimeDelta::milliseconds(2 * self.step()) + self.length
    }

    /// Until when a request that is counted now may be made.
    pub fn good_until(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        self.begin(self.part(now) + 1)
    }

    /// Counts requests of a namespace.
    pub fn count(&mut self, namespace: &str, requests: u32, now: DateTime<Utc>) {
        self.tidy(now);
        let part = self.parts.entry(self.part(now)).or_default();
        let count = part.entry(namespace.to_owned()).or_default();
        *count = count.saturating_add(requests);
    }

    /// Forgets what is over. What seems to lie ahead was made now at the latest.
    pub fn tidy(&mut self, now: DateTime<Utc>) {
        let present = self.part(now);
        let farthest = self.part(now + CLOCKS_DIFFER);
        let ahead = self.parts.split_off(&(farthest + 1));
        for (namespace, requests) in ahead.into_values().flatten() {
            *self.parts.entry(present).or_default().entry(namespace).or_default() += requests;
        }
        let gone: Vec<i64> =
            self.parts.keys().copied().filter(|p| self.over_at(*p) <= now).collect();
        for part in gone {
            self.parts.remove(&part);
        }
    }

    fn lately(&self, now: DateTime<Utc>) -> impl Iterator<Item = (&String, u32)> {
        let parts = self.parts.iter().filter(move |(part, _)| self.over_at(**part) > now);
        parts.flat_map(|(_, counts)| counts.iter().map(|(namespace, count)| (namespace, *count)))
    }

    /// How many there were.
    pub fn used(&self, now: DateTime<Utc>) -> u32 {
        self.lately(now).map(|(_, count)| count).sum()
    }

    /// How many of them were a namespace's.
    pub fn used_by(&self, namespace: &str, now: DateTime<Utc>) -> u32 {
        self.lately(now).filter(|(whose, _)| *whose == namespace).map(|(_, count)| count).sum()
    }

    /// Whose they were.
    pub fn users(&self, now: DateTime<Utc>) -> impl Iterator<Item = &String> {
        self.lately(now).map(|(namespace, _)| namespace)
    }

    /// When the next of them are over.
    pub fn eases_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.parts.keys().map(|part| self.over_at(*part)).find(|at| *at > now)
    }

    /// Whether nothing is known of it.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_800_000_000_000 + milliseconds).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        // A request reaches the provider some time after it was counted.
        #[test]
        fn no_stretch_of_time_holds_more_than_the_limit(
            (seconds, most) in (1..1000_i64, 1..20_u32),
            pauses in prop::collection::vec((0..300_i64, 0..1000_i64), 1..200),
        ) {
            let length = TimeDelta::seconds(seconds);
            let mut window = Window::new(length, Parts::new());
            let (mut now, mut made) = (0, Vec::new());
            for (pause, lateness) in pauses {
                now += pause * seconds;
                if window.used(at(now)) < most {
                    window.count("web", 1, at(now));
                    made.push(now + lateness * seconds / 8);
                }
            }
            made.sort_unstable();
            for (index, first) in made.iter().enumerate() {
                let within = made[index..].iter().filter(|at| **at < first + seconds * 1000).count();
                prop_assert!(within <= most as usize, "{within} of {most} in {seconds} s");
            }
        }

        #[test]
        fn what_is_used_up_eases_before_long(
            (seconds, now) in (1..100_000_i64, 0..100_000_000_i64),
        ) {
            let mut window = Window::new(TimeDelta::seconds(seconds), Parts::new());
            window.count("web", 3, at(now));
            let eases_at = window.eases_at(at(now)).unwrap();
            prop_assert_eq!(window.used(eases_at - TimeDelta::milliseconds(1)), 3);
            prop_assert_eq!(window.used(eases_at), 0);
            prop_assert!(eases_at <= at(now + seconds * 1250 + 1));
        }
    }

    #[test]
    fn a_clock_that_was_far_ahead_blocks_nothing_for_ever() {
        let mut window = Window::new(TimeDelta::hours(1), Parts::new());
        window.count("web", 5, at(365 * 86_400_000));
        window.tidy(at(0));
        assert_eq!(window.used(at(0)), 5, "they count as made now");
        assert_eq!(window.used(at(2 * 3_600_000)), 0);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let mut window = Window::new(TimeDelta::seconds(10), Parts::new());
        window.count("a", 1, at(0));
        window.count("b", 1, at(60_000));
        assert_eq!(window.parts().len(), 1);
        assert_eq!((window.used_by("a", at(60_000)), window.used_by("b", at(60_000))), (0, 1));
        window.tidy(at(120_000));
        assert!(window.is_empty());
    }

    #[test]
    fn a_limit_reads_as_it_was_written() {
        let said =
            |seconds, requests| Quota { window: TimeDelta::seconds(seconds), requests }.to_string();
        assert_eq!(said(86_400, 1000), "1000 in 24h");
        assert_eq!((said(600, 10), said(1, 50)), ("10 in 10m".to_owned(), "50 in 1s".to_owned()));
    }
}
