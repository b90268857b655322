//! How a new token compares with the one that is there, and what becomes of one that expires.

use rstest::rstest;

use super::super::testing::Told::{self, Wait};
use super::super::testing::{Scene, at, error, foreign, set_back};
use super::*;
use crate::api::OnExpiry;
use crate::error::Reason;

fn renewal_at(second: i64, fingerprint: &str, expires_at: i64) -> Renewal {
    let scene = Scene::holding(3600).requested("a");
    let scene = scene.facts(|facts| facts.held.as_mut().unwrap().fingerprint = Some("a".into()));
    let Plan::Fetch(order) = scene.decide(second) else { panic!() };
    order.renewal(fingerprint, at(second), at(expires_at))
}

#[rstest]
#[case::another("b", 100, 3700, Renewal::Longer)]
#[case::another_within_a_moment("b", 4, 3600, Renewal::Longer)]
#[case::another_that_ends_no_later("b", 100, 3600, Renewal::NoLonger)]
#[case::another_after_the_end("b", 3601, 3600, Renewal::Longer)]
#[case::the_same("a", 100, 3600, Renewal::Same)]
#[case::the_same_by_another_clock("a", 100, 3605, Renewal::Same)]
#[case::the_same_prolonged("a", 100, 3700, Renewal::Prolonged)]
fn a_token_is_compared_with_the_one_that_is_there(
    #[case] fingerprint: &str,
    #[case] second: i64,
    #[case] expires_at: i64,
    #[case] expected: Renewal,
) {
    assert_eq!(renewal_at(second, fingerprint, expires_at), expected);
}

fn with_lead(lead: &str) -> Scene {
    let refresh = serde_json::json!({"lead": lead});
    Scene::holding(3600).token(|t| t.spec.refresh = serde_json::from_value(refresh).unwrap())
}

// It was issued when a fifth of its life was the rule.
#[rstest]
#[case::lengthened(with_lead("30m"), Wait(Some(3600 - 1710)))]
#[case::shortened(with_lead("1m"), Wait(Some(2880)))]
#[case::lengthened_for_one_that_is_handed_back(
    with_lead("30m").facts(|facts| facts.held.as_mut().unwrap().repeated = true),
    Wait(Some(2880))
)]
fn a_longer_lead_counts_at_once(#[case] scene: Scene, #[case] expected: Told) {
    assert_eq!(scene.told(100), expected);
}

fn removing(life: i64) -> Scene {
    Scene::holding(life).token(|token| token.spec.on_expiry = OnExpiry::Remove).min_interval(600)
}

#[rstest]
#[case::good(removing(99), 98, Wait(Some(99)))]
#[case::expired(removing(99), 99, Told::Withdraw)]
#[case::to_be_kept(Scene::holding(99).min_interval(600), 99, Wait(Some(600)))]
#[case::gone_already(removing(99).damaged(|target| target.owned_keys.clear()), 99, Wait(Some(600)))]
#[case::suspended(removing(99).suspended(), 99, Wait(None))]
#[case::not_ours(removing(99).target(Some(foreign())), 99, Wait(None))]
#[case::it_went_wrong_a_moment_ago(set_back(removing(99), 99), 100, Wait(Some(104)))]
// Part of it is not as it was written, and nobody can be asked for another.
#[case::damaged(
    removing(99).damaged(|target| target.owned_keys.retain(|key| key != "token_type")).means(Err(error(Reason::ProviderNotFound))),
    98,
    Wait(Some(99))
)]
// What cannot be withdrawn keeps nothing else from its turn.
#[case::it_went_wrong_and_another_can_be_had(set_back(removing(99).min_interval(1), 99), 105, Told::Fetch)]
#[case::it_went_wrong_and_none_can(set_back(removing(99), 99), 105, Told::Withdraw)]
#[case::nobody_can_be_asked(removing(99).means(Err(error(Reason::ProviderNotFound))), 99, Told::Withdraw)]
fn an_expired_token_leaves_where_that_is_asked_for(
    #[case] scene: Scene,
    #[case] second: i64,
    #[case] expected: Told,
) {
    assert_eq!(scene.told(second), expected);
    // It is the same while a request is under way.
    let (_, withdraw) = meanwhile(&scene.0, at(second));
    let leaves = matches!(expected, Told::Withdraw | Told::Fetch);
    assert_eq!(withdraw.is_some(), leaves);
}
