//! Targets whose shape is declared, and may change.

use rstest::rstest;

use super::testing::Told::{Fetch, Wait};
use super::testing::{Scene, Told, error};
use super::{Attempt, Outcome};
use crate::api::annotations::{OUTPUTS, SHAPE};
use crate::api::{OnExpiry, keys};
use crate::error::Reason;

fn again() -> Told {
    Told::WriteAgain("shop".into())
}

/// A token that was written in the shape `one`, with everything that belongs to it.
fn shaped() -> Scene {
    Scene::holding(3600).shaped("one").damaged(|target| {
        target.annotations.insert(SHAPE.into(), "one".into());
        target.owned_keys.insert("header".into());
        target.owned_labels = Some(["team".to_owned()].into());
        target.owned_annotations.insert("note".into());
    })
}

#[rstest]
#[case::as_declared(shaped(), Wait(Some(2880)))]
#[case::declared_otherwise(shaped().shaped("two"), again())]
#[case::declared_no_more(shaped().shaped(""), again())]
#[case::a_key_is_gone(shaped().damaged(|t| { t.owned_keys.remove("header"); }), again())]
#[case::a_label_is_changed(shaped().damaged(|t| t.owned_labels = Some([].into())), again())]
#[case::a_folder_has_no_labels(shaped().damaged(|t| t.owned_labels = None), Wait(Some(2880)))]
#[case::an_annotation_is_changed(shaped().damaged(|t| t.owned_annotations.clear()), again())]
#[case::an_output_is_not_told(shaped().damaged(|t| drop(t.annotations.insert(OUTPUTS.into(), "x".into()))), again())]
// The token itself is what a fetch is for.
#[case::the_token_is_gone(shaped().damaged(|t| { t.owned_keys.remove(keys::ACCESS_TOKEN); }), Fetch)]
fn a_shape_that_is_not_as_declared_is_mended_without_a_request(
    #[case] scene: Scene,
    #[case] expected: Told,
) {
    assert_eq!(scene.told(100), expected);
}

#[test]
fn a_shape_that_cannot_be_said_is_refused_before_anything_is_asked() {
    for mut scene in [Scene::new(), shaped()] {
        scene.0.shape = Err(error(Reason::InvalidSpec));
        assert_eq!(scene.told(3000), Wait(scene.0.facts.held.as_ref().map(|_| 3600)));
        assert!(scene.conditions(3000).ends_with("!InvalidSpec InvalidSpec"));
    }
    let mut scene = shaped();
    scene.0.shape = Err(error(Reason::InvalidSpec));
    assert!(scene.conditions(100).starts_with("TokenValid"), "{}", scene.conditions(100));
}

fn of_shape(shape: &'static str, without_target: bool) -> impl FnOnce(Attempt) -> Outcome {
    move |attempt| Outcome::Failed {
        error: error(Reason::TargetNotRendered),
        attempt: Attempt { shape: shape.into(), without_target, ..attempt },
    }
}

#[test]
fn what_the_token_does_not_hold_costs_one_fetch() {
    let scene = shaped().shaped("two");
    assert_eq!(scene.told(100), again());
    let scene = scene.learn(100, |_| Outcome::NotRendered { shape: "two".into() });
    assert_eq!(scene.told(100), Fetch);
    assert!(
        scene
            .clone()
            .means(Err(error(Reason::ProviderNotFound)))
            .conditions(100)
            .starts_with("TokenValid")
    );
    // It did not help: what there is stays, and the next one waits.
    let scene = scene.learn(100, of_shape("two", false));
    assert_eq!(scene.told(101), Wait(Some(160)));
    assert!(scene.conditions(101).contains("!TargetNotRendered TargetNotRendered"));
    assert_eq!(scene.told(160), Fetch);
    // Declared otherwise it is tried at once, first with the token that is there.
    let mended = scene.clone().shaped("three");
    assert_eq!(mended.told(103), again());
    let held = mended.0.facts.held.clone().unwrap();
    let mended = mended.learn(103, |_| Outcome::WrittenAgain { held }).damaged(|target| {
        target.annotations.insert(SHAPE.into(), "three".into());
    });
    assert_eq!(mended.told(104), Wait(Some(2880)));
    assert!(mended.conditions(104).contains("Refreshed"), "{}", mended.conditions(104));
}

#[test]
fn a_first_token_that_fits_no_shape_is_tried_again_once_that_is_mended() {
    let scene = Scene::new().shaped("one").learn(0, of_shape("one", true));
    assert_eq!(scene.told(1), Wait(Some(60)));
    assert_eq!(scene.shaped("two").told(3), Fetch);
    // After a restart the backoff is what is remembered.
    let scene = Scene::new().shaped("one").learn(0, of_shape("one", true));
    let scene = scene.facts(|facts| facts.attempted_shape = None);
    assert_eq!(scene.shaped("two").told(3), Wait(Some(60)));
}

/// A Secret of a type that cannot be without a key keeps that key, and no token in it.
#[test]
fn an_expired_token_leaves_its_shape_once() {
    let mut scene = shaped().token(|token| token.spec.on_expiry = OnExpiry::Remove);
    if let Ok(shape) = &mut scene.0.shape {
        shape.kept_keys.insert("header".into());
    }
    let scene = scene.means(Err(error(Reason::ProviderNotFound)));
    assert_eq!(scene.told(3600), Told::Withdraw);
    let withdrawn = scene.damaged(|target| target.owned_keys = ["header".to_owned()].into());
    assert_eq!(withdrawn.told(3600), Wait(None));
}
