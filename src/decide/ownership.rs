//! Whose a target Secret is.

use super::snapshot::{Snapshot, TargetMeta};
use crate::api::annotations::{ALLOW, OWNER, Owner};
use crate::error::{Error, Reason};

/// Whose the target Secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody's: it does not exist.
    Nobody,
    /// This token's.
    Us,
    /// Somebody else's, who consents to our taking it over.
    Consenting,
    /// Somebody else's. Says whose, as far as that is known.
    Another(String),
}

/// Whose the target Secret of a snapshot is.
pub fn ownership(snapshot: &Snapshot) -> Holder {
    match &snapshot.target {
        None => Holder::Nobody,
        Some(target) => holder(target, &snapshot.owner()),
    }
}

/// Whose a Secret with this metadata is.
pub fn holder(target: &TargetMeta, us: &Owner) -> Holder {
    let named = target.annotations.get(OWNER).and_then(|value| Owner::parse(value));
    if let Some(controller) = &target.controller {
        let name_is_ours =
            controller.is_ours() && controller.kind == us.kind && controller.name == us.name;
        // After a restore from backup the reference holds an old uid of the same name: that one
        // cannot exist any more, for its name is ours.
        if controller.uid == us.uid || name_is_ours {
            return Holder::Us;
        }
        return Holder::Another(format!("{} {:?}", controller.kind, controller.name));
    }
    match named {
        Some(owner) if owner.same_name(us) => Holder::Us,
        Some(owner) => Holder::Another(format!("{} {:?}", owner.kind, owner.name)),
        None if target.annotations.get(ALLOW) == Some(&us.name) => Holder::Consenting,
        None => Holder::Another("something that is not tokenward".to_owned()),
    }
}

/// What a foreign target gets, before any token is requested and when it is found out later.
pub fn not_owned(secret_name: &str, whose: &str) -> Error {
    Error::new(
        Reason::SecretNotOwned,
        format!(
            "Secret {secret_name:?} belongs to {whose}: choose another spec.target.secretName, \
             delete that Secret, or annotate it with tokenward.dev/allow: <name of this token>"
        ),
    )
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::snapshot::ControllerRef;
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
}
