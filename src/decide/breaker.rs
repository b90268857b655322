//! Whether a provider is up, as far as its answers tell: after several failures in a row it is
//! asked by one token at a time.

use chrono::{DateTime, TimeDelta, Utc};

use super::schedule::after;

/// Failures in a row, of whichever tokens, after which the breaker opens.
const FAILURES: u32 = 5;
/// Between the end of one probe and the next.
const SPACING: TimeDelta = TimeDelta::seconds(15);
/// However little is left of a token.
const LEAST_SPACING: TimeDelta = TimeDelta::seconds(1);
/// Nobody is told to wait longer.
const LONGEST_WAIT: TimeDelta = TimeDelta::minutes(5);
/// Failures that are older say nothing of the provider any more: nobody is put off for longer.
const MEMORY: TimeDelta = TimeDelta::hours(1);

/// How urgent a request is: what has no good token comes before what has one, and of those the
/// soonest expiry comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// There is no good token.
    First,
    /// There is one until then.
    Refresh(DateTime<Utc>),
}

impl Urgency {
    /// How long a request may be put off while the provider is down: a quarter of what is left,
    /// as with every backoff.
    fn patience(self, now: DateTime<Utc>) -> Option<TimeDelta> {
        match self {
            Self::Refresh(expires_at) if expires_at > now => {
                Some(((expires_at - now) / 4).max(LEAST_SPACING))
            }
            _ => None,
        }
    }
}

/// What an answer, or none, tells of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Health {
    /// It answered; be it with a refusal.
    Up,
    /// It did not answer, or only that it cannot.
    Down,
    /// It was not asked.
    #[default]
    Unknown,
}

/// A circuit breaker.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    failures: u32,
    failed_at: DateTime<Utc>,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    probe_at: DateTime<Utc>,
    spacing: TimeDelta,
    probing: bool,
}

impl Breaker {
    /// Whether it knows of failures that still mean something.
    pub fn remembers(&self, now: DateTime<Utc>) -> bool {
        self.failures > 0 && after(self.failed_at, MEMORY) > now
    }

    /// Whether it is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// How long a request has to wait; `None` where it may be made. `ahead` is how many that are
    /// more urgent wait already: each has its own turn to probe.
    pub fn wait(&self, urgency: Urgency, ahead: i32, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let open = self.open?;
        if !open.probing && open.probe_at <= now {
            return None;
        }
        let next = match open.probing {
            true => after(now, open.spacing),
            false => open.probe_at,
        };
        let turn = after(next, open.spacing * ahead);
        let latest = after(now, urgency.patience(now).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT));
        Some(turn.min(latest.max(next)))
    }

    /// A request is made. Tells whether it is a probe.
    pub fn begin(&mut self) -> bool {
        self.open.as_mut().is_some_and(|open| {
            open.probing = true;
            true
        })
    }

    /// What came of a request, and how urgent the most urgent one is that waits for the next.
    pub fn learn(&mut self, (probe, health): (bool, Health), urgency: Urgency, now: DateTime<Utc>) {
        match health {
            Health::Up => *self = Self::default(),
            Health::Unknown => {
                if let Some(open) = self.open.as_mut().filter(|_| probe) {
                    open.probing = false;
                }
            }
            Health::Down => {
                let before = if self.remembers(now) { self.failures } else { 0 };
                self.failures = before.saturating_add(1);
                self.failed_at = now;
                let of_before = self.open.is_some() && !probe;
                if self.failures >= FAILURES && !of_before {
                    let spacing = urgency.patience(now).unwrap_or(SPACING).min(SPACING);
                    let probe_at = after(now, spacing);
                    self.open = Some(Open { probe_at, spacing, probing: false });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn opened(urgency: Urgency) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert_eq!(breaker.wait(urgency, 0, at(0)), None);
            assert!(!breaker.begin());
            breaker.learn((false, Health::Down), urgency, at(0));
        }
        breaker
    }

    #[test]
    fn a_refusal_is_no_outage() {
        let mut breaker = Breaker::default();
        for _ in 0..100 {
            for health in [Health::Down, Health::Down, Health::Down, Health::Down, Health::Up] {
                breaker.learn((false, health), Urgency::First, at(0));
            }
        }
        assert!(!breaker.is_open());
    }

    #[test]
    fn one_probe_at_a_time_goes_through() {
        let mut breaker = opened(Urgency::First);
        let wait = |breaker: &Breaker, ahead, second| {
            breaker
                .wait(Urgency::First, ahead, at(second))
                .map(|until| (until - at(0)).num_seconds())
        };
        assert_eq!(wait(&breaker, 0, 1), Some(15));
        assert_eq!(wait(&breaker, 2, 1), Some(45), "each has its turn");
        assert_eq!(wait(&breaker, 1000, 1), Some(301));
        assert_eq!(wait(&breaker, 0, 15), None);
        assert!(breaker.begin());
        assert_eq!(wait(&breaker, 0, 16), Some(31), "somebody asks already");
        // What was under way when it opened says nothing new.
        breaker.learn((false, Health::Down), Urgency::First, at(17));
        assert_eq!(wait(&breaker, 0, 17), Some(32));
        breaker.learn((true, Health::Down), Urgency::First, at(20));
        assert_eq!(wait(&breaker, 0, 20), Some(35));
        assert_eq!(wait(&breaker, 0, 35), None);
        assert!(breaker.begin());
        breaker.learn((true, Health::Unknown), Urgency::First, at(36));
        assert_eq!(wait(&breaker, 0, 36), None, "a probe that was not made does not count");
        assert!(breaker.begin());
        breaker.learn((true, Health::Up), Urgency::First, at(37));
        assert!(!breaker.is_open() && !breaker.remembers(at(37)));
    }

    #[test]
    fn failures_are_not_remembered_for_ever() {
        let mut breaker = Breaker::default();
        breaker.learn((false, Health::Down), Urgency::First, at(0));
        assert!(breaker.remembers(at(3599)) && !breaker.remembers(at(3600)));
    }

    #[test]
    fn little_life_left_makes_probes_frequent_and_waits_short() {
        let soon = Urgency::Refresh(at(20));
        let breaker = opened(soon);
        assert_eq!(breaker.wait(soon, 0, at(0)), Some(at(5)));
        assert_eq!(breaker.wait(soon, 9, at(0)), Some(at(5)), "no longer than a quarter");
        assert_eq!(breaker.wait(Urgency::Refresh(at(4000)), 3, at(0)), Some(at(20)));
        assert_eq!(opened(Urgency::Refresh(at(1))).wait(soon, 0, at(0)), Some(at(1)));
    }

    #[test]
    fn what_has_no_token_is_the_most_urgent() {
        assert!(Urgency::First < Urgency::Refresh(at(-1)));
        assert!(Urgency::Refresh(at(1)) < Urgency::Refresh(at(2)));
    }
}
