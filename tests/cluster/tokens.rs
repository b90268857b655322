//! The main job: tokens that come, stay fresh and go.

use k8s_openapi::api::core::v1::Secret;
use provider_simulator::{Behaviour, System};
use tokenward::api::annotations::{EXPIRES_AT, ISSUED_AT, OWNER, REFRESH_AT};
use tokenward::api::conditions::{self, FRESH, READY};

use crate::harness::World;

#[tokio::test]
async fn a_token_is_written_and_refreshed_before_it_expires() {
    let world = World::new("fresh").await;
    world.sim.set(System::Oauth2, Behaviour::living(16));
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    let first = world.until_ready("shop").await.token.unwrap();
    let (secret, data) = world.secret("shop").await;
    assert!(world.sim.is_active(&data["access_token"]));
    assert_eq!(data["token_type"], "Bearer");
    let annotations = secret.metadata.annotations.unwrap();
    for key in [ISSUED_AT, EXPIRES_AT, REFRESH_AT, OWNER] {
        assert!(annotations.contains_key(key), "{key} is missing");
    }
    assert_eq!(annotations[EXPIRES_AT], data["expires_at"]);
    let owner = &secret.metadata.owner_references.unwrap()[0];
    assert_eq!((owner.kind.as_str(), owner.controller), ("OAuthClientToken", Some(true)));
    world
        .until_status("shop", |status| {
            status.token.as_ref().is_some_and(|token| token.issued_at > first.issued_at)
        })
        .await;
    let second = world.sim.requests_of(System::Oauth2)[1].time;
    assert!(second < first.expires_at, "the refresh came after the expiry");
}

#[tokio::test]
async fn each_new_value_of_the_annotation_is_one_refresh() {
    let world = World::new("forced").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    let (_, before) = world.secret("shop").await;
    world.force("shop", "one").await;
    let (_, after) = world.secret("shop").await;
    assert_ne!(before["access_token"], after["access_token"]);
    assert_eq!(world.requests(), 2);
    // Neither the same value again nor its removal asks for anything.
    world.force("shop", "one").await;
    world.kubectl(&["annotate", "oct", "shop", "tokenward.dev/refresh-requested-at-"]);
    world.force("shop", "two").await;
    world.force("shop", "three").await;
    assert_eq!(world.requests(), 4);
}

#[tokio::test]
async fn a_suspended_token_is_left_alone_until_it_is_resumed() {
    let world = World::new("suspend").await;
    world.sim.set(System::Oauth2, Behaviour::living(6));
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    world.patch("oct/shop", r#"{"spec": {"suspend": true}}"#);
    world
        .until_status("shop", |status| {
            conditions::find(&status.conditions, FRESH).is_some_and(|c| c.reason == "Suspended")
        })
        .await;
    let before = world.requests();
    // Its refresh is long due when it expires.
    world.until_condition("shop", (READY, "False", "TokenExpired")).await;
    world.until_condition("shop", (FRESH, "False", "Suspended")).await;
    assert_eq!(world.requests(), before);
    let (_, data) = world.secret("shop").await;
    assert!(!data["access_token"].is_empty(), "the Secret is kept");
    world.patch("oct/shop", r#"{"spec": {"suspend": false}}"#);
    world.until_ready("shop").await;
    assert!(world.requests() > before);
}

#[tokio::test]
async fn suspending_and_resuming_a_good_token_asks_for_nothing() {
    let world = World::new("pause").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    world.patch("oct/shop", r#"{"spec": {"suspend": true}}"#);
    world.until_condition("shop", (FRESH, "True", "Suspended")).await;
    world.patch("oct/shop", r#"{"spec": {"suspend": false}}"#);
    world.until_condition("shop", (FRESH, "True", "Refreshed")).await;
    world.force("shop", "barrier").await;
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn a_deleted_token_takes_its_secret_along() {
    let world = World::new("delete").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    world.kubectl(&["delete", "oct", "shop"]);
    world.until::<Secret>("shop", |secret| secret.is_none()).await;
    // The credentials belong to a person and stay.
    world.secret("c").await;
}

#[tokio::test]
async fn a_token_that_is_made_again_is_asked_for_again() {
    let world = World::new("again").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    world.kubectl(&["delete", "oct", "shop", "--cascade=foreground"]);
    world.until::<Secret>("shop", |secret| secret.is_none()).await;
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 2);
}
