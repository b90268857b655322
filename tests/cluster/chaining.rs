//! Tokens that are made from other tokens.

use k8s_openapi::api::core::v1::Secret;
use provider_simulator::{GrantType, Recorded, System};
use tokenward::api::conditions::{self, FRESH, READY};

use crate::costs::{DEBUG, api_requests};
use crate::harness::{World, oauth2_client, oauth2_provider, oauth2_token, token};

/// Providers `p`, of parents, and `exchange`, which takes a parent's token for another one.
pub fn apply_providers(world: &World) {
    let exchange = r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {name: exchange}
spec:
  preset: oauth2-token-exchange
  variables: {tokenUrl: "http://$SIM/oauth2/token"}
  clientAuthentication: [none]
  request: {parameters: {subject_token: "{{ tokens.parent }}"}}
  limits: {minInterval: 1s}
"#;
    let manifests = [&oauth2_provider("p", ""), &oauth2_client("c"), exchange];
    world.apply(&manifests.map(ToString::to_string).join("\n---\n"));
}

pub fn child(name: &str, parent: &str) -> String {
    let spec =
        format!("providerRef: {{name: exchange}}, tokenRefs: {{parent: {{name: {parent}}}}}");
    token(name, &spec)
}

/// Waits until a condition has this status and reason and its message says this.
async fn until_told(world: &World, name: &str, (type_, reason, says): (&str, &str, &str)) {
    world
        .until_status(name, |status| {
            conditions::find(&status.conditions, type_).is_some_and(|condition| {
                condition.status == "False"
                    && condition.reason == reason
                    && condition.message.contains(says)
            })
        })
        .await;
}

pub fn exchanges(world: &World) -> Vec<Recorded> {
    let of_children = |request: &Recorded| request.judged.grant == Some(GrantType::TokenExchange);
    world.sim.requests_of(System::Oauth2).into_iter().filter(of_children).collect()
}

/// The serial of the token that a target holds.
async fn serial(world: &World, name: &str) -> u64 {
    let (_, data) = world.secret(name).await;
    world.sim.introspect(&data["access_token"]).unwrap().serial
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_waits_for_its_parent_and_costs_nothing_when_that_is_renewed() {
    let world = World::new("chain").await;
    let operator = world.operator(&DEBUG);
    apply_providers(&world);
    world.apply(&child("child", "parent"));
    let missing = (READY, "ParentNotReady", "OAuthClientToken \"parent\" does not exist");
    until_told(&world, "child", missing).await;
    world.apply(&oauth2_token("parent").replace("spec: {", "spec: {suspend: true, "));
    until_told(&world, "child", (READY, "ParentNotReady", "has no token yet")).await;
    world.patch("oct/parent", r#"{"spec": {"suspend": false}}"#);
    world.until_ready("child").await;
    let parent = serial(&world, "parent").await;
    assert_eq!(exchanges(&world)[0].judged.parent, Some(parent));
    assert_eq!(world.requests(), 2);

    let mark = operator.log().len();
    world.force("parent", "renewed").await;
    assert_ne!(serial(&world, "parent").await, parent);
    world.witness("witness", "p", "c").await;
    assert_eq!(exchanges(&world).len(), 1, "no token request");
    let requests = api_requests(&operator.log()[mark..]);
    let of_child: Vec<_> = requests.keys().filter(|request| request.contains("/child")).collect();
    assert!(of_child.is_empty(), "{requests:?}");
    assert!(requests.contains_key("PATCH secrets/parent"), "{requests:?}");

    // It takes the one that is there when it is its own turn.
    world.force("child", "now").await;
    assert_eq!(exchanges(&world)[1].judged.parent, Some(serial(&world, "parent").await));
    // What the parent is asked with shapes the child, too.
    world.patch("oct/parent", r#"{"spec": {"scopes": ["orders.read"]}}"#);
    world.until::<Secret>("child", |_| exchanges(&world).len() == 3).await;
    let scoped = world.sim.token(exchanges(&world)[2].judged.parent.unwrap()).unwrap();
    assert_eq!(scoped.scope.as_deref(), Some("orders.read"));

    // Without its parent the child keeps what it has.
    let held = serial(&world, "child").await;
    world.kubectl(&["delete", "oct", "parent"]);
    until_told(&world, "child", (FRESH, "ParentNotReady", "does not exist")).await;
    world.until_condition("child", (READY, "True", "TokenValid")).await;
    assert_eq!(serial(&world, "child").await, held);
    assert_eq!(exchanges(&world).len(), 3);
    // A new parent of that name is as good.
    world.apply(&oauth2_token("parent"));
    world.until_condition("child", (FRESH, "True", "Refreshed")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cycle_is_refused_with_all_names_and_heals_when_it_is_broken() {
    let world = World::new("cycle").await;
    let _operator = world.operator(&[]);
    apply_providers(&world);
    for (name, parent) in
        [("one", "two"), ("two", "three"), ("three", "one"), ("below", "one"), ("self", "self")]
    {
        world.apply(&child(name, parent));
    }
    for (name, names) in [
        ("one", "one → two → three → one"),
        ("two", "two → three → one → two"),
        ("three", "three → one → two → three"),
        ("self", "self → self"),
    ] {
        until_told(&world, name, (READY, "InvalidSpec", names)).await;
    }
    until_told(&world, "below", (READY, "ParentNotReady", "\"one\"")).await;
    assert_eq!(world.sim.requests(), []);
    let healed = r#"{"spec": {"providerRef": {"name": "p"}, "tokenRefs": null,
        "credentialsSecretRef": {"name": "c"}}}"#;
    world.patch("oct/three", healed);
    for name in ["three", "two", "one", "below"] {
        world.until_ready(name).await;
    }
    assert_eq!(exchanges(&world).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_in_another_namespace_is_none() {
    let (world, other) = (World::new("chain-here").await, World::new("chain-there").await);
    let _operator = world.operator(&["--namespace", &other.namespace]);
    other.apply_oauth2("parent", "");
    other.until_ready("parent").await;
    apply_providers(&world);
    world.apply(&child("child", "parent"));
    until_told(&world, "child", (READY, "ParentNotReady", "does not exist")).await;
    // Nor a token in whose target the other's name is written.
    world.apply(&format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: parent, annotations: {{tokenward.dev/owner: \
         OAuthClientToken/{}/parent/x, tokenward.dev/expires-at: \"2099-01-01T00:00:00Z\"}}}}, \
         stringData: {{access_token: planted}}}}",
        other.namespace
    ));
    world.apply(&oauth2_token("parent"));
    until_told(&world, "parent", (READY, "SecretNotOwned", "")).await;
    until_told(&world, "child", (READY, "ParentNotReady", "has no token yet")).await;
    assert_eq!(world.sim.requests(), []);
}
