use rstest::rstest;
use serde_json::json;

use super::super::testing::{Scene, Told, at};
use super::super::{Outcome, Plan};
use super::FinalizerChange::{Remove, Set};
use super::*;
use crate::error::{Class, Reason};

fn holding(revoke: &[RevokeOn], finalizers: &[&str]) -> Scene {
    let finalizers: Vec<String> = finalizers.iter().map(|f| (*f).to_owned()).collect();
    Scene::holding(100_000).token(|token| {
        token.spec.revoke = revoke.to_vec();
        token.metadata.finalizers = Some(finalizers);
    })
}

fn deleted(scene: Scene) -> Scene {
    scene.token(|token| {
        token.metadata.deletion_timestamp = serde_json::from_value(json!(at(50))).unwrap();
        token.metadata.generation = Some(2);
    })
}

fn learned(scene: Scene, second: i64, (change, generation): (FinalizerChange, i64)) -> Scene {
    let generation = Some(generation);
    scene.learn(second, |_| Outcome::Finalizer { change, generation, error: None })
}

fn denied(scene: Scene, second: i64, (change, generation): (FinalizerChange, i64)) -> Scene {
    let error = Error::new(Reason::FinalizerDenied, "no finalizer: RBAC");
    let generation = Some(generation);
    scene.learn(second, |_| Outcome::Finalizer { change, generation, error: Some(error) })
}

const OTHERS: &str = "example.com/audit";

#[rstest]
#[case::nobody_asks(&[], &[], None)]
#[case::rotation_needs_none(&[RevokeOn::Rotation], &[OTHERS], None)]
#[case::asked_for(&[RevokeOn::Deletion], &[OTHERS], Some(Set))]
#[case::there(&[RevokeOn::Rotation, RevokeOn::Deletion], &[OTHERS, REVOKE_FINALIZER], None)]
#[case::not_any_more(&[RevokeOn::Rotation], &[OTHERS, REVOKE_FINALIZER], Some(Remove))]
fn it_is_there_only_while_the_spec_asks_for_it(
    #[case] revoke: &[RevokeOn],
    #[case] finalizers: &[&str],
    #[case] expected: Option<FinalizerChange>,
) {
    let scene = holding(revoke, finalizers);
    assert_eq!(finalizer_change(&scene.0.token), expected);
    let expected = expected.map_or(Told::Wait(Some(80_000)), Told::Finalizer);
    assert_eq!(scene.told(10), expected);
    let suspended = scene.clone().suspended().told(10);
    assert!(suspended == expected || matches!(suspended, Told::Wait(_)), "{suspended:?}");
    // Where nothing is held there is nothing to do.
    let mut local = scene;
    local.0.holds = false;
    assert_eq!(local.told(10), Told::Wait(Some(80_000)));
}

#[test]
fn a_deleted_resource_is_parted_from_once_and_let_go_whatever_else_is_the_matter() {
    let scene = deleted(holding(&[RevokeOn::Deletion], &[REVOKE_FINALIZER]));
    let foreign = scene.clone().target(Some(super::super::testing::foreign()));
    for scene in [scene.clone(), scene.suspended(), foreign] {
        assert_eq!(scene.told(60), Told::Part);
        let scene = scene.learn(60, |_| Outcome::Parted);
        assert_eq!(scene.told(60), Told::Finalizer(Remove));
        let scene = learned(scene, 60, (Remove, 2));
        assert!(matches!(scene.told(61), Told::Wait(_)), "{:?}", scene.told(61));
    }
    // Somebody else's finalizer holds it: it is not kept fresh any more.
    let others = deleted(holding(&[RevokeOn::Deletion], &[OTHERS]));
    assert!(matches!(others.told(90_000), Told::Wait(_)));
}

#[test]
fn where_it_may_not_be_set_the_token_is_kept_fresh_and_it_is_tried_ever_more_rarely() {
    let mut scene = holding(&[RevokeOn::Deletion], &[]);
    let mut tries = Vec::new();
    let mut now = 0;
    while now < 20_000 {
        match scene.decide(now) {
            Plan::Finalizer(change) => {
                tries.push(now);
                scene = denied(scene, now, (change, 1));
            }
            Plan::Wait { until: Some(until), .. } => now = (until - at(0)).num_seconds(),
            plan => panic!("{plan:?}"),
        }
    }
    assert_eq!(tries, [0, 60, 180, 420, 900, 1860, 3780, 7380, 10_980, 14_580, 18_180]);
    assert_eq!(scene.told(90_000), Told::Finalizer(Set));
    let scene = denied(scene, 90_000, (Set, 1));
    assert_eq!(scene.told(90_000), Told::Fetch);
    // A changed spec is a new occasion.
    let changed = scene.token(|token| token.metadata.generation = Some(2));
    assert_eq!(changed.told(90_001), Told::Finalizer(Set));
}

#[test]
fn a_denial_is_told_beside_the_good_news_and_not_twice_over_a_restart() {
    let scene = denied(holding(&[RevokeOn::Deletion], &[]), 0, (Set, 1));
    let scene = scene.facts(|facts| facts.remark = Some("a newline".into()));
    let message = |scene: &Scene| {
        let Plan::Wait { verdicts, .. } = scene.decide(10) else { panic!() };
        verdicts.fresh.message
    };
    let told = message(&scene);
    assert_eq!(told, "the last refresh succeeded; a newline; no finalizer: RBAC");
    for (told, remark) in [
        (told.as_str(), Some("a newline")),
        ("the last refresh succeeded; no finalizer: RBAC", None),
        ("the last refresh succeeded", None),
    ] {
        let status = serde_json::from_value(json!({"conditions": [{"type": "Fresh",
            "status": "True", "reason": "Refreshed", "message": told, "lastTransitionTime": at(0)}]}));
        let facts = super::super::Facts::restore(&status.unwrap(), None, "shop");
        assert_eq!(facts.remark.as_deref(), remark, "{told}");
    }
}

#[test]
fn a_deletion_that_is_held_up_says_why_and_goes_on_trying() {
    let scene = deleted(holding(&[RevokeOn::Deletion], &[REVOKE_FINALIZER]));
    let scene = scene.learn(60, |_| Outcome::Parted);
    let scene = denied(scene, 60, (Remove, 2));
    assert_eq!(scene.told(61), Told::Wait(Some(120)));
    assert_eq!(scene.conditions(61), "TokenValid !FinalizerDenied FinalizerDenied");
    assert_eq!(scene.told(120), Told::Finalizer(Remove));
    let error = Error::new(Reason::WriteFailed, "late").with_class(Class::Transient);
    let outcome = Outcome::Finalizer { change: Remove, generation: Some(2), error: Some(error) };
    let scene = scene.learn(120, |_| outcome);
    assert!(matches!(scene.told(121), Told::Wait(Some(122..=180))), "{:?}", scene.told(121));
}

#[test]
fn our_own_change_is_not_made_twice_before_the_watch_tells_of_it() {
    let scene = learned(holding(&[RevokeOn::Deletion], &[]), 0, (Set, 1));
    assert_eq!(scene.told(1), Told::Wait(Some(60)));
    // Whoever takes it away gets it back.
    assert_eq!(scene.told(60), Told::Finalizer(Set));
}
