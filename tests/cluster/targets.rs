//! Targets that somebody touches: mended, never at the cost of a request that is not needed.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use tokenward::api::MANAGED_BY;
use tokenward::api::annotations::{EXPIRES_AT, OWNER};

use crate::harness::{World, oauth2_client, oauth2_provider, token};

#[tokio::test]
async fn a_deleted_target_comes_back_with_one_request() {
    let world = World::new("deleted").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    let (old, _) = world.secret("shop").await;
    world.kubectl(&["delete", "secret", "shop"]);
    let is_new = |secret: Option<&Secret>| {
        secret.is_some_and(|secret| secret.metadata.uid != old.metadata.uid)
    };
    world.until::<Secret>("shop", is_new).await;
    let (_, data) = world.secret("shop").await;
    assert!(world.sim.is_active(&data["access_token"]));
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 2);
    world.force("shop", "barrier").await;
    assert_eq!(world.requests(), 3);
}

#[tokio::test]
async fn a_damaged_target_is_mended_by_one_request() {
    let world = World::new("damaged").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    let token =
        |secret: &Secret| secret.data.as_ref().and_then(|data| data.get("access_token").cloned());
    world.patch("secret/shop", r#"{"stringData": {"access_token": "damaged"}}"#);
    world.until::<Secret>("shop", |s| s.and_then(token).is_some_and(|t| t.0 != b"damaged")).await;
    let (_, data) = world.secret("shop").await;
    assert!(world.sim.is_active(&data["access_token"]));
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 2);
    // A key that is taken away is damage too.
    world.patch("secret/shop", r#"{"data": {"access_token": null}}"#);
    world.until::<Secret>("shop", |s| s.and_then(token).is_some()).await;
    world.force("shop", "barrier").await;
    assert_eq!(world.requests(), 4);
}

#[tokio::test]
async fn lost_metadata_is_written_again_without_a_request() {
    let world = World::new("metadata").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    let (_, before) = world.secret("shop").await;
    let label = format!("{MANAGED_BY}-");
    world.kubectl(&["label", "secret", "shop", &label]);
    let whole = |secret: Option<&Secret>| {
        let Some(meta) = secret.map(|secret| &secret.metadata) else { return false };
        let annotations = meta.annotations.clone().unwrap_or_default();
        meta.labels.as_ref().is_some_and(|labels| labels.contains_key(MANAGED_BY))
            && annotations.contains_key(OWNER)
            && annotations.get(EXPIRES_AT) == Some(&before["expires_at"])
            && meta.owner_references.as_ref().is_some_and(|owners| owners.len() == 1)
    };
    world.until::<Secret>("shop", whole).await;
    for annotation in [EXPIRES_AT, OWNER] {
        world.kubectl(&["annotate", "secret", "shop", &format!("{annotation}-")]);
        world.until::<Secret>("shop", whole).await;
    }
    world.kubectl(&["annotate", "--overwrite", "secret", "shop", &format!("{EXPIRES_AT}=never")]);
    world.until::<Secret>("shop", whole).await;
    world.patch("secret/shop", r#"{"metadata": {"ownerReferences": null}}"#);
    world.until::<Secret>("shop", whole).await;
    let (_, after) = world.secret("shop").await;
    assert_eq!(before, after);
    assert_eq!(world.requests(), 1);
    world.force("shop", "barrier").await;
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn what_is_not_declared_any_more_goes_with_the_next_write() {
    let world = World::new("dropped").await;
    let _operator = world.operator(&[]);
    let shop = r#"providerRef: {name: p}, credentialsSecretRef: {name: c}, target: {template:
        {labels: {x: l}, annotations: {x: a}, data: {x: "{{ access_token }}"}}}"#;
    world.apply(&format!("{}\n---\n{}", oauth2_provider("p", ""), oauth2_client("c")));
    world.apply(&token("shop", shop));
    let holds = |secret: &Secret| {
        let data = secret.data.as_ref();
        [
            secret.labels().contains_key("x"),
            secret.annotations().contains_key("x"),
            data.is_some_and(|data| data.contains_key("x")),
        ]
    };
    // First what POST made, then what was applied.
    for refresh in ["one", "two"] {
        world.until::<Secret>("shop", |s| s.map(holds) == Some([true; 3])).await;
        world.until_ready("shop").await;
        world.kubectl(&["label", "--overwrite", "secret", "shop", &format!("team={refresh}")]);
        world.patch("oct/shop", r#"{"spec": {"target": null}}"#);
        world.until::<Secret>("shop", |s| s.map(holds) == Some([false; 3])).await;
        world.force("shop", refresh).await;
        let (secret, _) = world.secret("shop").await;
        assert_eq!((holds(&secret), &*secret.labels()["team"]), ([false; 3], refresh));
        world.apply(&token("shop", shop));
    }
}
