//! Policies of targets: merged into, retained, left.

use rstest::rstest;
use serde_json::json;

use super::super::testing::Told::{Fetch, Inspect, Wait};
use super::super::testing::{Scene, Told, at, error, held, merged, written};
use super::super::{FinalizerChange, Outcome, TargetMeta};
use crate::api::CreationPolicy::{Merge, Owner};
use crate::api::DeletionPolicy::{Delete, Retain};
use crate::api::annotations::ALLOW;
use crate::api::keys;
use crate::error::{Class, Error, Reason};

fn again() -> Told {
    Told::WriteAgain("shop".into())
}

fn leave(name: &str) -> Told {
    Told::Leave(name.into())
}

fn left(name: &str) -> Outcome {
    Outcome::Left { secret_name: name.into(), error: None }
}

fn lost_key(scene: Scene) -> Scene {
    scene.damaged(|target| {
        target.owned_keys.remove(keys::ACCESS_TOKEN);
    })
}

/// Another field manager has a key of the target.
fn taken(scene: Scene, key: &str) -> Scene {
    scene.damaged(|target| {
        target.owned_keys.remove(key);
        target.managers.entry("helm".into()).or_default().insert(key.to_owned());
    })
}

#[rstest]
#[case::good(Scene::merged(3600), Wait(Some(2880)))]
#[case::not_there(Scene::merged(3600).target(None), Wait(None))]
#[case::key_gone(lost_key(Scene::merged(3600)), Inspect)]
#[case::key_taken(taken(Scene::merged(3600), keys::ACCESS_TOKEN), Wait(None))]
// What is nobody's business of ours stays so.
#[case::another_key(taken(Scene::merged(3600), "password"), Wait(Some(2880)))]
#[case::expiry_edited(Scene::merged(3600).damaged(|t| { t.annotations.remove(crate::api::annotations::EXPIRES_AT); }), again())]
#[case::label_of_the_host(Scene::merged(3600).damaged(|t| t.labelled = true), Wait(Some(2880)))]
#[case::consent_withdrawn(Scene::merged(3600).damaged(|t| { t.annotations.remove(ALLOW); }), Wait(None))]
#[case::refresh(Scene::merged(100), Fetch)]
fn merged_into_a_secret_of_somebody_else(#[case] scene: Scene, #[case] expected: Told) {
    assert_eq!(scene.told(100), expected);
}

#[rstest]
#[case::to_retain(Scene::holding(3600).policies(Owner, Retain))]
#[case::to_owner(Scene::merged(3600).policies(Owner, Delete))]
#[case::given_away(Scene::holding(3600).policies(Merge, Retain).damaged(|t| { t.annotations.insert(ALLOW.into(), "shop".into()); }))]
fn another_policy_costs_no_request(#[case] scene: Scene) {
    assert_eq!(scene.told(100), again());
}

#[test]
fn a_retained_target_is_right_without_a_reference_and_gets_it_back() {
    let retained = |t: &mut TargetMeta| t.controller = None;
    let scene = Scene::holding(3600).policies(Owner, Retain).damaged(retained);
    assert_eq!(scene.told(100), Wait(Some(2880)));
    assert_eq!(scene.policies(Owner, Delete).told(100), again());
}

#[test]
fn what_is_ours_is_not_given_away_without_a_word() {
    let scene = Scene::holding(3600).policies(Merge, Retain);
    assert_eq!(scene.told(100), Wait(Some(3600)));
    // The token is there and good all the same.
    assert_eq!(scene.conditions(100), "TokenValid !SecretNotOwned SecretNotOwned");
}

#[test]
fn a_conflict_is_told_with_its_keys_and_whose_they_are() {
    let scene = taken(taken(Scene::merged(3600), keys::ACCESS_TOKEN), keys::EXPIRES_AT);
    assert_eq!(scene.conditions(100), "!TargetKeyConflict !TargetKeyConflict TargetKeyConflict");
    let super::super::Plan::Wait { verdicts, .. } = scene.decide(100) else { panic!() };
    for word in ["\"shop\"", "access_token (of field manager \"helm\")"] {
        assert!(verdicts.fresh.message.contains(word), "{}", verdicts.fresh.message);
    }
}

#[test]
fn what_a_person_has_to_mend_comes_before_what_is_waited_for() {
    let scene = Scene::merged(3600).target(None);
    assert_eq!(scene.conditions(100), "!TargetNotFound !TargetNotFound !Progressing");
    let scene = scene.means(Err(error(Reason::InvalidSpec)));
    assert_eq!(scene.conditions(100), "!InvalidSpec !InvalidSpec InvalidSpec");
}

/// Renamed to `b`, and written there at second 100.
fn moved(scene: Scene) -> Scene {
    let b = super::super::HeldToken { secret_name: "b".into(), ..held(3600) };
    let target = match scene.0.token.spec.target.creation_policy {
        Owner => written(&b, &scene.0.owner()),
        Merge => merged(&b, &scene.0.owner()),
    };
    let scene = scene.renamed("b").learn(100, |_| Outcome::WrittenAgain { held: b });
    scene.target(Some(target))
}

#[rstest]
#[case::owned(Scene::holding(3600))]
#[case::merged(Scene::merged(3600))]
fn a_renamed_target_is_left_once_the_new_one_is_good(#[case] scene: Scene) {
    let scene = moved(scene);
    assert_eq!(scene.told(100), leave("shop"));
    let damaged = lost_key(scene.clone());
    assert_ne!(damaged.told(101), leave("shop"), "nothing goes before its successor is there");
    assert_eq!(scene.learn(100, |_| left("shop")).told(100), Wait(Some(2880)));
}

#[test]
fn one_that_cannot_be_left_is_tried_again_and_told_and_holds_nothing_up() {
    let mut scene = moved(Scene::holding(3600));
    let mut tries = Vec::new();
    for second in 100..1000 {
        if scene.told(second) == leave("shop") {
            tries.push(second);
            let error = Some(Error::new(Reason::WriteFailed, "not today"));
            let outcome = Outcome::Left { secret_name: "shop".into(), error };
            scene = scene.learn(second, |_| outcome);
        }
    }
    assert!((5..15).contains(&tries.len()), "{tries:?}");
    let super::super::Plan::Wait { verdicts, .. } = scene.decide(1000) else { panic!() };
    let expected = "the last refresh succeeded; a former target: not today";
    assert_eq!(verdicts.fresh.message, expected);
    assert_eq!(scene.clone().told(2990), leave("shop"));
    let failed =
        Outcome::Left { secret_name: "shop".into(), error: Some(error(Reason::WriteFailed)) };
    assert_eq!(scene.learn(2990, |_| failed).told(2990), Fetch);
}

#[test]
fn whoever_goes_back_to_a_former_target_keeps_it() {
    let scene = moved(Scene::holding(3600));
    let shop = written(&held(3600), &scene.0.owner());
    let scene = scene.renamed("shop").target(Some(shop));
    assert_eq!(scene.told(110), Told::WriteAgain("b".into()));
    let scene = scene.learn(110, |_| Outcome::WrittenAgain { held: held(3600) });
    assert_eq!(scene.told(110), leave("b"));
}

fn deleted(scene: Scene) -> Scene {
    let scene = scene.token(|token| {
        token.metadata.deletion_timestamp = serde_json::from_value(json!(at(200))).unwrap();
        token.metadata.finalizers = Some(vec!["tokenward.dev/revoke".into()]);
    });
    scene.learn(200, |_| Outcome::Parted)
}

fn gone(scene: Scene) -> Scene {
    scene.damaged(|target| {
        target.owned_keys.clear();
        target.guest = None;
    })
}

#[rstest]
#[case::merged(Scene::merged(3600), &["shop"])]
#[case::merged_and_suspended(Scene::merged(3600).suspended(), &["shop"])]
#[case::consent_withdrawn(Scene::merged(3600).damaged(|t| { t.annotations.remove(ALLOW); }), &["shop"])]
#[case::merged_and_retained(Scene::merged(3600).policies(Merge, Retain), &[])]
// Its ownerReference sees to that, or an orphaning deletion wants it to stay.
#[case::owned(Scene::holding(3600), &[])]
#[case::renamed(moved(Scene::merged(3600)), &["b", "shop"])]
#[case::renamed_and_not_moved(Scene::merged(3600).renamed("b"), &["shop"])]
fn a_deleted_resource_takes_its_keys_along(#[case] scene: Scene, #[case] names: &[&str]) {
    let mut scene = deleted(scene);
    for name in names {
        assert_eq!(scene.told(200), leave(name));
        scene = scene.learn(200, |_| left(name));
        if scene.0.secret_name() == *name {
            scene = gone(scene);
        }
    }
    assert_eq!(scene.told(200), Told::Finalizer(FinalizerChange::Remove));
}

#[test]
fn keys_that_can_never_be_taken_back_hold_nothing_up_and_others_do() {
    let refused = |class| {
        let error = Some(error(Reason::WriteFailed).with_class(class));
        let outcome = Outcome::Left { secret_name: "shop".into(), error };
        deleted(Scene::merged(3600)).learn(200, |_| outcome)
    };
    let scene = refused(Class::Permanent);
    assert_eq!(scene.told(201), Told::Finalizer(FinalizerChange::Remove));
    let scene = refused(Class::Transient);
    assert!(matches!(scene.told(201), Wait(Some(_))), "{:?}", scene.told(201));
    assert_eq!(scene.told(300), leave("shop"));
}

#[rstest]
#[case::merging(Scene::holding(3600).policies(Merge, Delete), false, Some(FinalizerChange::Set))]
#[case::merging_for_good(Scene::holding(3600).policies(Merge, Retain), false, None)]
#[case::there(Scene::merged(3600), true, None)]
#[case::retained_now(Scene::merged(3600).policies(Merge, Retain), true, Some(FinalizerChange::Remove))]
// Its keys are still a guest's.
#[case::ours_soon(Scene::merged(3600).policies(Owner, Delete), true, None)]
#[case::ours_now(Scene::holding(3600), true, Some(FinalizerChange::Remove))]
#[case::still_in_the_former_one(Scene::merged(3600).policies(Owner, Delete).renamed("b"), true, None)]
fn the_finalizer_stays_as_long_as_keys_would_be_left_behind(
    #[case] scene: Scene,
    #[case] is_held: bool,
    #[case] expected: Option<FinalizerChange>,
) {
    let finalizers: Vec<String> =
        is_held.then(|| "tokenward.dev/revoke".into()).into_iter().collect();
    let scene = scene.token(|token| token.metadata.finalizers = Some(finalizers));
    let told = match scene.told(100) {
        Told::Finalizer(change) => Some(change),
        _ => None,
    };
    assert_eq!(told, expected);
}

#[test]
fn a_target_that_is_undone_three_times_is_told_of_until_it_is_quiet() {
    let held = held(100_000);
    let mut scene = Scene::holding(100_000);
    for second in [100, 103, 106] {
        assert_eq!(scene.conditions(second), "TokenValid Refreshed !Progressing");
        scene = scene.learn(second, |_| Outcome::WrittenAgain { held: held.clone() });
    }
    let scene = scene.facts(|facts| {
        facts.repairs.as_mut().unwrap().undone_by = Some("argocd-controller".into());
    });
    assert_eq!(scene.conditions(106), "TokenValid !TargetContested !Progressing");
    let super::super::Plan::Wait { until, verdicts, .. } = scene.decide(106) else { panic!() };
    assert!(verdicts.fresh.message.contains("\"argocd-controller\""), "{verdicts:?}");
    assert_eq!(until, Some(at(106 + 15 * 60)));
    assert_eq!(scene.conditions(106 + 15 * 60), "TokenValid Refreshed !Progressing");
}
