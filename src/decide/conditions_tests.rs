use rstest::rstest;

use super::super::testing::{Scene, error, foreign};
use super::super::{Attempt, Outcome, Plan};
use crate::error::Reason;

fn refused(scene: Scene) -> Scene {
    scene.failed(98, error(Reason::TokenRequestRejected))
}

fn late(scene: Scene) -> Scene {
    scene.failed(98, error(Reason::ProviderError))
}

#[rstest]
#[case::good(Scene::holding(3600), "TokenValid Refreshed !Progressing")]
#[case::late(late(Scene::holding(3600)), "TokenValid !ProviderError !Progressing")]
#[case::late_without_a_token(late(Scene::new()), "!ProviderError !ProviderError !Progressing")]
#[case::refused(
    refused(Scene::holding(3600)),
    "TokenValid !TokenRequestRejected TokenRequestRejected"
)]
#[case::refused_without_a_token(
    refused(Scene::new()),
    "!TokenRequestRejected !TokenRequestRejected TokenRequestRejected"
)]
#[case::expired_while_late(late(Scene::holding(99)), "!TokenExpired !ProviderError !Progressing")]
#[case::expired(Scene::holding(99).min_interval(600), "!TokenExpired !Pending !Progressing")]
#[case::waiting_for_somebody(Scene::new().means(Err(error(Reason::ProviderNotFound))), "!ProviderNotFound !ProviderNotFound !Progressing")]
#[case::good_but_without_provider(Scene::holding(3600).means(Err(error(Reason::ProviderNotFound))), "TokenValid !ProviderNotFound !Progressing")]
#[case::invalid(Scene::new().means(Err(error(Reason::InvalidProvider))), "!InvalidProvider !InvalidProvider InvalidProvider")]
#[case::not_ours(Scene::new().target(Some(foreign())), "!SecretNotOwned !SecretNotOwned SecretNotOwned")]
#[case::suspended(Scene::holding(3600).suspended(), "TokenValid Suspended !Progressing")]
#[case::suspended_and_overdue(Scene::holding(110).suspended(), "TokenValid !Suspended !Progressing")]
#[case::suspended_and_expired(Scene::holding(99).suspended(), "!TokenExpired !Suspended !Progressing")]
#[case::suspended_and_refused(refused(Scene::holding(3600)).suspended(), "TokenValid Suspended !Progressing")]
fn conditions(#[case] scene: Scene, #[case] expected: &str) {
    assert_eq!(scene.conditions(100), expected);
}

// The Secret is there and says that it is a sibling's, which writes with our field manager too.
#[test]
fn a_siblings_target_does_not_make_ready() {
    let scene = Scene::holding(3600).damaged(|target| {
        let controller = target.controller.as_mut().unwrap();
        (controller.name, controller.uid) = ("sibling".into(), "u-2".into());
    });
    assert_eq!(scene.conditions(100), "!SecretNotOwned !SecretNotOwned SecretNotOwned");
}

#[rstest]
#[case::lost(Scene::holding(3600).target(None))]
#[case::damaged(Scene::holding(3600).damaged(|target| target.owned_keys.clear()))]
fn a_target_that_is_about_to_be_mended_tells_of_no_expiry(#[case] scene: Scene) {
    assert_eq!(scene.conditions(1), "!Pending !Pending !Progressing");
    let Plan::Wait { verdicts, .. } = scene.decide(1) else { panic!() };
    assert_eq!(verdicts.ready.message, "the token is about to be written to its target");
}

#[test]
fn one_hiccup_does_not_hide_what_the_provider_said() {
    let hiccup = |scene: Scene| {
        scene.touched().learn(100, |attempt| Outcome::Failed {
            error: error(Reason::ReadFailed),
            attempt: Attempt { inputs: None, ..attempt },
        })
    };
    let once = hiccup(refused(Scene::holding(3600)));
    assert_eq!(once.conditions(100), "TokenValid !TokenRequestRejected TokenRequestRejected");
    assert_eq!(hiccup(once).conditions(100), "TokenValid !ReadFailed !Progressing");
    let alone = hiccup(Scene::holding(3600));
    assert_eq!(alone.conditions(100), "TokenValid !ReadFailed !Progressing");
}

#[test]
fn messages_stay_the_same_while_nothing_happens() {
    let words = |scene: &Scene, second| match scene.decide(second) {
        Plan::Wait { verdicts, .. } => verdicts,
        other => panic!("{other:?}"),
    };
    for scene in [Scene::holding(3600), refused(Scene::holding(3600)), refused(Scene::new())] {
        assert_eq!(words(&scene, 100), words(&scene, 150));
    }
}

fn fresh(scene: &Scene) -> (String, String) {
    let Plan::Wait { verdicts, .. } = scene.decide(1) else { panic!() };
    assert_eq!(verdicts.fresh.status, "True");
    (verdicts.fresh.reason.to_string(), verdicts.fresh.message)
}

#[test]
fn a_gap_that_the_provider_forces_is_told() {
    let scene = Scene::holding(3600).facts(|facts| {
        facts.same_token_until = Some(chrono::TimeDelta::seconds(60));
    });
    let (reason, message) = fresh(&scene);
    assert_eq!(reason, "GapExpected");
    let words = "until it has 60 s left, so that readers may see an expired one for up to 32 s";
    assert!(message.contains(words), "{message}");
}

#[test]
fn a_lead_that_does_not_fit_the_life_is_told() {
    let scene = Scene::holding(3600).token(|token| {
        token.spec.refresh = serde_json::from_str(r#"{"lead": "2h"}"#).unwrap();
    });
    let (_, message) = fresh(&scene);
    assert!(message.contains("lead: 7200 s is more than four fifths"), "{message}");
}

#[test]
fn an_expired_token_is_told_of_first_with_what_stood_in_the_way() {
    let Plan::Wait { verdicts, .. } = late(Scene::holding(99)).decide(100) else { panic!() };
    assert_eq!(verdicts.ready.reason, "TokenExpired");
    let message = verdicts.ready.message;
    assert!(message.starts_with("the token expired at 2027-01-15T08:01:39Z: "), "{message}");
    assert!(message.ends_with("ProviderError happened"), "{message}");
}
