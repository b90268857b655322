//! What a person changes: which of it asks for a new token, and which does not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use provider_simulator::systems::oauth2::CLIENT_ID;
use provider_simulator::{Client, System};
use tokenward::api::OAuthClientToken;
use tokenward::api::annotations::EXPIRES_AT;

use crate::harness::World;

#[tokio::test]
async fn a_changed_input_is_one_request_with_the_new_values() {
    let world = World::new("inputs").await;
    let clients = vec![Client::default_of(System::Oauth2), Client::new(CLIENT_ID, "another")];
    world.sim.set_clients(System::Oauth2, clients);
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;

    world.patch("oap/p", r#"{"spec": {"request": {"parameters": {"audience": "orders"}}}}"#);
    let request = world.until_requests(2).await;
    assert!(request.body.contains("audience=orders"), "{}", request.body);

    world.patch("secret/c", r#"{"stringData": {"client_secret": "another"}}"#);
    let request = world.until_requests(3).await;
    let pair = request.header("authorization").unwrap().strip_prefix("Basic ").unwrap();
    let pair = String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap();
    assert!(pair.ends_with(":another"), "{pair}");

    world.patch("oct/shop", r#"{"spec": {"scopes": ["read", "write"]}}"#);
    let request = world.until_requests(4).await;
    assert!(request.body.contains("scope=read+write"), "{}", request.body);

    world.force("shop", "barrier").await;
    let requests = world.sim.requests_of(System::Oauth2);
    assert_eq!(requests.len(), 5);
    assert!(requests.iter().all(|request| request.refusal.is_none()));
}

#[tokio::test]
async fn another_provider_or_other_credentials_are_one_request() {
    let world = World::new("other").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    world.apply(&crate::harness::oauth2_provider("q", "request: {parameters: {audience: q}}"));
    world.patch("oct/shop", r#"{"spec": {"providerRef": {"name": "q"}}}"#);
    let request = world.until_requests(2).await;
    assert!(request.body.contains("audience=q"), "{}", request.body);
    // The same values under another name are the same inputs.
    world.apply(&crate::harness::oauth2_client("d"));
    world.patch("oct/shop", r#"{"spec": {"credentialsSecretRef": {"name": "d"}}}"#);
    world.until_status("shop", |status| status.observed_generation == Some(3)).await;
    world.force("shop", "barrier").await;
    assert_eq!(world.requests(), 3);
}

#[tokio::test]
async fn a_persons_label_or_annotation_asks_for_nothing() {
    let world = World::new("labels").await;
    let clients = vec![Client::default_of(System::Oauth2), Client::new(CLIENT_ID, "another")];
    world.sim.set_clients(System::Oauth2, clients);
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    for object in ["oct/shop", "secret/c", "secret/shop", "oap/p"] {
        world.kubectl(&["label", object, "team=web"]);
        world.kubectl(&["annotate", object, "example.com/note=hello"]);
    }
    // Then something on each of the watches that does ask: what came before it was seen before.
    world.force("shop", "barrier").await;
    world.until_requests(2).await;
    world.patch("secret/c", r#"{"stringData": {"client_secret": "another"}}"#);
    world.until_requests(3).await;
    world.patch("oap/p", r#"{"spec": {"request": {"parameters": {"audience": "orders"}}}}"#);
    world.until_requests(4).await;
    world.patch("secret/shop", r#"{"stringData": {"access_token": "damaged"}}"#);
    world.until_requests(5).await;
    world.force("shop", "last").await;
    assert_eq!(world.requests(), 6);
    let (target, _) = world.secret("shop").await;
    assert_eq!(target.metadata.labels.unwrap()["team"], "web", "a person's label stays");
}

#[tokio::test]
async fn a_new_pace_asks_for_nothing() {
    let world = World::new("pace").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    world.patch("oap/p", r#"{"spec": {"limits": {"minInterval": "2s"}}}"#);
    world.patch("oap/p", r#"{"spec": {"errors": {"code": ["/code"]}}}"#);
    world
        .until::<tokenward::api::OAuthProvider>("p", |provider| {
            let status = provider.and_then(|provider| provider.status.as_ref());
            status.is_some_and(|status| status.observed_generation == Some(3))
        })
        .await;
    world.force("shop", "barrier").await;
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn a_renamed_target_holds_the_same_token_without_a_request() {
    let world = World::new("rename").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    let (old, before) = world.secret("shop").await;
    world.patch("oct/shop", r#"{"spec": {"target": {"secretName": "orders"}}}"#);
    world.until_status("shop", |status| status.secret_name.as_deref() == Some("orders")).await;
    let (new, after) = world.secret("orders").await;
    assert_eq!(before, after);
    assert_eq!(
        old.metadata.annotations.unwrap()[EXPIRES_AT],
        new.metadata.annotations.unwrap()[EXPIRES_AT]
    );
    world.until::<k8s_openapi::api::core::v1::Secret>("shop", |secret| secret.is_none()).await;
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 1);
    world.force("shop", "barrier").await;
    assert_eq!(world.requests(), 2);
    let token = world.until::<OAuthClientToken>("shop", |_| true).await.unwrap();
    assert_eq!(token.spec.target.secret_name.as_deref(), Some("orders"));
}

#[tokio::test]
async fn a_key_that_is_not_told_any_more_goes() {
    let world = World::new("key").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    let (_, data) = world.secret("shop").await;
    assert_eq!(data["token_type"], "Bearer");
    world.patch("oap/p", r#"{"spec": {"response": {"tokenType": ["/nowhere"]}}}"#);
    world.force("shop", "now").await;
    let (_, data) = world.secret("shop").await;
    assert_eq!(data.keys().collect::<Vec<_>>(), ["access_token", "expires_at"]);
    world.patch("oap/p", r#"{"spec": {"response": {"tokenType": ["/token_type"]}}}"#);
    world.force("shop", "back").await;
    let (_, data) = world.secret("shop").await;
    assert_eq!(data["token_type"], "Bearer");
}
