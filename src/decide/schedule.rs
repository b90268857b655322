//! When: the lead before an expiry, the floor between requests, the backoff after a failure.
//! The figures and their reasons are in `docs/adr/0010-schedule.md`.

use chrono::{DateTime, TimeDelta, Utc};

use crate::api::{Delivery, Refresh};
use crate::error::{Class, Error};

/// How long it takes until readers have what was written.
pub(super) fn delay(delivery: Delivery) -> TimeDelta {
    match delivery {
        Delivery::Volume => TimeDelta::seconds(90),
        Delivery::Watch => TimeDelta::seconds(5),
    }
}

/// How a remark begins that says what is unusual about a schedule.
pub(super) const REFRESH_REMARK: &str = "spec.refresh: ";

/// Time for three or four attempts (5, 10, 20 s) before the old token runs out.
const RETRIES: TimeDelta = TimeDelta::seconds(40);
/// Clocks differ.
const SKEW: TimeDelta = TimeDelta::seconds(10);

const DEFAULT_MIN_INTERVAL: TimeDelta = TimeDelta::seconds(30);
const SMALLEST_DEFAULT_INTERVAL: TimeDelta = TimeDelta::seconds(5);
/// A person's request, a changed input or a lost target wait no longer than this.
const URGENT_INTERVAL: TimeDelta = TimeDelta::seconds(3);

const FIRST_BACKOFF: TimeDelta = TimeDelta::seconds(5);
const LAST_BACKOFF: TimeDelta = TimeDelta::minutes(5);
const FIRST_PROBE: TimeDelta = TimeDelta::minutes(1);
const LAST_PROBE: TimeDelta = TimeDelta::minutes(60);

/// What was overdue when work resumes is spread over at most this.
const SPREAD: TimeDelta = TimeDelta::minutes(1);

/// What an explicit `limits.minInterval` may say.
const MIN_INTERVALS: (TimeDelta, TimeDelta) = (TimeDelta::seconds(1), TimeDelta::hours(24));
/// Longest silence that is kept because a provider asks for it.
const LONGEST_SILENCE: TimeDelta = TimeDelta::hours(1);

/// A provider that hands back the token we have until little is left of it is asked this long after
/// that.
const AFTER_REISSUE: TimeDelta = TimeDelta::seconds(2);
/// A provider that hands back the token we have until it expires is asked this long after that.
pub(super) const AFTER_EXPIRY: TimeDelta = TimeDelta::seconds(1);
/// Whether a provider is back that was down: looked at this often, which costs no request.
pub(super) const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(10);
/// Least time between two repairs of a target.
pub(super) const REPAIR_INTERVAL: TimeDelta = TimeDelta::seconds(3);
/// Repairs in a row before we give way to whoever keeps undoing them, and say so.
pub(super) const LENIENCE: u32 = 3;
/// Repairs further apart than this have nothing to do with each other.
pub(super) const REPAIR_MEMORY: TimeDelta = TimeDelta::minutes(15);

/// What a new token's schedule depends on besides its life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// How the token reaches its readers.
    pub delivery: Delivery,
    /// The spec's `refresh.lead`.
    pub lead: Option<TimeDelta>,
    /// The document's limits.
    pub limits: Limits,
    /// In `0.0..1.0`.
    pub random: f64,
}

/// What a provider's document says about when to ask (`limits`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `minInterval`.
    pub min_interval: Option<TimeDelta>,
    /// `maxInterval`.
    pub max_interval: Option<TimeDelta>,
    /// `sameTokenUntil`: what is left of a token when the provider gives a new one, where it hands
    /// out the same one until then.
    pub same_token_until: Option<TimeDelta>,
}

impl Pace {
    /// What a spec and a document come to; `delivery` holds where the spec does not say.
    pub fn of(refresh: &Refresh, limits: Limits, delivery: Delivery) -> Self {
        Self {
            delivery: refresh.delivery.unwrap_or(delivery),
            lead: refresh.lead(),
            limits,
            random: 0.5,
        }
    }

    /// When the next token is due: before the expiry by the lead, jittered by 5 % of it.
    pub fn refresh_at(&self, issued_at: DateTime<Utc>, expires_at: DateTime<Utc>) -> DateTime<Utc> {
        let life = (expires_at - issued_at).max(TimeDelta::zero());
        let due = after(expires_at, -scale(self.lead(life), 0.95 + 0.1 * self.random));
        let due = self.new_token_at(expires_at).map_or(due, |at| due.max(at));
        let latest = self.limits.max_interval.map(|most| after(issued_at, scale(most, 0.95)));
        latest.map_or(due, |latest| due.min(latest))
    }

    /// How long before its end a token of such a life is refreshed.
    pub fn lead(&self, life: TimeDelta) -> TimeDelta {
        match self.lead {
            Some(lead) => lead.min(longest_lead(life)),
            None => self.wanted_lead().clamp(life / 5, life / 2),
        }
    }

    /// When the provider gives another token at the earliest, where it hands out the same one until
    /// then.
    pub fn new_token_at(&self, expires_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let until = self.limits.same_token_until?;
        Some(match until > TimeDelta::zero() {
            true => after(expires_at, AFTER_REISSUE - until),
            false => after(expires_at, AFTER_EXPIRY),
        })
    }

    /// How long readers may see a token that has expired, whatever is done: the provider gives no
    /// other one early enough. `None` where it does, or where that is not known.
    pub fn gap(&self) -> Option<TimeDelta> {
        let spare = self.limits.same_token_until? - AFTER_REISSUE;
        let gap = delay(self.delivery) - spare.max(TimeDelta::zero());
        (gap > TimeDelta::zero()).then_some(gap)
    }

    /// How long it takes until a new token has reached its readers, should not all go well.
    pub fn wanted_lead(&self) -> TimeDelta {
        delay(self.delivery) + RETRIES + SKEW
    }

    /// The least time between the success that gave a token of such a life and the next request.
    pub fn floor(&self, life: TimeDelta) -> TimeDelta {
        min_interval(self.limits.min_interval, life)
    }

    /// When to ask again a provider that handed back the token we have: when it is known to give
    /// another one, else half of what remains later, and right after the expiry once little
    /// remains.
    pub fn same_token_again_at(
        &self,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let remaining = expires_at - now;
        if let Some(at) = self.new_token_at(expires_at).filter(|at| *at > now) {
            return at;
        }
        if remaining < TimeDelta::seconds(30) {
            return after(expires_at, AFTER_EXPIRY);
        }
        let floor = self.limits.min_interval.map_or(DEFAULT_MIN_INTERVAL, sane);
        let most = self.limits.max_interval.map_or(remaining, |most| scale(most, 0.95));
        after(now, (remaining / 2).min(most).max(floor))
    }
}

/// The least time between a success and the next request.
pub(super) fn min_interval(explicit: Option<TimeDelta>, life: TimeDelta) -> TimeDelta {
    explicit.map_or_else(|| DEFAULT_MIN_INTERVAL.min(life / 2).max(SMALLEST_DEFAULT_INTERVAL), sane)
}

fn sane(interval: TimeDelta) -> TimeDelta {
    interval.clamp(MIN_INTERVALS.0, MIN_INTERVALS.1)
}

/// The least time between any request and an urgent one.
pub(super) fn urgent_interval(min_interval: TimeDelta) -> TimeDelta {
    min_interval.min(URGENT_INTERVAL)
}

/// After a failure: how long to wait.
pub(super) struct Backoff {
    /// Failures of a kind in a row, this one included.
    pub(super) failures: u32,
    /// What is left of a good token's life.
    pub(super) remaining: Option<TimeDelta>,
    /// The least time between requests.
    pub(super) min_interval: TimeDelta,
    /// In `0.0..1.0`.
    pub(super) random: f64,
}

impl Backoff {
    pub(super) fn after(&self, error: &Error) -> TimeDelta {
        match (error.class(), silence(error)) {
            (Class::Permanent, told) => {
                let probe = doubled(FIRST_PROBE, self.failures).min(LAST_PROBE);
                scale(probe, 0.95 + 0.1 * self.random).max(told.unwrap_or_default())
            }
            (_, Some(told)) => told.max(self.floor()),
            (Class::Ambiguous, None) => self.seldom(),
            (_, None) => self.full_jitter(),
        }
    }

    /// What was sent may be used up, and the provider may punish whoever sends it again: seldom, but
    /// in time, for more often than not it was an outage.
    fn seldom(&self) -> TimeDelta {
        // The one before was tried again soon.
        let probe = doubled(FIRST_PROBE, self.failures.saturating_sub(1)).min(LAST_BACKOFF);
        self.remaining.map_or(probe, |remaining| probe.min(remaining / 4)).max(self.floor())
    }

    /// Between the floor and the doubled ceiling; while a good token is left, never more than a
    /// quarter of what remains of it.
    pub(super) fn full_jitter(&self) -> TimeDelta {
        let ceiling = doubled(FIRST_BACKOFF, self.failures).min(LAST_BACKOFF);
        let ceiling = self.remaining.map_or(ceiling, |remaining| ceiling.min(remaining / 4));
        let floor = self.floor();
        floor + scale((ceiling - floor).max(TimeDelta::zero()), self.random)
    }

    fn floor(&self) -> TimeDelta {
        self.min_interval.min(FIRST_BACKOFF)
    }
}

/// `first` the first time, twice that the second time, and so on.
fn doubled(first: TimeDelta, times: u32) -> TimeDelta {
    first * (1 << times.saturating_sub(1).min(16))
}

/// The silence that a provider asked for.
pub fn silence(error: &Error) -> Option<TimeDelta> {
    let told = error.retry_after()?;
    Some(TimeDelta::from_std(told).unwrap_or(LONGEST_SILENCE).min(LONGEST_SILENCE))
}

/// How long whoever undoes our repairs is left alone after so many of them in a row. A deployment
/// tool that fights for the target must not make us ask the provider every three seconds.
pub(super) fn patience(repairs: u32) -> TimeDelta {
    match (repairs.saturating_add(1)).saturating_sub(LENIENCE) {
        0 => TimeDelta::zero(),
        more => doubled(REPAIR_INTERVAL * 2, more).min(LAST_BACKOFF),
    }
}

/// The longest lead that a spec may ask for: a fifth of its life a token is used.
pub(super) fn longest_lead(life: TimeDelta) -> TimeDelta {
    life / 5 * 4
}

/// A time later by so much, or as late as the calendar goes.
pub(super) fn after(time: DateTime<Utc>, wait: TimeDelta) -> DateTime<Utc> {
    let bound = match wait < TimeDelta::zero() {
        true => DateTime::<Utc>::MIN_UTC,
        false => DateTime::<Utc>::MAX_UTC,
    };
    time.checked_add_signed(wait).unwrap_or(bound)
}

/// When something is due that was overdue already when work resumed: later by a share of what is
/// left of the token, so that the soonest expiry comes first and no herd forms.
pub(super) fn spread(
    resumed_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    share: f64,
) -> DateTime<Utc> {
    let window = ((expires_at - resumed_at) / 4).clamp(TimeDelta::zero(), SPREAD);
    after(resumed_at, scale(window, share))
}

/// A number in `0.0..1.0` that is always the same for the same name.
pub(super) fn share_of(name: &str) -> f64 {
    // FNV-1a needs no state; names that differ at their end only need the bits mixed once more.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = hash ^ (hash >> 33);
    #[expect(clippy::cast_precision_loss, reason = "32 bits fit a float")]
    let share = (hash >> 32) as f64 / f64::from(u32::MAX);
    share.min(0.999_999)
}

fn scale(delta: TimeDelta, factor: f64) -> TimeDelta {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a century in milliseconds fits a float"
    )]
    let millis = (delta.num_milliseconds() as f64 * factor) as i64;
    TimeDelta::try_milliseconds(millis).unwrap_or(delta)
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
