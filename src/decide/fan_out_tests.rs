use std::sync::Arc;

use rstest::rstest;

use super::super::admission::not_admitted;
use super::super::copy_facts::{CopyOutcome, learn_copy};
use super::super::learn::Lesson;
use super::super::snapshot::TargetMeta;
use super::super::testing::{Scene, at, error, foreign, held, written};
use super::*;
use crate::api::annotations::{ALLOW, EXPIRES_AT, OWNER};
use crate::api::{DeletionPolicy, OnExpiry};
use crate::error::Reason;

/// The copies of a token of this life, whose master copy was written at second 0, in these
/// namespaces.
fn world(life: i64, namespaces: &[&str]) -> FanOut {
    let grant = Scene::holding(life).0;
    let mut pattern = (*grant.token).clone();
    pattern.spec.target.secret_name = Some("copy".into());
    let destinations = namespaces.iter().map(|namespace| Destination {
        key: key(namespace),
        admission: Ok(()),
        found: None,
    });
    FanOut {
        destinations: Ok(destinations.collect()),
        pattern: Arc::new(pattern),
        shape: Ok(Outline::default()),
        strays: Vec::new(),
        memory: BTreeMap::new(),
        grant,
    }
}

fn key(namespace: &str) -> SecretKey {
    SecretKey { namespace: namespace.into(), name: "copy".into() }
}

fn copy(all: &FanOut, life: i64) -> TargetMeta {
    written(&held(life), &all.grant.owner())
}

/// One namespace with this Secret in it.
fn with(found: impl FnOnce(&FanOut) -> TargetMeta) -> FanOut {
    let mut all = world(3600, &["a"]);
    let found = Arc::new(found(&all));
    at_first(&mut all, |destination| destination.found = Some(found));
    all
}

fn at_first(all: &mut FanOut, change: impl FnOnce(&mut Destination)) {
    change(all.destinations.as_mut().unwrap().first_mut().unwrap());
}

/// What is done at a second: `NAMESPACE/CHANGE` for each step.
fn steps(all: &FanOut, second: i64) -> Vec<String> {
    let steps = fan_out(all, at(second)).steps.into_iter();
    let word = |change: &CopyChange| match change {
        CopyChange::Write(_) => "write",
        CopyChange::Withdraw(_) => "withdraw",
        CopyChange::Remove => "remove",
    };
    steps.map(|step| format!("{}/{}", step.key.namespace, word(&step.change))).collect()
}

fn tally(all: &FanOut, second: i64) -> Tally {
    fan_out(all, at(second)).tally.unwrap()
}

fn reasons(all: &FanOut, second: i64) -> Vec<(String, &'static str)> {
    let failures = tally(all, second).failures.into_iter();
    failures.map(|(namespace, error)| (namespace, error.reason().as_str())).collect()
}

#[test]
fn every_namespace_without_a_copy_gets_one() {
    let all = world(3600, &["a", "b"]);
    assert_eq!(steps(&all, 10), ["a/write", "b/write"]);
    let CopyChange::Write(held) = &fan_out(&all, at(10)).steps[0].change else { panic!() };
    assert_eq!((held.secret_name.as_str(), held.expires_at), ("copy", at(3600)));
    assert_eq!(tally(&all, 10), Tally { selected: 2, ..Tally::default() });
    assert_eq!(tally(&all, 10).ready(at(10)).unwrap().reason, "Pending");
}

#[test]
fn a_copy_that_is_right_is_left_alone_until_its_token_expires() {
    let all = with(|all| copy(all, 3600));
    let plan = fan_out(&all, at(10));
    assert_eq!((plan.steps, plan.until), (vec![], Some(at(3600))));
    let tally = plan.tally.unwrap();
    assert_eq!((tally.ready, tally.expires_at), (1, Some(at(3600))));
    assert_eq!(tally.ready(at(10)).unwrap().status, "True");
    assert_eq!(tally.failed(), None);
}

#[rstest]
#[case::a_former_token(|meta: &mut TargetMeta| drop(meta.annotations.insert(EXPIRES_AT.into(), "2027-01-15T08:30:00Z".into())))]
#[case::a_key_that_somebody_changed(|meta: &mut TargetMeta| { meta.owned_keys.remove("access_token"); })]
#[case::no_label(|meta: &mut TargetMeta| meta.labelled = false)]
#[case::no_reference(|meta: &mut TargetMeta| meta.controller = None)]
#[case::no_annotation(|meta: &mut TargetMeta| drop(meta.annotations.remove(OWNER)))]
#[case::with_consent(|meta: &mut TargetMeta| { *meta = TargetMeta::default(); meta.annotations.insert(ALLOW.into(), "shop".into()); })]
fn what_is_not_as_it_should_be_is_written(#[case] damage: fn(&mut TargetMeta)) {
    let all = with(|all| {
        let mut meta = copy(all, 3600);
        damage(&mut meta);
        meta
    });
    assert_eq!(steps(&all, 10), ["a/write"]);
}

#[test]
fn a_strangers_secret_is_no_bar_to_others() {
    let mut all = world(3600, &["a", "b"]);
    at_first(&mut all, |a| a.found = Some(Arc::new(foreign())));
    assert_eq!(steps(&all, 10), ["b/write"]);
    assert_eq!(reasons(&all, 10), [("a".to_owned(), "SecretNotOwned")]);
    assert_eq!(tally(&all, 10).ready(at(10)).unwrap().reason, "NamespacesFailed");
}

#[test]
fn a_namespace_that_is_not_admitted_has_no_copy() {
    let mut all = with(|all| copy(all, 3600));
    at_first(&mut all, |a| a.admission = Err(not_admitted("a")));
    assert_eq!(steps(&all, 10), ["a/remove"]);
    assert_eq!(reasons(&all, 10), [("a".to_owned(), "NamespaceNotAdmitted")]);
    // A stranger's Secret there is none of our business.
    at_first(&mut all, |a| a.found = Some(Arc::new(foreign())));
    assert!(steps(&all, 10).is_empty());
}

#[test]
fn what_is_ours_and_in_no_place_of_a_copy_goes() {
    let mut all = world(3600, &[]);
    let meta = Arc::new(copy(&all, 3600));
    all.strays = vec![(key("left"), meta), (key("feigned"), Arc::new(foreign()))];
    assert_eq!(steps(&all, 10), ["left/remove"]);
    // But not while it is unknown who is selected.
    all.destinations = Err(error(Reason::ProviderNotFound));
    assert!(steps(&all, 10).is_empty());
    assert_eq!(fan_out(&all, at(10)).tally, None);
}

#[rstest]
#[case::nothing_there(|_: &mut FanOut| {}, &["a/write"])]
#[case::a_strangers(|all: &mut FanOut| at_first(all, |a| a.found = Some(Arc::new(foreign()))), &[])]
#[case::no_shape(|all: &mut FanOut| all.shape = Err(error(Reason::InvalidSpec)), &[])]
#[case::no_master(|all: &mut FanOut| all.grant.target = None, &[])]
#[case::there(|all: &mut FanOut| { let meta = Arc::new(copy(all, 3600)); at_first(all, |a| a.found = Some(meta)); }, &["a/remove"])]
#[case::not_admitted(|all: &mut FanOut| at_first(all, |a| a.admission = Err(not_admitted("a"))), &["a/remove"])]
fn a_former_copy_goes_only_once_the_new_one_is_there(
    #[case] state: fn(&mut FanOut),
    #[case] expected: &[&str],
) {
    let mut all = world(3600, &["a"]);
    let former = SecretKey { name: "former".into(), ..key("a") };
    all.strays = vec![(former, Arc::new(copy(&all, 3600)))];
    state(&mut all);
    assert_eq!(steps(&all, 10), expected);
}

#[test]
fn what_is_to_be_retained_stays_where_it_is_no_copy_any_more() {
    let mut all = with(|all| TargetMeta { controller: None, ..copy(all, 3600) });
    let meta = Arc::new(copy(&all, 3600));
    all.strays = vec![(key("left"), meta)];
    at_first(&mut all, |a| a.admission = Err(not_admitted("a")));
    assert_eq!(steps(&all, 10), ["a/remove", "left/remove"]);
    Arc::make_mut(&mut all.pattern).spec.target.deletion_policy = DeletionPolicy::Retain;
    assert!(steps(&all, 10).is_empty());
}

#[test]
fn copies_have_a_shape_of_their_own() {
    let mut all = with(|all| copy(all, 3600));
    all.shape = Ok(Outline { digest: "formats".into(), ..Outline::default() });
    assert_eq!(steps(&all, 10), ["a/write"]);
    all.shape = Err(error(Reason::InvalidSpec));
    assert!(steps(&all, 10).is_empty());
    assert_eq!(reasons(&all, 10), [("a".to_owned(), "InvalidSpec")]);
    // An expired token goes all the same.
    Arc::make_mut(&mut all.pattern).spec.on_expiry = OnExpiry::Remove;
    assert_eq!(steps(&all, 3600), ["a/withdraw"]);
}

#[test]
fn without_a_good_master_copy_nothing_is_written() {
    let mut all = world(3600, &["a"]);
    assert!(steps(&all, 3600).is_empty(), "an expired token was handed out");
    all.grant.target = None;
    assert!(steps(&all, 10).is_empty());
    let mut damaged = copy(&all, 3600);
    damaged.owned_keys.remove("access_token");
    all.grant.target = Some(damaged);
    assert!(steps(&all, 10).is_empty());
}

#[test]
fn an_expired_token_leaves_the_copies_where_the_spec_says_so() {
    let mut all = with(|all| copy(all, 3600));
    assert!(steps(&all, 3600).is_empty());
    assert_eq!(tally(&all, 3600).ready, 0);
    Arc::make_mut(&mut all.pattern).spec.on_expiry = OnExpiry::Remove;
    assert_eq!(steps(&all, 3600), ["a/withdraw"]);
    at_first(&mut all, |a| {
        let mut empty = (**a.found.as_ref().unwrap()).clone();
        empty.owned_keys.clear();
        a.found = Some(Arc::new(empty));
    });
    assert!(steps(&all, 3600).is_empty());
}

/// A namespace whose copy holds a token that expired at second 0, while the grant has a new one.
fn left_behind() -> FanOut {
    let mut all = with(|all| {
        let former = HeldToken { issued_at: at(-100), expires_at: at(0), ..held(3600) };
        written(&former, &all.grant.owner())
    });
    Arc::make_mut(&mut all.pattern).spec.on_expiry = OnExpiry::Remove;
    all
}

#[test]
fn a_former_token_that_expired_leaves_a_copy_that_cannot_be_renewed() {
    let mut all = left_behind();
    assert_eq!(steps(&all, 10), ["a/write"]);
    all.shape = Err(error(Reason::InvalidSpec));
    assert_eq!(steps(&all, -1), Vec::<&str>::new());
    assert_eq!(steps(&all, 10), ["a/withdraw"]);
    assert_eq!(reasons(&all, 10), [("a".to_owned(), "InvalidSpec")]);
    Arc::make_mut(&mut all.pattern).spec.on_expiry = OnExpiry::Keep;
    assert!(steps(&all, 10).is_empty());
    // Nor does it stay while nobody knows who is selected.
    let mut all = left_behind();
    let copy = all.destinations.as_ref().unwrap().first().unwrap().found.clone().unwrap();
    all.strays = vec![(key("a"), copy)];
    all.destinations = Err(error(Reason::ProviderNotFound));
    assert_eq!(fan_out(&all, at(-1)).until, Some(at(0)));
    assert_eq!(steps(&all, 10), ["a/withdraw"]);
}

#[test]
fn it_leaves_one_that_does_not_take_the_new_token_which_is_tried_again_as_before() {
    let mut all = left_behind();
    let refused = outcome(Some(error(Reason::TargetNotRendered)));
    let facts = learn_copy(CopyFacts::default(), &refused, lesson(10));
    all.memory.insert(key("a"), facts.clone());
    assert_eq!(steps(&all, 10), ["a/withdraw"]);
    let gone = CopyOutcome { tried: Tried { issued_at: None, ..refused.tried }, ..outcome(None) };
    let facts = learn_copy(facts, &gone, lesson(11));
    all.memory.insert(key("a"), facts);
    at_first(&mut all, |a| Arc::make_mut(a.found.as_mut().unwrap()).owned_keys.clear());
    assert!(steps(&all, 11).is_empty());
    assert_eq!(steps(&all, 10 + 60), ["a/write"]);
}

#[test]
fn it_leaves_them_too_while_the_provider_is_gone() {
    let mut all = world(3600, &[]);
    let meta = Arc::new(copy(&all, 3600));
    let other = SecretKey { name: "former".into(), ..key("a") };
    all.strays =
        vec![(key("a"), Arc::clone(&meta)), (other, meta), (key("b"), Arc::new(foreign()))];
    all.destinations = Err(error(Reason::ProviderNotFound));
    assert!(steps(&all, 3600).is_empty());
    Arc::make_mut(&mut all.pattern).spec.on_expiry = OnExpiry::Remove;
    assert!(steps(&all, 3599).is_empty());
    assert_eq!(fan_out(&all, at(3599)).until, Some(at(3600)));
    assert_eq!(steps(&all, 3600), ["a/withdraw"]);
}

#[test]
fn nothing_is_done_in_suspension() {
    let mut all = world(3600, &["a"]);
    Arc::make_mut(&mut all.grant.token).spec.suspend = true;
    assert!(steps(&all, 10).is_empty());
    assert_eq!(tally(&all, 10).selected, 1);
}

fn lesson(second: i64) -> Lesson<'static> {
    Lesson { now: at(second), min_interval: None, random: 0.5, undone_by: None }
}

fn outcome(error: Option<Error>) -> CopyOutcome {
    tried("target/1", error)
}

/// What came of writing the token to this version of the Secret.
fn tried(version: &str, error: Option<Error>) -> CopyOutcome {
    let version = Some(version.to_owned()).filter(|version| !version.is_empty());
    let tried = Tried { version, generation: Some(1), issued_at: Some(at(0)) };
    CopyOutcome { key: key("a"), tried, editor: Some("helm".into()), error }
}

#[test]
fn one_that_fails_is_tried_again_later_and_told_of_the_second_time() {
    let mut all = world(3600, &["a", "b"]);
    let failed = |facts, second| {
        learn_copy(facts, &outcome(Some(error(Reason::WriteFailed))), lesson(second))
    };
    let facts = failed(CopyFacts::default(), 10);
    all.memory.insert(key("a"), facts.clone());
    let plan = fan_out(&all, at(10));
    assert_eq!(plan.steps.len(), 1);
    assert_eq!(plan.until, Some(at(13)));
    assert_eq!(reasons(&all, 10), []);
    assert_eq!(steps(&all, 13), ["a/write", "b/write"]);
    all.memory.insert(key("a"), failed(facts, 13));
    assert_eq!(reasons(&all, 13), [("a".to_owned(), "WriteFailed")]);
    assert_eq!(steps(&all, 13), ["b/write"]);
}

#[rstest]
#[case::the_same_again(|_: &mut FanOut| {}, &[])]
#[case::another_version(|all: &mut FanOut| at_first(all, |a| Arc::make_mut(a.found.as_mut().unwrap()).resource_version = "2".into()), &["a/write"])]
#[case::the_secret_is_gone(|all: &mut FanOut| at_first(all, |a| a.found = None), &["a/write"])]
#[case::another_spec(|all: &mut FanOut| Arc::make_mut(&mut all.pattern).metadata.generation = Some(2), &["a/write"])]
fn what_a_person_has_to_mend_is_tried_seldom_until_something_changed(
    #[case] change: fn(&mut FanOut),
    #[case] expected: &[&str],
) {
    let mut all = with(|all| TargetMeta { labelled: false, ..copy(all, 3600) });
    let mut facts = CopyFacts::default();
    for second in [10, 100] {
        let refused = outcome(Some(error(Reason::SecretTypeNotAllowed)));
        facts = learn_copy(facts, &refused, lesson(second));
    }
    all.memory.insert(key("a"), facts.clone());
    // The second time: two minutes, as with a token's own target.
    assert_eq!(fan_out(&all, at(100)).until, Some(at(220)));
    change(&mut all);
    assert_eq!(steps(&all, 100), expected);
    // A hiccup is waited for, whatever changed.
    let hiccup = outcome(Some(error(Reason::WriteFailed)));
    all.memory.insert(key("a"), learn_copy(facts, &hiccup, lesson(100)));
    assert!(steps(&all, 100).is_empty());
}

#[test]
fn a_strangers_secret_that_nobody_knew_of_is_judged_at_once_and_any_other_later() {
    let found = |version| {
        let refused = tried(version, Some(error(Reason::SecretNotOwned)));
        learn_copy(CopyFacts::default(), &refused, lesson(10)).setback.is_none()
    };
    assert!(found(""));
    // One of ours whose type cannot be changed, for there is more in it: no reason to spin.
    assert!(!found("target/1"));
}

#[test]
fn whoever_undoes_a_copy_again_and_again_is_given_way_to() {
    let mut all = world(864_000, &["a"]);
    let mut facts = learn_copy(CopyFacts::default(), &outcome(None), lesson(10));
    all.memory.insert(key("a"), facts.clone());
    // Undone at once: mended at once, the first time.
    assert_eq!(steps(&all, 10), ["a/write"]);
    let mut second = 10;
    for _ in 0..20 {
        facts = learn_copy(facts, &outcome(None), lesson(second));
        all.memory.insert(key("a"), facts.clone());
        let until = fan_out(&all, at(second)).until.unwrap();
        assert!(until >= at(second + 3));
        second = (until - at(0)).num_seconds();
    }
    assert!(second > 600, "{second}");
    // It is told, and by whom, until it has been quiet for a while.
    assert_eq!(reasons(&all, second), [("a".to_owned(), "TargetContested")]);
    assert!(tally(&all, second).failures[0].1.message().contains("\"helm\""));
    let mended = Arc::new(copy(&all, 864_000));
    at_first(&mut all, |a| a.found = Some(mended));
    assert_eq!(reasons(&all, second), [("a".to_owned(), "TargetContested")]);
    let quiet = (fan_out(&all, at(second)).until.unwrap() - at(0)).num_seconds();
    assert_eq!(reasons(&all, quiet), []);
    at_first(&mut all, |a| a.found = None);
    // Another token is no repair.
    let renewed = CopyFacts { issued_at: Some(at(-5)), ..facts };
    all.memory.insert(key("a"), renewed);
    assert_eq!(steps(&all, 11), ["a/write"]);
}

#[test]
fn what_changed_meanwhile_is_seen_after_a_few_steps() {
    let names: Vec<String> = (0..200).map(|n| format!("ns{n:03}")).collect();
    let all = world(3600, &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(steps(&all, 10).len(), 64);
}

#[test]
fn a_message_names_a_few() {
    let failures = ["a", "b", "c", "d"].map(|n| (n.to_owned(), not_admitted(n)));
    let tally = Tally { selected: 9, ready: 5, expires_at: Some(at(9)), failures: failures.into() };
    assert_eq!(
        tally.failed().unwrap().message,
        "4 of 9 namespaces cannot be given the token: a (NamespaceNotAdmitted), \
         b (NamespaceNotAdmitted), c (NamespaceNotAdmitted), …"
    );
}
