//! Secrets that are somebody else's.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use provider_simulator::{Behaviour, Fault, System};
use tokenward::api::annotations::{ALLOW, OWNER};
use tokenward::api::conditions::{READY, STALLED};

use crate::harness::World;

fn foreign(name: &str) -> Secret {
    Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        string_data: Some([("access_token".to_owned(), "theirs".to_owned())].into()),
        ..Secret::default()
    }
}

async fn create(world: &World, secret: &Secret) -> Secret {
    let api: Api<Secret> = Api::namespaced(world.client.clone(), &world.namespace);
    api.create(&PostParams::default(), secret).await.unwrap()
}

#[tokio::test]
async fn a_foreign_target_is_refused_before_any_request() {
    let world = World::new("foreign").await;
    let made = create(&world, &foreign("shop")).await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    let message = world.until_condition("shop", (READY, "False", "SecretNotOwned")).await;
    assert!(message.contains("\"shop\"") && message.contains(ALLOW), "{message}");
    world.until_condition("shop", (STALLED, "True", "SecretNotOwned")).await;
    assert_eq!(world.requests(), 0);
    let (found, data) = world.secret("shop").await;
    assert_eq!(found.metadata.resource_version, made.metadata.resource_version);
    assert_eq!(data["access_token"], "theirs");
    world.kubectl(&["delete", "secret", "shop"]);
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_target_that_is_taken_between_check_and_write_is_not_overwritten() {
    let world = World::new("taken").await;
    let late = Behaviour::failing(Fault::Delay { milliseconds: 5000 });
    world.sim.set(System::Oauth2, late.for_next(1));
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_requests(1).await;
    let made = create(&world, &foreign("shop")).await;
    world.until_condition("shop", (READY, "False", "SecretNotOwned")).await;
    let (found, data) = world.secret("shop").await;
    assert_eq!(found.metadata.resource_version, made.metadata.resource_version);
    assert_eq!(data["access_token"], "theirs");
    assert_eq!(world.requests(), 1);
    world.kubectl(&["delete", "secret", "shop"]);
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn another_tokens_target_is_foreign() {
    let world = World::new("sibling").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    world.apply(&crate::harness::token(
        "thief",
        "providerRef: {name: p}, credentialsSecretRef: {name: c}, target: {secretName: shop}",
    ));
    let message = world.until_condition("thief", (READY, "False", "SecretNotOwned")).await;
    assert!(message.contains("OAuthClientToken \"shop\""), "{message}");
    assert_eq!(world.requests(), 1);
    world.patch("oct/thief", r#"{"spec": {"target": {"secretName": "own"}}}"#);
    world.until_ready("thief").await;
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn a_secret_whose_owner_consents_is_taken_over() {
    let world = World::new("adopt").await;
    let mut secret = foreign("shop");
    secret.metadata.annotations = Some([(ALLOW.to_owned(), "another".to_owned())].into());
    let made = create(&world, &secret).await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    // Consent is for one name.
    world.until_condition("shop", (READY, "False", "SecretNotOwned")).await;
    assert_eq!(world.requests(), 0);
    world.kubectl(&["annotate", "--overwrite", "secret", "shop", &format!("{ALLOW}=shop")]);
    world.until_ready("shop").await;
    let (taken, data) = world.secret("shop").await;
    assert_eq!(taken.metadata.uid, made.metadata.uid);
    assert!(world.sim.is_active(&data["access_token"]));
    let meta = taken.metadata;
    assert!(meta.annotations.unwrap()[OWNER].contains("/shop/"));
    assert_eq!(meta.owner_references.unwrap()[0].kind, "OAuthClientToken");
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn consent_does_not_cover_a_privileged_secret() {
    let world = World::new("privileged").await;
    let mut secret = foreign("shop");
    secret.type_ = Some("helm.sh/release.v1".to_owned());
    secret.metadata.annotations = Some([(ALLOW.to_owned(), "shop".to_owned())].into());
    create(&world, &secret).await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_condition("shop", (READY, "False", "SecretTypeNotAllowed")).await;
    let (_, data) = world.secret("shop").await;
    assert_eq!(data["access_token"], "theirs");
}
