use chrono::TimeDelta;
use proptest::prelude::*;

use super::simulation::{Answer, Event, World};
use crate::error::Reason;

fn lives() -> impl Strategy<Value = i64> {
    prop_oneof![1..10_i64, 10..400_i64, 400..100_000_i64, Just(100 * 365 * 86_400_i64)]
}

fn answers() -> impl Strategy<Value = Answer> {
    let reasons = [
        Reason::ProviderError,
        Reason::ProviderTimeout,
        Reason::TokenRequestRejected,
        Reason::InvalidResponse,
        Reason::WriteFailed,
        Reason::EgressDenied,
    ];
    prop_oneof![
        4 => lives().prop_map(Answer::Token),
        1 => lives().prop_map(Answer::Same),
        2 => prop::sample::select(reasons.to_vec()).prop_map(Answer::Fail),
        1 => (0..3600_u64).prop_map(Answer::Silence),
    ]
}

/// What a cluster does to a token whose provider is well.
fn mishaps() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::Nothing),
        Just(Event::Delete),
        Just(Event::DamageData),
        Just(Event::DamageMetadata),
        (0..3_u8).prop_map(Event::Rename),
        (0..3_u8).prop_map(Event::Edit),
        Just(Event::Touch),
        Just(Event::Request),
        Just(Event::Restart),
        Just(Event::Crash),
        Just(Event::LoseStatus),
    ]
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => mishaps(),
        1 => Just(Event::TakeOver),
        2 => Just(Event::GiveBack),
        1 => any::<bool>().prop_map(Event::Suspend),
        1 => any::<bool>().prop_map(Event::LoseProvider),
        1 => any::<bool>().prop_map(Event::RefuseCredentials),
        1 => any::<bool>().prop_map(Event::ApiDown),
        3 => answers().prop_map(Event::Answers),
    ]
}

/// Events, each some time after the one before: mostly seconds, at times hours.
fn story(events: impl Strategy<Value = Event>) -> impl Strategy<Value = Vec<(i64, Event)>> {
    let pauses = prop_oneof![3 => 0..5_000_i64, 2 => 5_000..120_000_i64, 1 => 0..7_200_000_i64];
    prop::collection::vec((pauses, events), 1..40)
}

fn intervals() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![Just(None), Just(Some(1)), Just(Some(10)), Just(Some(600))]
}

fn live(world: &mut World, story: Vec<(i64, Event)>, mut check: impl FnMut(&World)) {
    world.settle();
    for (pause, event) in story {
        world.until(world.now + TimeDelta::milliseconds(pause));
        check(world);
        world.happen(event);
        check(world);
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    // What must never happen is asserted by the world itself.
    #[test]
    fn whatever_happens_no_rule_is_broken(
        (answer, min_interval, seed) in (answers(), intervals(), any::<u64>()),
        story in story(events()),
    ) {
        let mut world = World::new(answer, min_interval, seed);
        live(&mut world, story, |_| ());
    }

    #[test]
    fn while_the_provider_answers_no_target_holds_an_expired_token(
        (life, seed) in (60..100_000_i64, any::<u64>()),
        min_interval in prop_oneof![Just(None), Just(Some(1)), Just(Some(10))],
        story in story(mishaps()),
    ) {
        let mut world = World::new(Answer::Token(life), min_interval, seed);
        live(&mut world, story, |world| assert!(!world.holds_an_expired_token()));
    }
}

#[test]
fn a_restart_over_and_over_asks_for_nothing() {
    let mut world = World::new(Answer::Token(3600), None, 1);
    world.settle();
    for _ in 0..100 {
        world.until(world.now + TimeDelta::seconds(1));
        world.happen(Event::Restart);
        world.happen(Event::LoseStatus);
    }
    assert_eq!(world.asked, 1);
}

#[test]
fn a_provider_that_repeats_its_token_is_asked_seldom() {
    let mut world = World::new(Answer::Same(1000), None, 1);
    world.settle();
    world.until(world.now + TimeDelta::seconds(10_000));
    // About five looks at the first token; then it is known that only its expiry brings another.
    assert_eq!(world.asked, 15);
}

#[test]
fn a_token_of_one_second_makes_no_hot_loop() {
    let mut world = World::new(Answer::Token(1), None, 1);
    world.settle();
    world.until(world.now + TimeDelta::seconds(100));
    assert!((18..=21).contains(&world.asked), "{}", world.asked);
}
