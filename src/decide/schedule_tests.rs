use rstest::rstest;

use super::*;
use crate::error::Reason;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn pace(delivery: Delivery) -> Pace {
    Pace { delivery, lead: None, limits: Limits::default(), random: 0.5 }
}

#[test]
fn what_ends_unused_is_used_in_time() {
    let most = TimeDelta::seconds(1000);
    let limits = Limits { max_interval: Some(most), ..Limits::default() };
    let pace = Pace { limits, ..pace(Delivery::Watch) };
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
    let wait = |remaining| (pace.same_token_again_at(at(0), at(remaining)) - at(0)).num_seconds();
    assert_eq!((wait(1000), wait(40), wait(10)), (500, 30, 11));
}

#[rstest]
#[case::shorter(3600, 60, 3540)]
#[case::longer(3600, 1800, 1800)]
#[case::too_long(3600, 7200, 720)]
fn a_lead_of_the_spec_counts_up_to_four_fifths(
    #[case] life: i64,
    #[case] lead: i64,
    #[case] due: i64,
) {
    let pace = Pace { lead: Some(TimeDelta::seconds(lead)), ..pace(Delivery::Volume) };
    assert_eq!((pace.refresh_at(at(0), at(life)) - at(0)).num_seconds(), due);
}

fn same_until(seconds: i64) -> Pace {
    let same_token_until = Some(TimeDelta::seconds(seconds));
    Pace { limits: Limits { same_token_until, ..Limits::default() }, ..pace(Delivery::Volume) }
}

// WeChat (7200, 300), Feishu (7200, 1800), WSO2 (3600, 0) do so.
#[rstest]
#[case::a_little_later(7200, 300, 6902)]
#[case::early_enough_anyway(7200, 1800, 5760)]
#[case::only_after_its_end(3600, 0, 3601)]
#[case::less_is_left(200, 300, 100)]
fn a_new_token_is_asked_for_when_there_is_one(
    #[case] life: i64,
    #[case] until: i64,
    #[case] due: i64,
) {
    assert_eq!((same_until(until).refresh_at(at(0), at(life)) - at(0)).num_seconds(), due);
}

#[test]
fn the_same_token_is_asked_about_again_when_another_is_known_to_come() {
    let wait =
        |until| (same_until(until).same_token_again_at(at(0), at(1000)) - at(0)).num_seconds();
    // 400 s before its end another one comes. If it should have come already: half of what is left.
    assert_eq!((wait(400), wait(0), wait(2000)), (602, 1001, 500));
}

#[rstest]
#[case::enough(Delivery::Volume, 300, None)]
#[case::just(Delivery::Volume, 92, None)]
#[case::too_late_for_volumes(Delivery::Volume, 60, Some(32))]
#[case::none_for_volumes(Delivery::Volume, 0, Some(90))]
#[case::none_for_anybody(Delivery::Watch, 0, Some(5))]
#[case::watchers_are_quick(Delivery::Watch, 60, None)]
fn a_gap_is_known_before(#[case] delivery: Delivery, #[case] until: i64, #[case] gap: Option<i64>) {
    let pace = Pace { delivery, ..same_until(until) };
    assert_eq!(pace.gap().map(|gap| gap.num_seconds()), gap);
}

#[rstest]
#[case::the_second(2, None, 60)]
#[case::the_third(3, None, 120)]
#[case::the_last(20, None, 300)]
#[case::while_a_token_is_good(20, Some(400), 100)]
#[case::little_is_left(2, Some(8), 5)]
fn what_may_be_used_up_is_sent_again_seldom(
    #[case] failures: u32,
    #[case] remaining: Option<i64>,
    #[case] seconds: i64,
) {
    let backoff = Backoff {
        failures,
        remaining: remaining.map(TimeDelta::seconds),
        min_interval: TimeDelta::seconds(30),
        random: 0.5,
    };
    let error = Error::new(Reason::ProviderTimeout, "").with_class(Class::Ambiguous);
    assert_eq!(backoff.after(&error), TimeDelta::seconds(seconds));
}
