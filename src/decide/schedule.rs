//! When: the lead before an expiry, the floor between requests, the backoff after a failure.
//! The figures and their reasons are in `docs/adr/0010-schedule.md`.

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
    pub(super) fn delay(self) -> TimeDelta {
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

/// What an explicit `limits.minInterval` may say.
const MIN_INTERVALS: (TimeDelta, TimeDelta) = (TimeDelta::seconds(1), TimeDelta::hours(24));
/// Longest silence that is kept because a provider asks for it.
const LONGEST_SILENCE: TimeDelta = TimeDelta::hours(1);

/// A provider that hands back the token we have until it expires is asked this long after that.
pub(super) const AFTER_EXPIRY: TimeDelta = TimeDelta::seconds(1);
/// Least time between two repairs of a target.
pub(super) const REPAIR_INTERVAL: TimeDelta = TimeDelta::seconds(3);
/// Repairs in a row before we give way to whoever keeps undoing them.
const LENIENCE: u32 = 10;
/// Repairs further apart than this have nothing to do with each other.
pub(super) const REPAIR_MEMORY: TimeDelta = TimeDelta::minutes(15);

/// What a new token's schedule depends on besides its life.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// How the token reaches its readers.
    pub delivery: Delivery,
    /// The document's `limits.minInterval`.
    pub min_interval: Option<TimeDelta>,
    /// The document's `limits.maxInterval`.
    pub max_interval: Option<TimeDelta>,
    /// In `0.0..1.0`.
    pub random: f64,
}

impl Pace {
    /// When the next token is due: before the expiry by the lead, jittered by 5 % of it.
    pub fn refresh_at(&self, issued_at: DateTime<Utc>, expires_at: DateTime<Utc>) -> DateTime<Utc> {
        let life = (expires_at - issued_at).max(TimeDelta::zero());
        let due = after(expires_at, -scale(self.lead(life), 0.95 + 0.1 * self.random));
        let latest = self.max_interval.map(|most| after(issued_at, scale(most, 0.95)));
        latest.map_or(due, |latest| due.min(latest))
    }

    /// How long before its end a token of such a life is refreshed.
    pub fn lead(&self, life: TimeDelta) -> TimeDelta {
        self.wanted_lead().clamp(life / 5, life / 2)
    }

    /// How long it takes until a new token has reached its readers, should not all go well.
    pub fn wanted_lead(&self) -> TimeDelta {
        self.delivery.delay() + RETRIES + SKEW
    }

    /// The least time between the success that gave a token of such a life and the next request.
    pub fn floor(&self, life: TimeDelta) -> TimeDelta {
        min_interval(self.min_interval, life)
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
            return after(expires_at, AFTER_EXPIRY);
        }
        let floor = self.min_interval.map_or(DEFAULT_MIN_INTERVAL, sane);
        let most = self.max_interval.map_or(remaining, |most| scale(most, 0.95));
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
        let probe = doubled(FIRST_PROBE, self.failures).min(LAST_BACKOFF);
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
pub(super) fn silence(error: &Error) -> Option<TimeDelta> {
    let told = error.retry_after()?;
    Some(TimeDelta::from_std(told).unwrap_or(LONGEST_SILENCE).min(LONGEST_SILENCE))
}

/// How long whoever undoes our repairs is left alone after so many of them in a row. A deployment
/// tool that fights for the target must not make us ask the provider every three seconds.
pub(super) fn patience(repairs: u32) -> TimeDelta {
    match repairs.saturating_sub(LENIENCE) {
        0 => TimeDelta::zero(),
        more => doubled(REPAIR_INTERVAL * 2, more).min(LAST_BACKOFF),
    }
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
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::error::Reason;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn pace(delivery: Delivery) -> Pace {
        Pace { delivery, min_interval: None, max_interval: None, random: 0.5 }
    }

    #[test]
    fn what_ends_unused_is_used_in_time() {
        let most = TimeDelta::seconds(1000);
        let pace = Pace { max_interval: Some(most), ..pace(Delivery::Watch) };
        assert_eq!(pace.refresh_at(at(0), at(86_400)), at(950));
        // Where the token's own life is shorter, that counts.
        assert_eq!(pace.refresh_at(at(0), at(900)), at(720));
    }

    // The table of docs/adr/0010-schedule.md and more.
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
    #[case(0.999, 2880 - 36)]
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
    #[case(Some(0), 60, 1)]
    #[case(Some(i64::MAX / 1000), 60, 86_400)]
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
