use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn lane(namespace: &str) -> Lane {
    Lane { account: "a".into(), namespace: namespace.into() }
}

fn refresh(seconds: i64) -> Urgency {
    Urgency::Refresh(at(seconds))
}

fn served<T>(turns: &mut Turns<T>) -> Option<T> {
    match turns.next(|_, _| Turn::Go) {
        Next::Serve(_, who) => Some(who),
        _ => None,
    }
}

#[test]
fn first_fetches_come_before_refreshes_and_the_soonest_expiry_before_others() {
    let mut turns = Turns::default();
    for (urgency, who) in [(refresh(90), 'd'), (refresh(10), 'c'), (Urgency::First, 'a')] {
        turns.enter(lane("web"), urgency, who);
    }
    turns.enter(lane("web"), Urgency::First, 'b');
    let order: String = std::iter::from_fn(|| served(&mut turns)).collect();
    assert_eq!(order, "abcd");
}

#[test]
fn a_storm_of_new_tokens_lets_refreshes_through() {
    let mut turns = Turns::default();
    for _ in 0..1000 {
        turns.enter(lane("web"), Urgency::First, 'n');
    }
    for _ in 0..3 {
        turns.enter(lane("web"), refresh(10), 'r');
    }
    let mut order = String::new();
    for _ in 0..12 {
        order.extend(served(&mut turns));
        turns.release("web");
    }
    assert_eq!(order, "nnnrnnnrnnnr");
}

#[test]
fn no_more_than_the_places_are_taken_and_a_namespace_takes_its_share() {
    let mut turns = Turns::default();
    for n in 0..20 {
        turns.enter(lane("hog"), Urgency::First, ("hog", n));
    }
    turns.enter(lane("web"), Urgency::First, ("web", 0));
    let first: Vec<_> = std::iter::from_fn(|| served(&mut turns)).collect();
    assert_eq!(first.len(), 8);
    assert_eq!(first[1], ("web", 0), "half of the places are the other's, and the rest is lent");
    assert_eq!(turns.next(|_, _| Turn::Go), Next::Nothing(None));
    turns.release("hog");
    assert_eq!(served(&mut turns), Some(("hog", 7)));
}

#[test]
fn who_comes_last_does_not_wait_for_all_of_more_namespaces_than_there_are_places() {
    let mut turns = Turns::default();
    for n in 0..30 * 100 {
        turns.enter(lane(&format!("hog-{}", n % 30)), Urgency::First, ("hog", n));
    }
    let mut running: VecDeque<String> = VecDeque::new();
    let mut serve = |turns: &mut Turns<_>| {
        if running.len() == 8 {
            turns.release(&running.pop_front().unwrap());
        }
        let Next::Serve(lane, who) = turns.next(|_, _| Turn::Go) else { panic!() };
        running.push_back(lane.namespace);
        who
    };
    for _ in 0..100 {
        serve(&mut turns);
    }
    turns.enter(lane("web"), Urgency::First, ("web", 0));
    assert_eq!(serve(&mut turns), ("web", 0));
    // A second one waits until each of the others had a turn.
    turns.enter(lane("web"), Urgency::First, ("web", 1));
    let before = std::iter::from_fn(|| Some(serve(&mut turns))).take_while(|who| who.0 == "hog");
    assert_eq!(before.count(), 30);
}

#[test]
fn who_has_to_wait_holds_up_nobody_else() {
    let mut turns = Turns::default();
    turns.enter(lane("slow"), Urgency::First, 1);
    turns.enter(lane("web"), refresh(10), 2);
    let judge = |lane: &Lane, _: &i32| match lane.namespace.as_str() {
        "slow" => Turn::Later(at(5)),
        _ => Turn::Go,
    };
    assert_eq!(turns.next(judge), Next::Serve(lane("web"), 2));
    assert_eq!(turns.next(judge), Next::Nothing(Some(at(5))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    // Each that comes is served before so many others, whoever keeps coming.
    #[test]
    fn nobody_starves(
        arrivals in prop::collection::vec((0..3_u8, any::<bool>(), 0..1000_i64), 300..400),
        victim in (0..3_u8, any::<bool>()),
    ) {
        let mut turns = Turns::default();
        let urgency = |first, seconds| if first { Urgency::First } else { refresh(seconds) };
        let name = |n: u8| n.to_string();
        turns.enter(lane(&name(victim.0)), urgency(victim.1, 0), (victim.0, true));
        let mut running = VecDeque::new();
        for (served_before, (namespace, first, seconds)) in arrivals.into_iter().enumerate() {
            turns.enter(lane(&name(namespace)), urgency(first, seconds), (namespace, false));
            if running.len() == 8 {
                turns.release(&name(running.pop_front().unwrap()));
            }
            let (namespace, is_victim) = served(&mut turns).unwrap();
            running.push_back(namespace);
            if is_victim {
                return Ok(());
            }
            prop_assert!(served_before < 100, "not served after {served_before} others");
        }
    }
}
