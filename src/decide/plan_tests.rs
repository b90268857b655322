use rstest::rstest;

use super::super::testing::Told::{Fetch, Inspect, Verify, Wait};
use super::super::testing::{DIGEST, Scene, Told, at, error, foreign, held, set_back, written};
use super::super::{Attempt, HeldToken, Inspected, Means, Outcome, Repairs, Setback, TargetMeta};
use super::*;
use crate::api::annotations::{ALLOW, EXPIRES_AT, INPUTS, OWNER};
use crate::api::{Delivery, keys};
use crate::error::{Error, Reason};

fn again(from: &str) -> Told {
    Told::WriteAgain(from.into())
}

/// The provider asked for silence.
fn throttled(seconds: u64) -> Error {
    let wait = std::time::Duration::from_secs(seconds);
    error(Reason::ProviderThrottled).with_retry_after(Some(wait))
}

fn damaged_key(scene: Scene) -> Scene {
    scene.damaged(|target| {
        target.owned_keys.remove(keys::ACCESS_TOKEN);
    })
}

#[rstest]
#[case::at_first(Scene::new(), 0, Fetch)]
#[case::right_after(Scene::holding(3600), 1, Wait(Some(2880)))]
#[case::until_the_refresh(Scene::holding(3600), 2879, Wait(Some(2880)))]
#[case::refresh_due(Scene::holding(3600), 2880, Fetch)]
#[case::expired(Scene::holding(3600), 3600, Fetch)]
// Half the life where that is less than 30 s, but not under 5 s.
#[case::floor(Scene::holding(40), 32, Fetch)]
#[case::floor_of_a_short_life(Scene::holding(6), 4, Wait(Some(5)))]
#[case::floor_beyond_the_expiry(Scene::holding(1), 0, Wait(Some(1)))]
#[case::expired_before_the_floor(Scene::holding(1), 1, Wait(Some(5)))]
#[case::floor_reached(Scene::holding(1), 5, Fetch)]
#[case::explicit_floor(Scene::holding(8).min_interval(7), 6, Wait(Some(7)))]
#[case::explicit_floor_of_one(Scene::holding(1).min_interval(1), 1, Fetch)]
#[case::explicit_floor_beyond_the_expiry(Scene::holding(60).min_interval(600), 60, Wait(Some(600)))]
fn steady_state(#[case] scene: Scene, #[case] second: i64, #[case] expected: Told) {
    assert_eq!(scene.told(second), expected);
}

#[rstest]
// First failure: 5 s.
#[case::backoff(Scene::holding(3600).failed(2880, error(Reason::ProviderError)), 2880, Wait(Some(2885)))]
#[case::backoff_over(Scene::holding(3600).failed(2880, error(Reason::ProviderError)), 2885, Fetch)]
// Permanent: a minute, whatever is left of the token, but a wake-up at its expiry.
#[case::expiry_first(Scene::holding(3600).failed(3590, error(Reason::TokenRequestRejected)), 3590, Wait(Some(3600)))]
#[case::after_the_expiry(Scene::holding(3600).failed(3590, error(Reason::TokenRequestRejected)), 3600, Wait(Some(3650)))]
#[case::probed(Scene::holding(3600).failed(3590, error(Reason::TokenRequestRejected)), 3650, Fetch)]
#[case::without_any_token(Scene::new().failed(0, error(Reason::ProviderTimeout)), 0, Wait(Some(5)))]
#[case::someone_was_faster(Scene::new().failed(0, error(Reason::SecretNotOwned)), 0, Wait(Some(5)))]
fn failures(#[case] scene: Scene, #[case] second: i64, #[case] expected: Told) {
    assert_eq!(scene.told(second), expected);
}

// A request, a changed input and a lost target wait 3 s since the last request, or less where the
// provider's own floor is lower.
#[rstest]
#[case::request(Scene::holding(3600).requested("a"), 1, Wait(Some(3)))]
#[case::request(Scene::holding(3600).requested("a"), 3, Fetch)]
#[case::request_with_low_floor(Scene::holding(3600).requested("a").min_interval(1), 1, Fetch)]
#[case::request_with_high_floor(Scene::holding(3600).requested("a").min_interval(600), 3, Fetch)]
#[case::handled(Scene::holding(3600).requested("a").facts(|f| f.handled_refresh_request = Some("a".into())), 3, Wait(Some(2880)))]
#[case::another(Scene::holding(3600).requested("b").facts(|f| f.handled_refresh_request = Some("a".into())), 3, Fetch)]
#[case::taken_back(Scene::holding(3600).facts(|f| f.handled_refresh_request = Some("a".into())), 3, Wait(Some(2880)))]
#[case::lost(Scene::holding(3600).target(None), 1, Wait(Some(3)))]
#[case::lost(Scene::holding(3600).target(None), 3, Fetch)]
#[case::damaged(damaged_key(Scene::holding(3600)), 3, Fetch)]
#[case::lost_during_a_backoff(Scene::holding(3600).failed(100, error(Reason::TokenRequestRejected)).target(None), 103, Fetch)]
#[case::lost_and_refused(Scene::holding(3600).target(None).failed(100, error(Reason::TokenRequestRejected)), 103, Wait(Some(160)))]
#[case::request_during_a_backoff(Scene::holding(3600).failed(100, error(Reason::TokenRequestRejected)).requested("a"), 103, Fetch)]
#[case::changed(Scene::holding(3600).facts(|f| f.attempted = Some("key.other".into())), 3, Fetch)]
fn urgent(#[case] scene: Scene, #[case] second: i64, #[case] expected: Told) {
    assert_eq!(scene.told(second), expected);
}

#[rstest]
#[case::request(Scene::holding(3600).requested("a"))]
#[case::changed(Scene::holding(3600).facts(|f| f.attempted = Some("key.other".into())))]
#[case::lost(Scene::holding(3600).target(None))]
#[case::expired(Scene::holding(50))]
fn nothing_overrides_retry_after(#[case] scene: Scene) {
    let scene = scene.facts(|facts| {
        facts.throttled_until = Some(at(220));
        facts.retry_at = Some(at(220));
        facts.failure = Some(throttled(120));
    });
    assert!(matches!(scene.told(219), Wait(Some(_))), "{:?}", scene.told(219));
    assert_eq!(scene.told(220), Fetch);
}

#[test]
fn a_request_is_answered_once_even_if_the_answer_is_no() {
    let scene = Scene::holding(3600).requested("a");
    let Plan::Fetch(order) = scene.decide(100) else { panic!("{:?}", scene.decide(100)) };
    assert_eq!(order.refresh_request.as_deref(), Some("a"));
    let scene = scene.learn(100, |attempt| Outcome::Failed {
        error: error(Reason::TokenRequestRejected),
        attempt: Attempt { refresh_request: order.refresh_request, ..attempt },
    });
    assert_eq!(scene.told(150), Wait(Some(160)));
}

#[rstest]
#[case::unread(Scene::holding(3600).touched(), 1, Verify)]
#[case::unread_while_failing(Scene::holding(3600).failed(2, error(Reason::ProviderError)).touched(), 3, Verify)]
#[case::unread_without_a_baseline(Scene::holding(3600).touched().facts(|f| f.attempted = None), 1, Verify)]
#[case::read_by_the_first_request(Scene::new().touched(), 1, Fetch)]
fn inputs_are_read_when_they_may_have_changed(
    #[case] scene: Scene,
    #[case] second: i64,
    #[case] expected: Told,
) {
    assert_eq!(scene.told(second), expected);
}

fn verified(scene: Scene, found: Result<&str, Error>) -> Scene {
    let found = found.map(str::to_owned);
    scene.learn(100, |_| Outcome::Verified { seen: "shape/2".into(), found })
}

#[rstest]
#[case::the_same(Ok(DIGEST), Wait(Some(2880)))]
#[case::another(Ok("key.other"), Fetch)]
#[case::of_another_key(Ok("new.other"), Wait(Some(2880)))]
#[case::unusable(Err(error(Reason::CredentialsKeyMissing)), Wait(Some(3600)))]
fn what_was_read(#[case] found: Result<&str, Error>, #[case] expected: Told) {
    assert_eq!(verified(Scene::holding(3600).touched(), found).told(100), expected);
}

#[test]
fn refused_credentials_wait_without_polling_until_they_change() {
    let refused = verified(Scene::new().touched(), Err(error(Reason::InvalidCredentials)));
    assert_eq!(refused.told(100), Wait(None));
    assert_eq!(refused.told(1_000_000), Wait(None));
    let means = Means { seen: "shape/3".into(), ..Means::default() };
    assert_eq!(refused.means(Ok(means)).told(101), Fetch);
}

#[test]
fn mended_credentials_heal_at_once() {
    let mut scene = Scene::new();
    for second in [0, 60, 180, 420] {
        scene = scene.failed(second, error(Reason::TokenRequestRejected));
    }
    assert_eq!(scene.told(421), Wait(Some(420 + 8 * 60)));
    assert_eq!(scene.clone().touched().told(500), Verify);
    assert_eq!(verified(scene.touched(), Ok("key.mended")).told(500), Fetch);
}

#[test]
fn a_digest_of_an_unknown_key_is_taken_over_and_compared_with_ever_after() {
    let scene = verified(Scene::holding(3600).touched(), Ok("new.digest"));
    assert_eq!(scene.0.facts.attempted.as_deref(), Some("new.digest"));
    assert_eq!(verified(scene, Ok("new.other")).told(100), Fetch);
}

#[test]
fn a_token_without_a_digest_gets_one_and_is_not_fetched() {
    let scene = Scene::holding(3600).touched().facts(|facts| facts.attempted = None);
    let scene = verified(scene, Ok("key.new"));
    assert_eq!(scene.told(100), Wait(Some(2880)));
    assert_eq!(verified(scene, Ok("key.newer")).told(100), Fetch);
}

#[rstest]
#[case::without_a_token(Scene::new().suspended(), 0, Wait(None))]
#[case::overdue(Scene::holding(3600).suspended(), 3000, Wait(Some(3600)))]
// Fresh turns False when a refresh is overdue.
#[case::refresh_ahead(Scene::holding(3600).suspended(), 10, Wait(Some(2880)))]
#[case::expired(Scene::holding(3600).suspended(), 4000, Wait(None))]
#[case::lost(Scene::holding(3600).suspended().target(None), 100, Wait(None))]
#[case::renamed(Scene::holding(3600).suspended().renamed("b"), 100, Wait(None))]
#[case::asked(Scene::holding(3600).suspended().requested("a"), 100, Wait(Some(2880)))]
#[case::resumed(Scene::holding(3600), 100, Wait(Some(2880)))]
fn suspended(#[case] scene: Scene, #[case] second: i64, #[case] expected: Told) {
    assert_eq!(scene.told(second), expected);
}

#[rstest]
#[case::nobodys(Scene::new().target(Some(foreign())), Wait(None))]
#[case::taken_from_us(Scene::holding(3600).target(Some(foreign())), Wait(None))]
#[case::taken_by_a_sibling(Scene::holding(3600).damaged(|target| {
    target.controller.as_mut().unwrap().uid = "u-2".into();
    target.controller.as_mut().unwrap().name = "sibling".into();
}), Wait(None))]
#[case::consenting(Scene::new().target(Some(consenting())), Inspect)]
#[case::consenting_after_a_loss(Scene::holding(3600).target(Some(consenting())), Inspect)]
#[case::looked_at(looked_at(Scene::new().target(Some(consenting())), Ok(&[])), Fetch)]
#[case::of_a_type_that_gives_power(looked_at(Scene::new().target(Some(consenting())), Err(Reason::SecretTypeNotAllowed)), Wait(None))]
#[case::an_older_token_wants_it(Scene::new().rivalled("a"), Wait(None))]
#[case::held_before_the_older_one_came(Scene::holding(3600).rivalled("a"), Wait(Some(2880)))]
#[case::given_back(Scene::new().failed(0, error(Reason::SecretNotOwned)), Fetch)]
fn ownership_is_settled_before_anything_is_asked(#[case] scene: Scene, #[case] expected: Told) {
    assert_eq!(scene.told(100), expected);
}

/// What a closer look at the target has found: its keys, or why it cannot be written to.
fn looked_at(scene: Scene, found: Result<&[&str], Reason>) -> Scene {
    let version = scene.0.target.as_ref().unwrap().version();
    let found = found.map(|keys| keys.iter().map(|key| (*key).to_owned()).collect());
    let inspected = Inspected { version, found: found.map_err(error) };
    scene.learn(90, |_| Outcome::Inspected(inspected))
}

fn consenting() -> TargetMeta {
    let mut target = TargetMeta { controller: None, ..foreign() };
    target.annotations.insert(ALLOW.into(), "shop".into());
    target
}

#[rstest]
#[case::label(Scene::holding(3600).damaged(|t| t.labelled = false))]
#[case::annotation_gone(Scene::holding(3600).damaged(|t| { t.annotations.remove(EXPIRES_AT); }))]
#[case::annotation_changed(Scene::holding(3600).damaged(|t| { t.annotations.insert(EXPIRES_AT.into(), "2999-01-01T00:00:00Z".into()); }))]
#[case::digest_gone(Scene::holding(3600).damaged(|t| { t.annotations.remove(INPUTS); }))]
#[case::owner_gone(Scene::holding(3600).damaged(|t| { t.annotations.remove(OWNER); }))]
#[case::reference_gone(Scene::holding(3600).damaged(|t| t.controller = None))]
#[case::restored_under_an_old_uid(Scene::holding(3600).damaged(|t| t.controller.as_mut().unwrap().uid = "old".into()))]
#[case::while_failing(Scene::holding(3600).failed(98, error(Reason::ProviderError)).damaged(|t| t.labelled = false))]
#[case::without_means(Scene::holding(3600).means(Err(error(Reason::ProviderNotFound))).damaged(|t| t.labelled = false))]
#[case::while_throttled_with_new_inputs(Scene::holding(3600).damaged(|t| t.labelled = false).facts(|f| {
    f.throttled_until = Some(at(3000));
    f.attempted = Some("key.other".into());
}))]
fn damaged_metadata_is_written_again_once(#[case] scene: Scene) {
    assert_eq!(scene.told(100), again("shop"));
    let mended = held(3600);
    let target = written(&mended, &scene.0.owner());
    let scene = scene.learn(100, |_| Outcome::WrittenAgain { held: mended });
    assert!(matches!(scene.target(Some(target)).told(100), Wait(_)));
}

#[test]
fn what_is_damaged_again_and_again_is_mended_ever_more_rarely() {
    let mut scene = Scene::holding(100_000).damaged(|target| target.labelled = false);
    let mut mended = Vec::new();
    for second in 0..2000 {
        if scene.told(second) == again("shop") {
            mended.push(second);
            // Something takes the label off again at once.
            scene = scene.learn(second, |_| Outcome::WrittenAgain { held: held(100_000) });
        }
    }
    assert_eq!(mended[..4], [0, 3, 6, 12]);
    assert!(mended.len() < 25, "{mended:?}");
}

#[test]
fn what_is_lost_again_and_again_is_fetched_ever_more_rarely() {
    let mut scene = Scene::holding(100_000).target(None);
    let mut fetched = Vec::new();
    for second in 0..2000 {
        if scene.told(second) == Fetch {
            fetched.push(second);
            scene = scene.learn(second, |attempt| Outcome::Published {
                held: HeldToken { issued_at: attempt.at, ..held(100_000) },
                attempt: Attempt { without_target: true, ..attempt },
            });
        }
    }
    assert_eq!(fetched[..4], [3, 6, 9, 15]);
    assert!(fetched.len() < 25, "{fetched:?}");
}

#[rstest]
#[case::renamed(Scene::holding(3600).renamed("b"), again("shop"))]
#[case::while_the_provider_fails(Scene::holding(3600).failed(90, error(Reason::TokenRequestRejected)).renamed("b"), again("shop"))]
#[case::without_means(Scene::holding(3600).means(Err(error(Reason::ProviderNotFound))).renamed("b"), again("shop"))]
#[case::to_one_that_is_taken(Scene::holding(3600).renamed("b").target(Some(foreign())), Wait(None))]
#[case::to_one_that_consents(looked_at(Scene::holding(3600).renamed("b").target(Some(consenting())), Ok(&[])), again("shop"))]
#[case::expired(Scene::holding(50).renamed("b"), Fetch)]
fn a_renamed_target_takes_the_token_along(#[case] scene: Scene, #[case] expected: Told) {
    assert_eq!(scene.told(100), expected);
}

#[rstest]
#[case::alone(Scene::holding(3600))]
#[case::while_the_provider_fails(Scene::holding(3600).failed(90, error(Reason::TokenRequestRejected)))]
fn a_renamed_target_whose_token_is_gone_costs_one_fetch(#[case] scene: Scene) {
    let scene = scene.renamed("b").learn(100, |_| Outcome::NothingToWriteAgain);
    assert_eq!(scene.told(100), Fetch);
    let scene = scene.failed(100, error(Reason::TokenRequestRejected));
    assert!(matches!(scene.told(110), Wait(Some(_))), "{:?}", scene.told(110));
}

#[rstest]
#[case::reading_inputs(Scene::holding(3600).touched(), Verify)]
#[case::reading_credentials(Scene::new(), Fetch)]
#[case::a_lost_target(Scene::holding(3600).target(None), Fetch)]
#[case::a_request(Scene::holding(3600).requested("a"), Fetch)]
#[case::writing_again(Scene::holding(3600).damaged(|t| t.labelled = false), again("shop"))]
#[case::renaming(Scene::holding(3600).renamed("b"), again("shop"))]
fn what_stands_in_the_way_is_not_run_against(#[case] scene: Scene, #[case] expected: Told) {
    assert_eq!(scene.told(100), expected);
    let scene = set_back(scene, 100);
    assert_eq!((scene.told(100), scene.told(105)), (Wait(Some(105)), expected.clone()));
    // Twice in a row: up to ten seconds.
    let scene = set_back(scene, 105);
    assert_eq!((scene.told(105), scene.told(113)), (Wait(Some(112)), expected));
}

#[test]
fn a_target_that_cannot_be_mended_does_not_keep_the_token_from_being_refreshed() {
    let scene = set_back(Scene::holding(3600).damaged(|target| target.labelled = false), 2879);
    assert_eq!(scene.told(2884), Fetch);
    let unread = set_back(Scene::holding(3600).damaged(|t| t.labelled = false).touched(), 100);
    assert_eq!(unread.told(105), Verify);
}

#[test]
fn a_setback_hides_no_silence() {
    let scene = Scene::holding(3600).failed(100, throttled(600)).target(None);
    assert_eq!(set_back(scene, 110).told(200), Wait(Some(700)));
}

#[rstest]
#[case::same_token_until_the_end(3601, 3600, Wait(Some(3601)))]
#[case::same_token_until_the_end(3601, 3601, Fetch)]
// Whoever edits the annotation does not put the next request off.
#[case::nonsense(100_000, 3601, Fetch)]
fn a_provider_that_repeats_its_token_is_asked_right_after_the_expiry(
    #[case] refresh_at: i64,
    #[case] second: i64,
    #[case] expected: Told,
) {
    let scene = Scene::holding(3600);
    let scene = scene.facts(|facts| facts.held.as_mut().unwrap().refresh_at = at(refresh_at));
    assert_eq!(scene.told(second), expected);
}

#[test]
fn what_was_overdue_at_resume_is_spread_soonest_expiry_first() {
    let overdue = |life: i64, uid: &str| {
        let mut scene = Scene::holding(life).token(|token| token.metadata.uid = Some(uid.into()));
        scene.0.target = Some(written(&held(life), &scene.0.owner()));
        scene.0.resumed_at = at(life - 40);
        match scene.told(life - 40) {
            Wait(Some(until)) => until - (life - 40),
            Fetch => 0,
            other => panic!("{other:?}"),
        }
    };
    let waits: Vec<i64> = (0..200).map(|n| overdue(1000, &format!("uid-{n}"))).collect();
    assert!(waits.iter().all(|wait| (0..=10).contains(wait)), "never beyond a quarter: {waits:?}");
    let distinct: std::collections::BTreeSet<_> = waits.iter().collect();
    assert!(distinct.len() > 5, "no herd: {waits:?}");
    // The same share of what is left: who expires sooner comes first.
    let at_resume = |life: i64| {
        let mut scene = Scene::holding(life);
        scene.0.facts.held.as_mut().unwrap().refresh_at = at(10);
        scene.0.target = Some(written(scene.0.facts.held.as_ref().unwrap(), &scene.0.owner()));
        scene.0.resumed_at = at(50);
        let Plan::Wait { next_attempt_at, .. } = scene.decide(50) else { return 0 };
        (next_attempt_at.unwrap() - at(50)).num_milliseconds()
    };
    let (soon, late) = (at_resume(60), at_resume(200));
    assert!(soon < late, "{soon} {late}");
}

#[test]
fn what_expired_while_nobody_watched_is_fetched_first() {
    let mut scene = Scene::holding(3600);
    scene.0.resumed_at = at(5000);
    assert_eq!(scene.told(5000), Fetch);
    assert_eq!(scene.clone().suspended().told(5000), Wait(None));
}

#[rstest]
// A clock that was ahead by a day wrote this: the token is older than it says.
#[case::token_of_the_future(Scene::holding(90_000), -86_400, Fetch)]
// Clocks of two machines may differ by seconds.
#[case::clocks_differ(Scene::holding(3600), -60, Wait(Some(2880)))]
#[case::attempt_of_the_future(Scene::new().failed(86_400, error(Reason::ProviderError)), 0, Fetch)]
#[case::silence_of_the_future(Scene::new().failed(86_400, throttled(10)), 0, Fetch)]
fn a_clock_that_was_wrong_stops_nothing(
    #[case] scene: Scene,
    #[case] second: i64,
    #[case] expected: Told,
) {
    assert_eq!(scene.told(second), expected);
}

#[test]
fn times_at_the_ends_of_the_calendar_do_no_harm() {
    use chrono::{DateTime, Utc};
    let ends = [DateTime::<Utc>::MIN_UTC, at(0), DateTime::<Utc>::MAX_UTC];
    for (a, b, c) in triples(ends) {
        let scene = Scene::holding(3600).min_interval(i64::MAX / 1000).facts(|facts| {
            let held = facts.held.as_mut().unwrap();
            (held.issued_at, held.expires_at, held.refresh_at) = (a, b, c);
            facts.last_attempt_at = Some(b);
            facts.retry_at = Some(c);
            facts.throttled_until = Some(a);
            facts.repairs = Some(Repairs { times: u32::MAX, at: c, undone_by: None });
            let error = error(Reason::ReadFailed);
            facts.setback = Some(Setback { error, times: u32::MAX, until: b });
        });
        for scene in [scene.clone(), set_back(scene.clone(), 5), scene.failed(5, throttled(9))] {
            if let Plan::Wait { until: Some(until), .. } = scene.decide(10) {
                assert!(until > at(10));
            }
        }
    }
}

fn triples<T: Copy>(of: [T; 3]) -> impl Iterator<Item = (T, T, T)> {
    of.into_iter()
        .flat_map(move |a| of.into_iter().flat_map(move |b| of.into_iter().map(move |c| (a, b, c))))
}

#[rstest]
#[case::volume(Delivery::Volume, 100)]
#[case::watch(Delivery::Watch, 15)]
fn a_former_token_is_revoked_after_the_readers_delay_and_ten_seconds(
    #[case] delivery: Delivery,
    #[case] seconds: i64,
) {
    let order = |scene: &Scene| match scene.decide(80_000) {
        Plan::Fetch(order) => order.revoke_after,
        plan => panic!("{plan:?}"),
    };
    let mut scene = Scene::holding(100_000);
    scene.0.delivery = delivery;
    assert_eq!(order(&scene), None, "nobody asked for it");
    let scene = scene.token(|token| token.spec.revoke = vec![crate::api::RevokeOn::Rotation]);
    assert_eq!(order(&scene), Some(TimeDelta::seconds(seconds)));
    // What is not there cannot be revoked.
    assert_eq!(order(&scene.clone().target(None)), None);
    let rotated = scene.learn(80_000, |attempt| Outcome::Published {
        held: HeldToken {
            issued_at: at(80_000),
            expires_at: at(180_000),
            refresh_at: at(160_000),
            ..held(1)
        },
        attempt: Attempt { revoke_at: Some(at(80_000 + seconds)), ..attempt },
    });
    let target = written(rotated.0.facts.held.as_ref().unwrap(), &rotated.0.owner());
    let rotated = rotated.target(Some(target));
    assert_eq!(rotated.told(80_001), Told::Wait(Some(80_000 + seconds)));
    assert_eq!(rotated.told(80_000 + seconds), Told::Revoke);
    let done = rotated.learn(80_000 + seconds, |_| Outcome::Revoked { next: None });
    assert_eq!(done.told(80_000 + seconds), Told::Wait(Some(160_000)));
}
