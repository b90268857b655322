use std::time::Duration;

use rstest::rstest;

use super::super::testing::{DIGEST, Scene, at, error, held};
use super::*;

fn wait_after(scene: &Scene, second: i64) -> i64 {
    (scene.0.facts.retry_at.unwrap() - at(second)).num_seconds()
}

fn fail(scene: Scene, reasons: &[Reason]) -> Scene {
    reasons.iter().fold(scene, |scene, reason| scene.failed(0, error(*reason)))
}

const OUTAGE: Reason = Reason::ProviderError;
const REFUSED: Reason = Reason::TokenRequestRejected;

#[test]
fn a_setback_that_tells_its_end_lasts_until_then() {
    let error = error(Reason::RefreshTokenInUse).with_retry_after(Some(Duration::from_secs(45)));
    let attempt = Attempt { inputs: None, ..Attempt::default() };
    let scene = Scene::new().learn(5, |_| Outcome::Failed { error, attempt });
    assert_eq!(scene.0.facts.setback.unwrap().until, at(50));
}

// `random` is one half: the backoff lies in the middle between 5 s and its ceiling.
#[rstest]
#[case::first(&[OUTAGE], 5)]
#[case::third(&[OUTAGE, OUTAGE, OUTAGE], 12)]
#[case::last(&[OUTAGE; 20], 152)]
#[case::refused(&[REFUSED], 60)]
#[case::refused_again(&[REFUSED, REFUSED, REFUSED], 240)]
#[case::refused_for_long(&[REFUSED; 20], 3600)]
// An outage that ends in a refusal, or the other way round, starts anew.
#[case::refused_after_an_outage(&[OUTAGE, OUTAGE, OUTAGE, OUTAGE, REFUSED], 60)]
#[case::outage_after_a_refusal(&[REFUSED, REFUSED, REFUSED, REFUSED, OUTAGE], 5)]
fn the_backoff_counts_failures_of_a_kind(#[case] reasons: &[Reason], #[case] seconds: i64) {
    let scene = fail(Scene::new(), reasons);
    assert_eq!(wait_after(&scene, 0), seconds);
    assert_eq!(scene.0.facts.consecutive_failures as usize, reasons.len());
}

#[test]
fn new_inputs_begin_a_new_backoff() {
    let scene = fail(Scene::new(), &[REFUSED; 6]).learn(0, |attempt| Outcome::Failed {
        error: error(REFUSED),
        attempt: Attempt { inputs: Some("key.new".into()), ..attempt },
    });
    assert_eq!(wait_after(&scene, 0), 60);
}

#[test]
fn a_success_ends_the_backoff() {
    let scene = fail(Scene::holding(100), &[OUTAGE; 6])
        .learn(50, |attempt| Outcome::Published { held: held(100), attempt });
    assert_eq!((scene.0.facts.retry_at, scene.0.facts.consecutive_failures), (None, 0));
    assert_eq!(wait_after(&fail(scene, &[OUTAGE]), 0), 5);
}

#[test]
fn while_a_good_token_is_left_no_backoff_exceeds_a_quarter_of_its_life() {
    let scene = fail(Scene::holding(80), &[OUTAGE; 20]);
    assert_eq!(wait_after(&scene, 0), 12);
    // A token that is remembered but lost is no token that is left.
    let lost = fail(Scene::holding(80).target(None), &[OUTAGE; 20]);
    assert_eq!(wait_after(&lost, 0), 152);
}

fn silenced(reason: Reason, seconds: u64) -> Error {
    error(reason).with_retry_after(Some(Duration::from_secs(seconds)))
}

#[rstest]
#[case::obeyed(silenced(Reason::ProviderThrottled, 600), (600, Some(600)))]
#[case::not_hot(silenced(Reason::ProviderThrottled, 0), (5, Some(0)))]
#[case::capped(silenced(Reason::ProviderThrottled, u64::MAX), (3600, Some(3600)))]
#[case::of_an_outage(silenced(OUTAGE, 90), (90, Some(90)))]
#[case::of_a_refusal(silenced(REFUSED, 90), (90, Some(90)))]
// What is mended heals when the silence is over, not when the next probe is due.
#[case::shorter_than_the_probe(silenced(REFUSED, 10), (60, Some(10)))]
#[case::none(error(OUTAGE), (5, None))]
fn retry_after(#[case] error: Error, #[case] expected: (i64, Option<i64>)) {
    let scene = Scene::new().failed(0, error);
    let until = scene.0.facts.throttled_until.map(|until| (until - at(0)).num_seconds());
    assert_eq!((wait_after(&scene, 0), until), expected);
}

#[test]
fn what_was_found_out_before_asking_is_no_attempt() {
    let scene = fail(Scene::holding(3600).target(None), &[OUTAGE, OUTAGE]);
    let before = scene.0.facts.clone();
    let after = scene.learn(100, |attempt| Outcome::Failed {
        error: error(Reason::ReadFailed),
        attempt: Attempt { inputs: None, ..attempt },
    });
    assert_eq!(Facts { setback: None, ..after.0.facts.clone() }, before);
    assert_eq!(after.0.facts.setback.unwrap().until, at(105));
}

#[rstest]
#[case::read(Outcome::Verified { seen: "shape/2".into(), found: Ok(DIGEST.into()) })]
#[case::nothing_there(Outcome::NothingToWriteAgain)]
#[case::written(Outcome::WrittenAgain { held: held(3600) })]
fn a_setback_is_over_when_a_step_succeeds(#[case] outcome: Outcome) {
    let scene = Scene::holding(3600).learn(0, |attempt| Outcome::Failed {
        error: error(Reason::WriteFailed),
        attempt: Attempt { inputs: None, ..attempt },
    });
    assert!(scene.0.facts.setback.is_some());
    assert_eq!(scene.learn(5, |_| outcome).0.facts.setback, None);
}

#[test]
fn times_are_kept_in_whole_seconds_but_for_the_next_refresh() {
    let fine = TimeDelta::microseconds(999_999);
    let of = held(60);
    let due = of.refresh_at;
    let held = HeldToken {
        expires_at: of.expires_at + fine,
        issued_at: of.issued_at + fine,
        refresh_at: of.refresh_at + fine,
        ..of
    };
    let scene = Scene::new().learn(0, |attempt| Outcome::Published { held, attempt });
    let kept = scene.0.facts.held.unwrap();
    assert_eq!((kept.issued_at, kept.expires_at), (at(0), at(60)));
    assert_eq!(kept.refresh_at, due + TimeDelta::milliseconds(999));
}

/// The token of second 0 was handed back at `repeated`, and then another one given at `renewed`.
fn renewed(life: i64, repeated: bool, second: i64) -> Scene {
    let scene = Scene::holding(life);
    let scene = scene.facts(|facts| facts.held.as_mut().unwrap().repeated = repeated);
    scene.learn(second, |attempt| Outcome::Published {
        held: HeldToken { issued_at: at(second), expires_at: at(second + life), ..held(life) },
        attempt,
    })
}

#[rstest]
#[case::it_always_gives_a_new_one(false, 2880, None)]
#[case::so_early_at_least(true, 3300, Some(300))]
#[case::only_after_its_end(true, 3601, Some(0))]
fn what_was_left_when_another_token_came_is_remembered(
    #[case] repeated: bool,
    #[case] second: i64,
    #[case] expected: Option<i64>,
) {
    let facts = renewed(3600, repeated, second).0.facts;
    assert_eq!(facts.same_token_until.map(|until| until.num_seconds()), expected);
}

#[rstest]
#[case::sooner(3000, Some(300))]
#[case::when_another_should_have_come(3300, None)]
fn a_token_that_is_handed_back_refutes_what_was_known(
    #[case] second: i64,
    #[case] expected: Option<i64>,
) {
    let known =
        Scene::holding(3600).facts(|facts| facts.same_token_until = Some(TimeDelta::seconds(300)));
    let scene = known.learn(second, |attempt| Outcome::Published {
        held: HeldToken { repeated: true, ..held(3600) },
        attempt,
    });
    assert_eq!(scene.0.facts.same_token_until.map(|until| until.num_seconds()), expected);
}
