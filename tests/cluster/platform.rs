//! Cluster providers: whom they admit, and the platform's own client.

use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use serde_json::{Value, json};
use tokenward::api::ClusterOAuthProvider;
use tokenward::api::conditions::{self, READY, STALLED};

use crate::harness::{OPERATOR_NAMESPACE, World, kubectl, oauth2_client, oauth2_provider, token};

/// A cluster provider of this world's name, with further fields.
fn apply_provider(world: &World, more: &Value) {
    let mut spec = json!({
        "preset": "oauth2",
        "variables": {"tokenUrl": world.sim.endpoint(provider_simulator::System::Oauth2)},
        "limits": {"minInterval": "1s"}
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let provider = json!({
        "apiVersion": "tokenward.dev/v1alpha1", "kind": "ClusterOAuthProvider",
        "metadata": {"name": world.namespace}, "spec": spec
    });
    kubectl(&["apply", "-f", "-"], &provider.to_string());
    world.litter(&["clusteroauthprovider", &world.namespace]);
}

/// The platform's client, in the operator's namespace, under this world's name.
fn apply_client(world: &World, secret: &str) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": world.namespace, "namespace": OPERATOR_NAMESPACE},
        "stringData": {"client_id": CLIENT_ID, "client_secret": secret}
    });
    kubectl(&["apply", "-f", "-"], &secret.to_string());
    world.litter(&["-n", OPERATOR_NAMESPACE, "secret", &world.namespace]);
}

/// A token of the cluster provider.
fn apply_token(world: &World, name: &str, more: &str) {
    let reference = "providerRef: {kind: ClusterOAuthProvider, name: $NS}";
    world.apply(&token(name, &format!("{reference}, {more}")));
}

const OWN: &str = "credentialsSecretRef: {name: c}";

#[tokio::test]
async fn a_cluster_provider_admits_nobody_unless_its_selector_does() {
    let world = World::new("admit").await;
    let _operator = world.operator(&["--cluster-kinds"]);
    world.apply(&oauth2_client("c"));
    apply_token(&world, "shop", OWN);
    world.until_condition("shop", (READY, "False", "ProviderNotFound")).await;
    apply_provider(&world, &json!({}));
    let message = world.until_condition("shop", (READY, "False", "NamespaceNotAdmitted")).await;
    assert!(message.contains(&world.namespace), "{message}");
    world.until_condition("shop", (STALLED, "True", "NamespaceNotAdmitted")).await;
    let selector = json!({"matchLabels": {"team": "shop"}});
    apply_provider(&world, &json!({"usage": {"namespaceSelector": selector}}));
    // A later token is judged by the selector too; then the first one was.
    apply_token(&world, "second", OWN);
    world.until_condition("second", (READY, "False", "NamespaceNotAdmitted")).await;
    assert_eq!(world.requests(), 0);
    // The namespace gets the label: picked up from there.
    kubectl(&["label", "namespace", &world.namespace, "team=shop"], "");
    world.until_ready("shop").await;
    world.until_ready("second").await;
    assert_eq!(world.requests(), 2);
    // And loses it: what is there stays good, nothing new is asked for.
    kubectl(&["label", "namespace", &world.namespace, "team-"], "");
    world.until_condition("shop", ("Fresh", "False", "NamespaceNotAdmitted")).await;
    world.until_condition("shop", (READY, "True", "TokenValid")).await;
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn everybody_is_admitted_by_an_empty_selector() {
    let world = World::new("everybody").await;
    let _operator = world.operator(&["--cluster-kinds"]);
    world.apply(&oauth2_client("c"));
    apply_provider(&world, &json!({"usage": {"namespaceSelector": {}}}));
    apply_token(&world, "shop", &format!("{OWN}, scopes: [any], parameters: {{}}"));
    world.until_ready("shop").await;
    let api: kube::Api<ClusterOAuthProvider> = kube::Api::all(world.client.clone());
    let is_ready = |provider: Option<&ClusterOAuthProvider>| {
        let status = provider.and_then(|provider| provider.status.as_ref());
        status.is_some_and(|status| conditions::is_true(&status.conditions, READY))
    };
    let wait = kube::runtime::wait::await_condition(api, &world.namespace, is_ready);
    tokio::time::timeout(crate::harness::PATIENCE, wait).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_platforms_client_serves_tenants_who_never_see_it() {
    let world = World::new("client").await;
    let operator = world.operator(&["--cluster-kinds"]);
    apply_client(&world, CLIENT_SECRET);
    apply_provider(
        &world,
        &json!({"credentialsSecretRef": {"name": world.namespace}, "usage": {"namespaceSelector": {}}}),
    );
    apply_token(&world, "shop", "");
    world.until_ready("shop").await;
    let request = world.until_requests(1).await;
    assert!(request.refusal.is_none());
    // Nothing that a tenant can read holds the platform's secret.
    let everything = world.kubectl(&["get", "secrets,oct,events", "-o", "json"]);
    let everything: Value = serde_json::from_str(&everything).unwrap();
    for item in everything["items"].as_array().unwrap() {
        let encoded = item["data"].as_object().into_iter().flatten().map(|(_, v)| v);
        for value in encoded {
            use base64::Engine;
            let engine = base64::engine::general_purpose::STANDARD;
            let value = engine.decode(value.as_str().unwrap()).unwrap();
            assert!(!String::from_utf8_lossy(&value).contains(CLIENT_SECRET), "{item}");
        }
        assert!(!item.to_string().contains(CLIENT_SECRET), "{item}");
    }
    assert!(!operator.log().contains(CLIENT_SECRET));
    // A change of the platform's client is a change of inputs.
    let rotated = provider_simulator::Client::new(CLIENT_ID, "rotated");
    world.sim.set_clients(provider_simulator::System::Oauth2, vec![rotated]);
    apply_client(&world, "rotated");
    assert!(world.until_requests(2).await.refusal.is_none());
    world.force("shop", "barrier").await;
    assert_eq!(world.requests(), 3);
}

#[tokio::test]
async fn a_missing_client_of_the_platform_is_waited_for() {
    let world = World::new("noclient").await;
    let _operator = world.operator(&["--cluster-kinds"]);
    apply_provider(
        &world,
        &json!({"credentialsSecretRef": {"name": world.namespace}, "usage": {"namespaceSelector": {}}}),
    );
    // The tenant's own Secret of that name is not the platform's.
    world.apply(&oauth2_client(&world.namespace));
    apply_token(&world, "shop", "");
    let message = world.until_condition("shop", (READY, "False", "CredentialsNotFound")).await;
    assert!(message.contains(&format!("{OPERATOR_NAMESPACE}/{}", world.namespace)), "{message}");
    apply_client(&world, CLIENT_SECRET);
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn without_the_flag_cluster_kinds_are_off_for_named_namespaces() {
    let world = World::new("disabled").await;
    let _operator = world.operator(&[]);
    world.apply(&oauth2_client("c"));
    apply_provider(&world, &json!({"usage": {"namespaceSelector": {}}}));
    apply_token(&world, "shop", OWN);
    let message = world.until_condition("shop", (READY, "False", "ClusterKindsDisabled")).await;
    assert!(message.contains("--cluster-kinds"), "{message}");
    assert_eq!(world.requests(), 0);
    world.apply(&oauth2_provider("p", ""));
    world.patch("oct/shop", r#"{"spec": {"providerRef": {"kind": "OAuthProvider", "name": "p"}}}"#);
    world.until_ready("shop").await;
}

#[tokio::test]
async fn a_tenants_provider_is_nobody_elses() {
    let (owner, other) = (World::new("owner").await, World::new("visitor").await);
    owner.apply(&oauth2_provider("portal", ""));
    let namespaces = ["--namespace", &owner.namespace];
    let _operator = other.operator(&namespaces);
    owner.apply(&oauth2_client("c"));
    owner.apply(&token("shop", &format!("providerRef: {{name: portal}}, {OWN}")));
    owner.until_ready("shop").await;
    other.apply(&oauth2_client("c"));
    other.apply(&token("shop", &format!("providerRef: {{name: portal}}, {OWN}")));
    let message = other.until_condition("shop", (READY, "False", "ProviderNotFound")).await;
    // Nor does a hint tell what others have.
    assert!(!message.contains("did you mean") && message.contains(&other.namespace), "{message}");
    assert_eq!(other.sim.requests(), []);
    assert_eq!(owner.requests(), 1);
}
