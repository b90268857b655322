//! When: the lead before an expiry, the floor between requests, the backoff after a failure.
//! Source of the figures: DESIGN, "Time"; kubelet's delay was measured at 41 to 75 s.

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::{Class, Error};

/// How a token reaches its readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A mounted Secret volume, which kubelet refreshes about once a minute.
    Volume,
    /// Readers that are told at once.
    Watch,
}

impl Delivery {
    fn delay(self) -> TimeDelta {
        match self {
            Self::Volume => TimeDelta::seconds(90),
            Self::Watch => TimeDelta::seconds(5),
        }
    }
}

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

/// What a new token's schedule depends on besides its life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// How the token reaches its readers.
    pub delivery: Delivery,
    /// The document's `limits.minInterval`.
    pub min_interval: Option<TimeDelta>,
    /// In `0.0..1.0`.
    pub random: f64,
}

impl Pace {
    /// When the next token is due: before the expiry by the lead, jittered by 5 % of it.
    pub fn refresh_at(&self, issued_at: DateTime<Utc>, expires_at: DateTime<Utc>) -> DateTime<Utc> {
        let life = (expires_at - issued_at).max(TimeDelta::zero());
        let lead = (self.delivery.delay() + RETRIES + SKEW).clamp(life / 5, life / 2);
        expires_at - scale(lead, 0.95 + 0.1 * self.random)
    }

    /// When to ask again a provider that handed back the token we have: half of what remains
    /// later, and right after the expiry once little remains.
    pub fn same_token_again_at(
        &self,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let remaining = expires_at - now;
        if remaining < TimeDelta::seconds(30) {
            return expires_at + TimeDelta::seconds(1);
        }
        now + (remaining / 2).max(self.min_interval.unwrap_or(DEFAULT_MIN_INTERVAL))
    }
}

/// The least time between a success and the next request.
pub(super) fn min_interval(explicit: Option<TimeDelta>, life: TimeDelta) -> TimeDelta {
    explicit.unwrap_or_else(|| DEFAULT_MIN_INTERVAL.min(life / 2).max(SMALLEST_DEFAULT_INTERVAL))
}

/// The least time between any request and an urgent one.
pub(super) fn urgent_interval(min_interval: TimeDelta) -> TimeDelta {
    min_interval.min(URGENT_INTERVAL)
}

/// After a failure: how long to wait.
pub(super) struct Backoff {
    /// Failures in a row, this one included.
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
        let told = error.retry_after().and_then(|wait| TimeDelta::from_std(wait).ok());
        match (error.class(), told) {
            (Class::Permanent, told) => {
                let probe = self.doubled(FIRST_PROBE, LAST_PROBE);
                scale(probe, 0.95 + 0.1 * self.random).max(told.unwrap_or_default())
            }
            (_, Some(told)) => told.max(self.floor()),
            (_, None) => self.full_jitter(),
        }
    }

    /// Between the floor and the doubled ceiling; while a good token is left, never more than a
    /// quarter of what remains of it.
    fn full_jitter(&self) -> TimeDelta {
        let ceiling = self.doubled(FIRST_BACKOFF, LAST_BACKOFF);
        let ceiling = self.remaining.map_or(ceiling, |remaining| ceiling.min(remaining / 4));
        let floor = self.floor();
        floor + scale((ceiling - floor).max(TimeDelta::zero()), self.random)
    }

    fn floor(&self) -> TimeDelta {
        self.min_interval.min(FIRST_BACKOFF)
    }

    fn doubled(&self, first: TimeDelta, last: TimeDelta) -> TimeDelta {
        let doublings = self.failures.saturating_sub(1).min(16);
        first.checked_mul(1 << doublings).unwrap_or(last).min(last)
    }
}

/// When something is due that was overdue already when work resumed: later by a share of what is
/// left of the token, so that the soonest expiry comes first and no herd forms.
pub(super) fn spread(
    resumed_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    share: f64,
) -> DateTime<Utc> {
    let window = ((expires_at - resumed_at) / 4).clamp(TimeDelta::zero(), SPREAD);
    resumed_at + scale(window, share)
}

/// A number in `0.0..1.0` that is always the same for the same name.
pub(super) fn share_of(name: &str) -> f64 {
    // FNV-1a: spreads well enough, and needs no state.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
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
    TimeDelta::milliseconds(millis)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::error::Reason;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn pace(delivery: Delivery) -> Pace {
        Pace { delivery, min_interval: None, random: 0.5 }
    }

    // The table of KNOBS section 4.
    #[rstest]
    #[case(300, 160, 240)]
    #[case(600, 460, 480)]
    #[case(900, 720, 720)]
    #[case(3600, 2880, 2880)]
    #[case(86_400, 69_120, 69_120)]
    #[case(8, 4, 4)]
    fn the_lead_follows_from_life_and_delivery(
        #[case] life: i64,
        #[case] volume: i64,
        #[case] watch: i64,
    ) {
        let refresh = |delivery| (pace(delivery).refresh_at(at(0), at(life)) - at(0)).num_seconds();
        assert_eq!((refresh(Delivery::Volume), refresh(Delivery::Watch)), (volume, watch));
    }

    #[rstest]
    #[case(0.0, 2880 + 36)]
    #[case(0.999, 2880 - 35)]
    fn the_lead_is_jittered_by_five_percent(#[case] random: f64, #[case] expected: i64) {
        let pace = Pace { random, ..pace(Delivery::Volume) };
        assert_eq!((pace.refresh_at(at(0), at(3600)) - at(0)).num_seconds(), expected);
    }

    #[rstest]
    #[case(None, 3600, 30)]
    #[case(None, 40, 20)]
    #[case(None, 1, 5)]
    #[case(Some(1), 8, 1)]
    #[case(Some(120), 60, 120)]
    fn the_floor(#[case] explicit: Option<i64>, #[case] life: i64, #[case] seconds: i64) {
        let floor = min_interval(explicit.map(TimeDelta::seconds), TimeDelta::seconds(life));
        assert_eq!(floor.num_seconds(), seconds);
    }

    fn backoff(failures: u32, remaining: Option<i64>) -> Backoff {
        Backoff {
            failures,
            remaining: remaining.map(TimeDelta::seconds),
            min_interval: TimeDelta::seconds(30),
            random: 1.0,
        }
    }

    #[rstest]
    #[case(1, None, 5)]
    #[case(3, None, 20)]
    #[case(7, None, 300)]
    #[case(1000, None, 300)]
    #[case(7, Some(100), 25)]
    #[case(7, Some(4), 5)]
    fn transient_failures_double_up_to_five_minutes(
        #[case] failures: u32,
        #[case] remaining: Option<i64>,
        #[case] most: i64,
    ) {
        let error = Error::new(Reason::ProviderError, "");
        assert_eq!(backoff(failures, remaining).after(&error).num_seconds(), most);
        let least = Backoff { random: 0.0, ..backoff(failures, remaining) }.after(&error);
        assert_eq!(least.num_seconds(), 5);
    }

    #[rstest]
    #[case(1, 1)]
    #[case(2, 2)]
    #[case(6, 32)]
    #[case(7, 60)]
    #[case(500, 60)]
    fn permanent_failures_are_probed_ever_more_rarely(#[case] failures: u32, #[case] minutes: i64) {
        let error = Error::new(Reason::TokenRequestRejected, "");
        let wait = Backoff { random: 0.5, ..backoff(failures, Some(10)) }.after(&error);
        assert_eq!(wait.num_minutes(), minutes);
    }

    #[test]
    fn retry_after_is_obeyed_even_beyond_the_expiry_but_never_hot() {
        let error = |seconds| {
            Error::new(Reason::ProviderThrottled, "")
                .with_retry_after(Some(std::time::Duration::from_secs(seconds)))
        };
        assert_eq!(backoff(1, Some(10)).after(&error(120)).num_seconds(), 120);
        assert_eq!(backoff(1, None).after(&error(0)).num_seconds(), 5);
    }

    #[test]
    fn what_is_overdue_is_spread_soonest_expiry_first() {
        let due = |life, share| (spread(at(0), at(life), share) - at(0)).num_seconds();
        assert_eq!((due(4, 1.0), due(40, 1.0), due(4000, 1.0)), (1, 10, 60));
        assert_eq!((due(4000, 0.0), due(-5, 1.0)), (0, 0));
    }

    #[test]
    fn shares_are_spread_and_stable() {
        let shares: Vec<f64> = (0..1000).map(|n| share_of(&format!("uid-{n}"))).collect();
        let low = shares.iter().filter(|share| **share < 0.5).count();
        assert!((400..600).contains(&low), "{low}");
        assert!(shares.iter().all(|share| (0.0..1.0).contains(share)));
        assert!((share_of("a") - share_of("a")).abs() < f64::EPSILON);
    }

    #[test]
    fn a_provider_that_repeats_its_token_is_asked_ever_closer_but_never_hot() {
        let pace = pace(Delivery::Volume);
        let wait =
            |remaining| (pace.same_token_again_at(at(0), at(remaining)) - at(0)).num_seconds();
        assert_eq!((wait(1000), wait(40), wait(10)), (500, 30, 11));
    }
}
