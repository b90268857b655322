//! The main job: tokens that come, stay fresh and go.

use provider_simulator::{Behaviour, System};
use tokenward::api::annotations::{EXPIRES_AT, ISSUED_AT, OWNER, REFRESH_AT};

use crate::harness::World;

#[tokio::test]
async fn a_token_is_written_and_refreshed_before_it_expires() {
    let world = World::new("fresh").await;
    world.sim.set(System::Oauth2, Behaviour::living(8));
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
