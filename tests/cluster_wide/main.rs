//! The operator as most people run it: one for all namespaces, under its own ServiceAccount.
//!
//! A binary of its own, because such an operator would work on the tokens of every other test:
//! cargo runs one binary after another.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test says what it expects by failing, and waits by the real clock"
)]

#[path = "../cluster/harness/mod.rs"]
mod harness;

mod book;
mod copies;
mod fan_out;
mod fleet;
mod installing;
mod readme;
mod typed;

use std::path::Path;

use k8s_openapi::api::core::v1::Secret;
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use provider_simulator::{Behaviour, Options, System};
use serde_json::json;
use tokenward::api::annotations::{EXPIRES_AT, INPUTS, ISSUED_AT, OWNER, REFRESH_AT};
use tokio::sync::Mutex;

use harness::{LOOPBACK, OPERATOR_NAMESPACE, PATIENCE, World, kubectl, oauth2_client, token};

/// Two operators for everything would work against each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

const FOUR: [(&str, System); 4] = [
    ("mediahound", System::Mediahound),
    ("optimizely", System::Optimizely),
    ("oracle", System::Oracle),
    ("sitecore", System::Sitecore),
];

/// The shipped example, in this world's namespace and with its simulator.
fn apply_example(world: &World) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/four-systems");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = |path| std::fs::read_to_string(path).unwrap();
    let manifests: Vec<String> = files.iter().map(read).collect();
    let manifests = manifests
        .join("\n---\n")
        .replace("127.0.0.1:8085", &world.sim.addr().to_string())
        .replace("namespace: web", &format!("namespace: {}", world.namespace))
        .replace("{name: web}", &format!("{{name: {}}}", world.namespace));
    kubectl(&["apply", "-f", "-"], &manifests);
}

#[tokio::test]
async fn the_example_shows_four_ready_rows() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let options = FOUR.into_iter().fold(Options::default(), |options, (_, system)| {
        options.with(system, Behaviour::living(20))
    });
    let world = World::with("example", options).await;
    let _operator = world.bare_operator(&LOOPBACK);
    apply_example(&world);
    for (name, _) in FOUR {
        world.until_ready(name).await;
    }
    let printed = world.kubectl(&["get", "oauthclienttokens"]);
    let rows: Vec<Vec<&str>> = printed.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 5, "{printed}");
    for (row, (name, _)) in rows[1..].iter().zip(FOUR) {
        assert_eq!(row[..4], [name, "True", name, &format!("{name}-token")], "{printed}");
    }
    for (name, system) in FOUR {
        let (secret, data) = world.secret(&format!("{name}-token")).await;
        let annotations = secret.metadata.annotations.unwrap();
        for key in [ISSUED_AT, EXPIRES_AT, REFRESH_AT, INPUTS, OWNER] {
            assert!(annotations.contains_key(key), "{name}: {key} is missing");
        }
        assert!(world.sim.introspect(&data["access_token"]).is_some(), "{name}");
        // And it goes on.
        let requests = world.sim.wait_for(2, system, PATIENCE).await.unwrap();
        assert!(requests.iter().all(|request| request.refusal.is_none()), "{name}");
    }
}

#[tokio::test]
async fn every_namespace_is_served_and_the_platforms_client_lies_with_the_operator() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let world = World::new("wide").await;
    // Its namespace is that of its kubeconfig, cluster kinds are on.
    let _operator = world.bare_operator(&LOOPBACK);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    // A namespace that comes later is no different.
    let later = World::new("later").await;
    later.apply_oauth2("shop", "");
    later.until_ready("shop").await;
    assert_eq!((world.requests(), later.requests()), (1, 1));

    let name = &later.namespace;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "namespace": OPERATOR_NAMESPACE},
        "stringData": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    });
    let provider = json!({
        "apiVersion": "tokenward.dev/v1alpha1", "kind": "ClusterOAuthProvider",
        "metadata": {"name": name},
        "spec": {
            "preset": "oauth2",
            "variables": {"tokenUrl": later.sim.endpoint(System::Oauth2)},
            "credentialsSecretRef": {"name": name},
            "usage": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}
        }
    });
    later.litter(&["-n", OPERATOR_NAMESPACE, "secret", name]);
    later.litter(&["clusteroauthprovider", name]);
    for object in [secret, provider] {
        kubectl(&["apply", "-f", "-"], &object.to_string());
    }
    let spec = format!("providerRef: {{kind: ClusterOAuthProvider, name: {name}}}");
    later.apply(&token("shared", &spec));
    later.until_ready("shared").await;
    world.apply(&oauth2_client("own"));
    world.apply(&token("shared", &spec));
    let refused = ("Ready", "False", "NamespaceNotAdmitted");
    world.until_condition("shared", refused).await;
    assert_eq!(later.requests(), 2);

    // What is gone is let go.
    later.kubectl(&["delete", "oct", "shop"]);
    later.until::<Secret>("shop", |secret| secret.is_none()).await;
    assert_eq!(world.requests(), 1);
}
