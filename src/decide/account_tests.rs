use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn quota(seconds: i64, requests: u32) -> Quota {
    Quota { window: TimeDelta::seconds(seconds), requests }
}

fn caller(token: &str, namespace: &str, quotas: &[Quota]) -> Caller {
    Caller {
        token: token.into(),
        namespace: namespace.into(),
        urgency: Urgency::First,
        quotas: quotas.to_vec(),
    }
}

/// Begun seconds.
fn seconds(time: DateTime<Utc>) -> i64 {
    ((time - at(0)).num_milliseconds() + 999) / 1000
}

/// What a caller is told: nothing where it has asked.
fn ask(account: &mut Account, caller: &Caller, second: i64) -> Option<(Reason, i64)> {
    let now = at(second);
    match account.judge(caller, now) {
        Turn::Go => {}
        Turn::Later(until) => return Some((Reason::ProviderThrottled, seconds(until))),
        Turn::HeldBack(held) => return Some((held.error.reason(), seconds(held.until))),
    }
    account.begin(caller, now);
    if !account.spend(caller, now, now) {
        match account.reserve(caller, 1, now) {
            Ok(batch) => account.grant(caller, batch),
            Err(held) => return Some((held.error.reason(), seconds(held.until))),
        }
        assert!(account.spend(caller, now, now), "what was just reserved may be spent");
    }
    None
}

fn answer(account: &mut Account, caller: &Caller, health: Health, second: i64) {
    account.learn(caller, (false, health), at(second));
}

#[test]
fn a_budget_is_kept_over_a_restart() {
    let caller = caller("a", "web", &[quota(3600, 3)]);
    let mut account = Account::new(at(0));
    assert_eq!([0, 1, 2].map(|second| ask(&mut account, &caller, second)), [None; 3]);
    let refused = ask(&mut account, &caller, 3).unwrap();
    assert_eq!(refused.0, Reason::BudgetExhausted);
    assert!((3600..=4500).contains(&refused.1), "{}", refused.1);
    let memory = account.memory();
    let mut account = Account::new(at(4));
    account.recall(&memory, at(4));
    assert_eq!(ask(&mut account, &caller, 5), Some(refused));
    assert_eq!(ask(&mut account, &caller, refused.1), None);
}

#[test]
fn what_was_reserved_and_not_spent_is_lost_and_never_spent_twice() {
    let caller = caller("a", "web", &[quota(3600, 100)]);
    let mut account = Account::new(at(0));
    assert_eq!(account.judge(&caller, at(0)), Turn::Go);
    let batch = account.reserve(&caller, 1000, at(0)).unwrap();
    assert!(!account.spend(&caller, at(0), at(0)), "it is not written down yet");
    account.grant(&caller, batch);
    assert!(account.spend(&caller, at(0), at(0)));
    let mut successor = Account::new(at(1));
    successor.recall(&account.memory(), at(1));
    let asked = (1..1000).take_while(|_| ask(&mut successor, &caller, 1).is_none()).count();
    assert_eq!(asked, 95, "a batch of five was reserved");
    // Nor is it good for ever.
    assert!(!account.spend(&caller, at(0), at(3600)));
}

#[test]
fn what_could_not_be_written_down_does_not_count() {
    let caller = caller("a", "web", &[quota(3600, 1)]);
    let mut account = Account::new(at(0));
    let before = account.memory();
    assert_eq!(account.judge(&caller, at(0)), Turn::Go);
    account.reserve(&caller, 1, at(0)).unwrap();
    account.recall(&before, at(0));
    assert_eq!(ask(&mut account, &caller, 1), None);
    assert_eq!(ask(&mut account, &caller, 2).unwrap().0, Reason::BudgetExhausted);
}

#[test]
fn a_short_window_begins_full_for_nothing_is_known_of_before() {
    let caller = caller("a", "web", &[quota(2, 5)]);
    let mut account = Account::new(at(0));
    let (_, until) = ask(&mut account, &caller, 0).unwrap();
    assert!((2..=3).contains(&until), "{until}");
    assert_eq!(ask(&mut account, &caller, 3), None);
    // By default nobody waits.
    let caller = Caller { quotas: vec![DEFAULT_QUOTA], ..caller };
    let mut account = Account::new(at(0));
    assert_eq!(ask(&mut account, &caller, 0), None);
}

#[test]
fn silence_holds_for_all_tokens_and_over_a_restart() {
    let mut account = Account::new(at(0));
    assert!(account.silence_until(at(60)));
    assert!(!account.silence_until(at(30)), "a shorter one changes nothing");
    let mut successor = Account::new(at(1));
    successor.recall(&account.memory(), at(1));
    for account in [&mut account, &mut successor] {
        for token in ["a", "b"] {
            let caller = caller(token, "web", &[]);
            assert_eq!(ask(account, &caller, 59), Some((Reason::ProviderThrottled, 60)));
            assert_eq!(account.holds_back(token, at(59)).unwrap().until, at(60));
        }
        assert_eq!(ask(account, &caller("b", "web", &[]), 60), None);
    }
}

#[test]
fn a_silence_that_a_wrong_clock_wrote_down_is_not_kept() {
    let mut account = Account::new(at(0));
    account.silence_until(at(30 * 24 * 3600));
    assert_eq!(ask(&mut account, &caller("a", "web", &[]), 1), None);
}

#[test]
fn what_was_counted_and_not_asked_may_be_asked() {
    let caller = caller("a", "web", &[quota(3600, 1)]);
    let mut account = Account::new(at(0));
    assert_eq!(account.judge(&caller, at(0)), Turn::Go);
    let batch = account.reserve(&caller, 1, at(0)).unwrap();
    account.grant(&caller, batch);
    assert!(account.spend(&caller, at(0), at(0)));
    assert!(!account.spend(&caller, at(0), at(0)));
    account.give_back(&caller);
    assert!(account.spend(&caller, at(0), at(0)));
}

#[test]
fn one_probe_at_a_time_and_the_most_urgent_first() {
    let mut account = Account::new(at(0));
    let first = caller("first", "web", &[]);
    let soon = Caller { token: "soon".into(), urgency: Urgency::Refresh(at(400)), ..first.clone() };
    let late =
        Caller { token: "late".into(), urgency: Urgency::Refresh(at(4000)), ..first.clone() };
    for _ in 0..5 {
        assert_eq!(ask(&mut account, &late, 0), None);
        answer(&mut account, &late, Health::Down, 0);
    }
    let told = [&first, &soon, &late].map(|caller| ask(&mut account, caller, 1).unwrap());
    assert_eq!(told, [15, 30, 45].map(|until| (Reason::CircuitOpen, until)));
    assert_eq!(account.judge(&first, at(15)), Turn::Go);
    assert!(account.begin(&first, at(15)), "it is a probe");
    assert!(matches!(account.judge(&soon, at(16)), Turn::HeldBack(_)));
    assert!(matches!(account.judge(&late, at(16)), Turn::HeldBack(_)));
    account.learn(&first, (true, Health::Up), at(17));
    assert_eq!(account.holds_back("soon", at(17)), None, "all may go at once");
    assert_eq!(ask(&mut account, &late, 17), None);
}

#[test]
fn a_tenant_that_asks_much_leaves_the_others_their_share() {
    let quotas = [quota(3600, 100)];
    let (hog, web) = (caller("h", "hog", &quotas), caller("w", "web", &quotas));
    let mut account = Account::new(at(0));
    account.note_user("hog", at(0));
    account.note_user("web", at(0));
    let mut asked = (0..1000).take_while(|_| ask(&mut account, &hog, 0).is_none()).count();
    assert_eq!(asked, 50);
    assert_eq!(ask(&mut account, &hog, 0).unwrap().0, Reason::ShareExhausted);
    asked += (0..1000).take_while(|_| ask(&mut account, &web, 0).is_none()).count();
    assert_eq!(asked, 100);
    assert_eq!(ask(&mut account, &web, 0).unwrap().0, Reason::BudgetExhausted);
    // Who is alone has it all.
    let mut account = Account::new(at(0));
    account.note_user("hog", at(0));
    let asked = (0..1000).take_while(|_| ask(&mut account, &hog, 0).is_none()).count();
    assert_eq!(asked, 100);
}

#[test]
fn what_is_over_leaves_nothing_behind() {
    let mut account = Account::new(at(0));
    let caller = caller("a", "web", &[DEFAULT_QUOTA, quota(600, 1)]);
    assert_eq!(ask(&mut account, &caller, 0), None);
    assert!(ask(&mut account, &caller, 1).is_some());
    account.silence_until(at(100));
    assert!(account.tidy(at(1)));
    assert!(!account.tidy(at(2000)));
}

/// Something that happens to an account.
#[derive(Clone, Debug)]
enum Event {
    Ask { token: u8, namespace: u8 },
    Answer(Health),
    Restart,
}

fn events() -> impl Strategy<Value = Event> {
    let health = prop::sample::select(vec![Health::Up, Health::Down, Health::Unknown]);
    prop_oneof![
        8 => (0..5_u8, 0..3_u8).prop_map(|(token, namespace)| Event::Ask { token, namespace }),
        4 => health.prop_map(Event::Answer),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_happens_no_window_holds_more_than_its_limit(
        story in prop::collection::vec((0..120_i64, events()), 1..200),
        (short, long) in (1..4_u32, 1..12_u32),
    ) {
        let quotas = [quota(60, short), quota(600, long)];
        let mut account = Account::new(at(0));
        let (mut now, mut asked, mut last) = (0, Vec::new(), None);
        for (pause, event) in story {
            now += pause;
            match event {
                Event::Ask { token, namespace } => {
                    let caller = caller(&token.to_string(), &namespace.to_string(), &quotas);
                    match ask(&mut account, &caller, now) {
                        None => {
                            asked.push(now);
                            last = Some(caller);
                        }
                        Some((_, until)) => prop_assert!(until > now, "held back until the past"),
                    }
                }
                Event::Answer(health) => {
                    if let Some(caller) = last.take() {
                        answer(&mut account, &caller, health, now);
                    }
                }
                Event::Restart => {
                    let memory = account.memory();
                    account = Account::new(at(now));
                    account.recall(&memory, at(now));
                }
            }
        }
        for (index, first) in asked.iter().enumerate() {
            for quota in &quotas {
                let end = first + quota.window.num_seconds();
                let within = asked[index..].iter().filter(|at| **at < end).count();
                prop_assert!(within <= quota.requests as usize, "{within} in {quota}");
            }
        }
    }
}
