use super::testing::{Scene, Told, at, error};
use super::*;
use crate::error::Reason;

fn held_back(second: i64, reason: Reason) -> HeldBack {
    HeldBack { until: at(second), error: error(reason) }
}

#[test]
fn what_is_due_and_held_back_waits_and_says_why() {
    let scene = Scene::holding(1000).held_back(held_back(850, Reason::BudgetExhausted));
    assert_eq!(scene.conditions(799), "TokenValid Refreshed !Progressing", "nothing was due");
    assert_eq!(scene.told(800), Told::Wait(Some(850)));
    assert_eq!(scene.conditions(800), "TokenValid !BudgetExhausted !Progressing");
    assert_eq!(scene.told(850), Told::Fetch);
    let Plan::Wait { next_attempt_at, .. } = scene.decide(800) else { panic!() };
    assert_eq!(next_attempt_at, Some(at(850)));
    // The end of the token is told when it comes.
    let scene = scene.held_back(held_back(2000, Reason::ShareExhausted));
    assert_eq!(scene.told(800), Told::Wait(Some(1000)));
    assert_eq!(scene.conditions(1001), "!TokenExpired !ShareExhausted !Progressing");
}

#[test]
fn neither_a_person_nor_a_lost_target_overrides_what_holds_back() {
    let held = held_back(500, Reason::ProviderThrottled);
    let asked = Scene::holding(1000).requested("1").held_back(held.clone());
    assert_eq!(asked.told(100), Told::Wait(Some(500)));
    let lost = Scene::holding(1000).target(None).held_back(held);
    assert_eq!(lost.told(100), Told::Wait(Some(500)));
}

#[test]
fn while_a_circuit_is_open_the_last_failure_is_told_once() {
    let scene = Scene::holding(1000).failed(800, error(Reason::ProviderError));
    let scene = scene.held_back(held_back(900, Reason::CircuitOpen));
    let Plan::Wait { verdicts, .. } = scene.decide(899) else { panic!() };
    assert_eq!(verdicts.fresh.reason, "ProviderError");
    assert_eq!(verdicts.fresh.message, "ProviderError happened; CircuitOpen happened");
    let Plan::Wait { until, next_attempt_at, .. } = scene.decide(850) else { panic!() };
    assert_eq!((until, next_attempt_at), (Some(at(860)), Some(at(900))), "it may be back sooner");
    // So the next process finds it in the status.
    let failure = error(Reason::ProviderError).with_remark("CircuitOpen happened");
    let scene = scene.facts(|facts| facts.failure = Some(failure));
    let Plan::Wait { verdicts, .. } = scene.decide(899) else { panic!() };
    assert_eq!(verdicts.fresh.message, "ProviderError happened; CircuitOpen happened");
}

#[test]
fn of_a_token_that_waits_for_its_turn_the_same_is_told_however_long_it_waits() {
    let scene = Scene::new();
    let told = |second: i64| {
        let scene = scene.clone().held_back(held_back(second + 1, Reason::ProviderBusy));
        let Plan::Wait { until, next_attempt_at, verdicts } = scene.decide(second) else {
            panic!()
        };
        assert_eq!(until, Some(at(second + 1)), "it tries again to get one");
        (next_attempt_at, verdicts)
    };
    assert_eq!(told(120), told(241));
    assert_eq!(told(120).0, None, "nobody knows when");
}
