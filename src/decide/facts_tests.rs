use chrono::{DateTime, TimeDelta, Utc};
use rstest::rstest;

use super::super::testing::Told::{Fetch, Verify, Wait};
use super::super::testing::{DIGEST, SEEN, Scene, Told, at, error, held, written};
use super::super::{Attempt, Outcome, Plan};
use super::*;
use crate::api::annotations::OUTPUTS;
use crate::api::conditions::Stamp;
use crate::record::{Standing, status};

/// The status that is written at this second, as the API server gives it back.
fn recorded(scene: &Scene, second: i64) -> OAuthClientTokenStatus {
    let Plan::Wait { verdicts, next_attempt_at, .. } = scene.decide(second) else {
        panic!("{:?}", scene.decide(second))
    };
    let stamp = Stamp { now: at(second), generation: Some(1) };
    let standing = Standing { verdicts, next_attempt_at, stamp };
    let before = scene.0.token.status.as_ref().map(|status| status.conditions.clone());
    let status = status(&scene.0.facts, standing, &before.unwrap_or_default());
    serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap()
}

/// The process starts again at this second with what is left.
fn restarted(mut scene: Scene, second: i64, status: OAuthClientTokenStatus) -> Scene {
    let target = scene.0.target.clone();
    scene.0.facts = Facts::restore(&status, target.as_ref(), scene.0.secret_name());
    scene.0.resumed_at = at(second);
    scene.token(|token| token.status = Some(status))
}

fn rejected(scene: Scene, second: i64) -> Scene {
    scene.failed(second, error(Reason::TokenRequestRejected))
}

#[rstest]
#[case::good(Scene::holding(3600))]
#[case::lost(Scene::holding(3600).target(None))]
#[case::failing(Scene::holding(3600).failed(98, error(Reason::ProviderError)))]
#[case::refused(rejected(rejected(Scene::holding(3600), 60), 98))]
#[case::refused_without_a_token(rejected(Scene::new(), 98))]
#[case::throttled(Scene::holding(3600).failed(98, error(Reason::ProviderThrottled).with_retry_after(Some(std::time::Duration::from_mins(10)))))]
#[case::expired(rejected(Scene::holding(60), 98))]
#[case::suspended(Scene::holding(3600).suspended())]
#[case::without_means(Scene::holding(3600).means(Err(error(Reason::ProviderNotFound))))]
#[case::without_means_while_failing(rejected(Scene::holding(3600), 98).means(Err(error(Reason::ProviderNotFound))))]
#[case::answered(Scene::holding(3600).requested("a").facts(|f| f.handled_refresh_request = Some("a".into())))]
#[case::with_a_gap(Scene::holding(3600).facts(|f| (f.remark, f.same_token_until) = (Some("look out".into()), Some(TimeDelta::seconds(60)))))]
#[case::with_a_gap_only(Scene::holding(3600).facts(|f| f.same_token_until = Some(TimeDelta::zero())))]
#[case::with_a_long_lead(Scene::holding(3600).token(|t| t.spec.refresh = serde_json::from_str(r#"{"lead": "2h"}"#).unwrap()))]
fn a_restart_changes_neither_plan_nor_status(#[case] scene: Scene) {
    // Lost targets wait for a moment only, all else waits at 100.
    let second = if scene.0.target.is_none() && scene.0.facts.held.is_some() { 1 } else { 100 };
    let status = recorded(&scene, second);
    let after = restarted(scene.clone(), second, status.clone());
    assert_eq!(after.told(second), scene.told(second));
    assert_eq!(recorded(&after, second), status);
    assert_eq!(restarted(after, second, status.clone()).told(second), scene.told(second));
}

#[rstest]
#[case::nothing_left(Scene::new(), Fetch)]
#[case::annotations_only(Scene::holding(3600), Verify)]
#[case::annotations_of_an_expired_token(Scene::holding(50), Verify)]
#[case::annotations_damaged(Scene::holding(3600).damaged(|t| { t.annotations.remove(EXPIRES_AT); }), Fetch)]
#[case::data_damaged(Scene::holding(3600).damaged(|t| t.owned_keys.clear()), Verify)]
fn with_the_status_lost(#[case] scene: Scene, #[case] expected: Told) {
    let scene = restarted(scene, 100, OAuthClientTokenStatus::default());
    assert_eq!(scene.told(100), expected);
}

#[test]
fn annotations_alone_tell_that_a_token_is_still_good() {
    let scene = restarted(Scene::holding(3600), 100, OAuthClientTokenStatus::default());
    let same = scene.clone().learn(100, |_| found(DIGEST));
    assert_eq!(same.told(100), Wait(Some(2880)));
    assert_eq!(scene.learn(100, |_| found("key.other")).told(100), Fetch);
}

fn found(digest: &str) -> Outcome {
    Outcome::Verified { seen: SEEN.into(), found: Ok(digest.into()) }
}

#[test]
fn the_status_alone_tells_that_the_target_was_lost() {
    let status = recorded(&Scene::holding(3600), 100);
    let scene = restarted(Scene::holding(3600).target(None), 100, status);
    assert_eq!(scene.told(100), Fetch);
}

#[test]
fn further_keys_of_a_target_are_known_without_the_status() {
    let scene = Scene::holding(3600).damaged(|target| {
        target.annotations.insert(OUTPUTS.to_owned(), "instance_url".to_owned());
    });
    let scene = restarted(scene, 100, OAuthClientTokenStatus::default());
    assert_eq!(scene.0.facts.held.unwrap().outputs, ["instance_url"]);
}

/// A token that was asked for at this second.
fn later(second: i64) -> HeldToken {
    let by = TimeDelta::seconds(second);
    let of = held(3600);
    HeldToken {
        issued_at: of.issued_at + by,
        expires_at: of.expires_at + by,
        refresh_at: of.refresh_at + by,
        ..of
    }
}

#[rstest]
#[case::a_refresh(Scene::holding(3600))]
#[case::the_first_token(Scene::new().failed(80, error(Reason::ProviderError)))]
#[case::after_failures(rejected(rejected(Scene::holding(3600), 30), 60))]
fn ended_between_the_target_and_the_status(#[case] scene: Scene) {
    // What was recorded before, the token that was written at 100, and the start at 200.
    let status = recorded(&scene, 81);
    let target = written(&later(100), &scene.0.owner());
    let scene = restarted(scene.target(Some(target)), 200, status);
    let facts = &scene.0.facts;
    assert_eq!(facts.held.as_ref().unwrap().issued_at, at(100));
    assert_eq!((facts.consecutive_failures, &facts.failure), (0, &None));
    assert_eq!((facts.retry_at, facts.throttled_until), (None, None));
    let scene = match scene.told(200) {
        Verify => scene.learn(200, |_| found(DIGEST)),
        _ => scene,
    };
    assert_eq!(scene.told(200), Wait(Some(2980)));
    assert_eq!(scene.conditions(200), "TokenValid Refreshed !Progressing");
}

fn in_the_way(name: &str) -> Outcome {
    Outcome::Left { secret_name: name.into(), error: Some(error(Reason::WriteFailed)) }
}

#[test]
fn ended_between_writing_to_a_renamed_target_and_the_status() {
    let scene = Scene::holding(3600);
    let status = recorded(&scene, 90);
    let target = scene.0.target.clone();
    let scene = restarted(scene.renamed("b").target(target), 100, status);
    assert_eq!(scene.0.facts.held.as_ref().unwrap().secret_name, "b");
    assert_eq!(scene.0.facts.held.as_ref().unwrap().token_type.as_deref(), Some("Bearer"));
    // The former one is not forgotten over it, nor a second time.
    assert_eq!(scene.told(100), Told::Leave("shop".into()));
    let status = recorded(&scene.clone().learn(100, |_| in_the_way("shop")), 100);
    assert_eq!(status.former_secret_names, ["shop"]);
    let scene = restarted(scene, 110, status);
    assert_eq!(scene.told(110), Told::Leave("shop".into()));
    let outcome = Outcome::Left { secret_name: "shop".into(), error: None };
    assert_eq!(scene.learn(110, |_| outcome).told(110), Wait(Some(2880)));
}

#[test]
fn renamed_while_nobody_watched() {
    let status = recorded(&Scene::holding(3600), 90);
    let scene = restarted(Scene::holding(3600).renamed("b"), 100, status);
    assert_eq!(scene.told(100), Told::WriteAgain("shop".into()));
}

#[test]
fn a_target_that_was_put_back_to_an_older_token_is_not_believed() {
    let scene = Scene::holding(3600).facts(|facts| {
        facts.held = Some(later(100));
        facts.last_attempt_at = Some(at(100));
    });
    let status = recorded(&scene.clone().damaged(|t| t.labelled = true).target(None), 101);
    let scene = restarted(scene, 200, status);
    assert_eq!(scene.0.facts.held.as_ref().unwrap().issued_at, at(100));
    // Whether it can be written again is told by its data.
    assert_eq!(scene.told(200), Told::WriteAgain("shop".into()));
}

#[test]
fn a_failed_attempt_after_the_last_token_stays_known() {
    let scene = rejected(Scene::holding(3600), 98);
    let status = OAuthClientTokenStatus { token: None, ..recorded(&scene, 99) };
    let scene = restarted(scene, 100, status);
    assert_eq!(scene.0.facts.failure.as_ref().unwrap().reason(), Reason::TokenRequestRejected);
    assert_eq!(scene.told(100), Wait(Some(158)));
}

#[test]
fn what_a_refusal_hid_is_not_taken_for_a_failure() {
    let scene = rejected(Scene::holding(3600), 98);
    let refused = scene.clone().means(Err(error(Reason::ProviderNotFound)));
    let after = restarted(scene, 100, recorded(&refused, 99));
    assert_eq!(after.0.facts.consecutive_failures, 1);
    assert_eq!(after.0.facts.failure, None);
}

#[test]
fn a_refusal_stays_permanent_and_its_probes_go_on() {
    let scene = rejected(rejected(rejected(Scene::new(), 0), 60), 180);
    let scene = restarted(scene.clone(), 200, recorded(&scene, 181));
    assert_eq!(
        scene.conditions(200),
        "!TokenRequestRejected !TokenRequestRejected TokenRequestRejected"
    );
    assert_eq!(scene.told(200), Wait(Some(180 + 240)));
    assert_eq!(rejected(scene, 420).told(421), Wait(Some(420 + 480)));
}

#[test]
fn hiccups_are_not_remembered() {
    let scene = Scene::holding(3600).touched().learn(100, |attempt| Outcome::Failed {
        error: error(Reason::ReadFailed),
        attempt: Attempt { inputs: None, ..attempt },
    });
    let status = recorded(&scene, 100);
    assert_eq!((status.consecutive_failures, status.next_attempt_at), (0, Some(at(2880))));
    let scene = restarted(scene, 101, status);
    assert_eq!((scene.0.facts.failure.clone(), scene.told(101)), (None, Verify));
}

#[test]
fn finer_times_than_seconds_are_cut() {
    let mut target = written(&held(60), &Scene::new().0.owner());
    target.annotations.insert(EXPIRES_AT.into(), "2027-01-15T09:00:00.75+01:00".into());
    let facts = Facts::restore(&OAuthClientTokenStatus::default(), Some(&target), "shop");
    let expires_at: DateTime<Utc> = facts.held.unwrap().expires_at;
    assert_eq!(expires_at, at(0));
}
