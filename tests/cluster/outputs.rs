//! Further keys of a target, which come from the answer or from the document.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use tokenward::api::annotations::REFRESH_AT;

use crate::harness::World;

const OUTPUTS: &str = r#"response: {outputs: {
    granted: {at: [/scope]},
    absent: {at: [/instance_url]},
    region: {value: eu-1},
    authorization: {value: "Bearer {{ outputs.access_token }}"}}}"#;

fn has(secret: Option<&Secret>, key: &str) -> bool {
    secret.and_then(|secret| secret.data.as_ref()).is_some_and(|data| data.contains_key(key))
}

async fn assert_whole(world: &World, name: &str) {
    let (_, data) = world.secret(name).await;
    let keys: Vec<&str> = data.keys().map(String::as_str).collect();
    let expected =
        ["access_token", "authorization", "expires_at", "granted", "region", "token_type"];
    assert_eq!(keys, expected);
    assert_eq!((&*data["granted"], &*data["region"]), ("orders.read", "eu-1"));
    assert_eq!(data["authorization"], format!("Bearer {}", data["access_token"]));
    assert!(world.sim.is_active(&data["access_token"]));
}

async fn move_to(world: &World, name: &str) {
    world.patch("oct/shop", &format!(r#"{{"spec": {{"target": {{"secretName": "{name}"}}}}}}"#));
    world.until_status("shop", |status| status.secret_name.as_deref() == Some(name)).await;
    assert_whole(world, name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn further_keys_are_kept_whatever_happens_to_the_target() {
    let world = World::new("outputs").await;
    let operator = world.operator(&[]);
    world.apply_oauth2("shop", OUTPUTS);
    world.patch("oct/shop", r#"{"spec": {"scopes": ["orders.read"]}}"#);
    // What an output holds may be secret, and is shown nowhere else.
    world.until::<Secret>("shop", |secret| has(secret, "granted")).await;
    assert_whole(&world, "shop").await;
    let asked = world.requests();
    // Written again from what is there.
    world.kubectl(&["annotate", "secret", "shop", &format!("{REFRESH_AT}-")]);
    world
        .until::<Secret>("shop", |secret| {
            secret.is_some_and(|secret| secret.annotations().contains_key(REFRESH_AT))
        })
        .await;
    assert_whole(&world, "shop").await;
    move_to(&world, "orders").await;
    let log = operator.log().len();
    operator.kill();
    let operator = world.operator(&[]);
    operator.wait_for_log_after(log, "caches are filled").await;
    move_to(&world, "stock").await;
    assert_eq!(world.requests(), asked, "nothing of that costs a request");
    // A key that is gone is mended, which costs one.
    world.kubectl(&[
        "patch",
        "secret",
        "stock",
        "--type=json",
        "-p",
        r#"[{"op": "remove", "path": "/data/region"}]"#,
    ]);
    world.until_requests(asked + 1).await;
    world.until::<Secret>("stock", |secret| has(secret, "region")).await;
    assert_whole(&world, "stock").await;
    // A key that the document does not name any more goes.
    world.patch("oauthprovider/p", r#"{"spec": {"response": {"outputs": {"region": null}}}}"#);
    world.until::<Secret>("stock", |secret| has(secret, "granted") && !has(secret, "region")).await;
}
