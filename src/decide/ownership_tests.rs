use rstest::rstest;

use super::super::ControllerRef;
use super::*;

const API: &str = "tokenward.dev/v1alpha1";

fn us() -> Owner {
    Owner::parse("OAuthClientToken/web/shop/new").unwrap()
}

fn controller(api_version: &str, kind: &str, name: &str, uid: &str) -> ControllerRef {
    ControllerRef {
        api_version: api_version.into(),
        kind: kind.into(),
        name: name.into(),
        uid: uid.into(),
    }
}

#[rstest]
#[case::by_uid(Some(controller(API, "OAuthClientToken", "shop", "new")), None, Holder::Us)]
#[case::restored_reference(
    Some(controller(API, "OAuthClientToken", "shop", "old")),
    None,
    Holder::Us
)]
#[case::restored_annotation(None, Some("OAuthClientToken/web/shop/old"), Holder::Us)]
#[case::by_annotation(None, Some("OAuthClientToken/web/shop/new"), Holder::Us)]
#[case::a_sibling(Some(controller(API, "OAuthClientToken", "other", "x")), Some("OAuthClientToken/web/other/x"), Holder::Another("OAuthClientToken \"other\"".into()))]
#[case::a_sibling_that_retains(None, Some("OAuthClientToken/web/other/x"), Holder::Another("OAuthClientToken \"other\"".into()))]
#[case::copied_from_elsewhere(None, Some("OAuthClientToken/prod/shop/x"), Holder::Another("OAuthClientToken \"shop\"".into()))]
#[case::another_controller(Some(controller("apps/v1", "Deployment", "shop", "x")), Some("OAuthClientToken/web/shop/new"), Holder::Another("Deployment \"shop\"".into()))]
#[case::unreadable(None, Some("nonsense"), Holder::Another("something that is not tokenward".into()))]
#[case::a_stranger(None, None, Holder::Another("something that is not tokenward".into()))]
fn whose(
    #[case] controller: Option<ControllerRef>,
    #[case] owner: Option<&str>,
    #[case] expected: Holder,
) {
    let mut target = TargetMeta { controller, ..TargetMeta::default() };
    if let Some(owner) = owner {
        target.annotations.insert(OWNER.into(), owner.into());
    }
    assert_eq!(holder(&target, &us()), expected);
}

#[test]
fn consent_is_for_one_name_and_never_overrides_a_controller() {
    let mut target = TargetMeta::default();
    target.annotations.insert(ALLOW.into(), "shop".into());
    assert_eq!(holder(&target, &us()), Holder::Consenting);
    target.controller = Some(controller("apps/v1", "Deployment", "shop", "x"));
    assert!(matches!(holder(&target, &us()), Holder::Another(_)));
    target.controller = None;
    target.annotations.insert(ALLOW.into(), "other".into());
    assert!(matches!(holder(&target, &us()), Holder::Another(_)));
}

#[test]
fn what_strangers_write_is_told_in_bounds() {
    let long = "n\n".repeat(100_000);
    let mut annotated = TargetMeta::default();
    annotated.annotations.insert(OWNER.into(), format!("OAuthClientToken/web/{long}/u"));
    annotated.annotations.insert(ALLOW.into(), long.clone());
    let controlled = controller("x/v1", &long, &long, "u");
    let controlled = TargetMeta { controller: Some(controlled), ..TargetMeta::default() };
    for target in [annotated, controlled] {
        let Holder::Another(whose) = holder(&target, &us()) else { panic!() };
        assert!(whose.len() < 2000 && !whose.contains('\n'), "{}", whose.len());
    }
}

#[test]
fn consent_for_a_token_is_none_for_a_cluster_token_of_its_name() {
    let cluster = Owner::parse("ClusterOAuthClientToken//shop/u").unwrap();
    for (allowed, token, of_all) in
        [("shop", true, false), ("ClusterOAuthClientToken/shop", false, true)]
    {
        let mut target = TargetMeta::default();
        target.annotations.insert(ALLOW.into(), allowed.into());
        assert_eq!(holder(&target, &us()) == Holder::Consenting, token, "{allowed}");
        assert_eq!(holder(&target, &cluster) == Holder::Consenting, of_all, "{allowed}");
        let refused = if token { cluster.clone() } else { us() };
        let Holder::Another(whose) = holder(&target, &refused) else { panic!() };
        assert!(whose.contains(allowed), "{whose}");
    }
    // And it is told what to write.
    let error = not_owned(&cluster, ("copy", "somebody"));
    assert!(
        error.message().ends_with("tokenward.dev/allow: ClusterOAuthClientToken/shop"),
        "{error}"
    );
}
