//! Tokens are revoked with their resource, and nothing holds the resource for longer than that.

use std::process::Command;
use std::time::Instant;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use provider_simulator::{Behaviour, Endpoint, Fault};
use tokenward::api::OAuthClientToken;
use tokenward::api::annotations::REVOKE_FINALIZER;

use crate::harness::{
    World, kubeconfig, kubectl, oauth2_client, oauth2_provider, service_account_kubeconfig, token,
};

const REVOCATION: &str = r#"revocation: {url: "http://$SIM/oauth2/revoke"}"#;

/// Provider and credentials, and a token of each of these names that is to be revoked on deletion.
fn apply(world: &World, names: &[&str]) {
    world.apply(&format!("{}\n---\n{}", oauth2_provider("p", REVOCATION), oauth2_client("c")));
    for name in names {
        world.apply(&asking(name));
    }
}

fn asking(name: &str) -> String {
    token(name, "providerRef: {name: p}, credentialsSecretRef: {name: c}, revoke: [Deletion]")
}

fn is_held(token: &OAuthClientToken) -> bool {
    token.finalizers().iter().any(|finalizer| finalizer == REVOKE_FINALIZER)
}

async fn until_held(world: &World, name: &str, held: bool) {
    world
        .until::<OAuthClientToken>(name, |token| token.is_some_and(|token| is_held(token) == held))
        .await;
}

async fn a_token(world: &World, name: &str) -> String {
    world.secret(name).await.1.remove("access_token").unwrap()
}

async fn delete(world: &World, name: &str) {
    world.kubectl(&["delete", "oct", name, "--wait=false"]);
    world.until::<OAuthClientToken>(name, |token| token.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_token_is_revoked_while_its_target_is_still_there() {
    let world = World::new("revoke").await;
    world.grant_revocation().await;
    let operator = world.operator(&[]);
    apply(&world, &["shop", "kept", "paused"]);
    let mut tokens = Vec::new();
    for name in ["shop", "kept", "paused"] {
        until_held(&world, name, true).await;
        let message = world.until_condition(name, ("Fresh", "True", "Refreshed")).await;
        assert_eq!(message, "the last refresh succeeded");
        tokens.push(a_token(&world, name).await);
    }
    assert!(tokens.iter().all(|token| world.sim.is_active(token)));
    delete(&world, "shop").await;
    assert!(!world.sim.is_active(&tokens[0]), "it is revoked before the resource goes");
    // Whoever does not want it any more is not held either, nor is a paused one.
    world.patch("oct/kept", r#"{"spec": {"revoke": ["Rotation"]}}"#);
    until_held(&world, "kept", false).await;
    delete(&world, "kept").await;
    world.patch("oct/paused", r#"{"spec": {"suspend": true}}"#);
    world.until_condition("paused", ("Fresh", "True", "Suspended")).await;
    delete(&world, "paused").await;
    let active = tokens.iter().map(|token| world.sim.is_active(token)).collect::<Vec<_>>();
    assert_eq!(active, [false, true, false]);
    world.until::<Secret>("shop", |secret| secret.is_none()).await;
    let asked = world.sim.requests_beside(Endpoint::Revocation);
    assert_eq!(asked.len(), 2);
    for request in asked {
        assert!(request.body.contains("token_type_hint=access_token"), "{}", request.body);
        assert_eq!(request.refusal, None);
    }
    assert_eq!(world.requests(), 3, "nobody asked for a token that was deleted");
    assert_eq!(operator.log().matches("its finalizer is set").count(), 3, "once each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finalizer_that_somebody_took_away_comes_again_and_others_stay() {
    let world = World::new("revoke-again").await;
    world.grant_revocation().await;
    let _operator = world.operator(&[]);
    apply(&world, &[]);
    world.apply(&asking("shop").replace(
        "metadata: {",
        "metadata: {finalizers: [example.com/audit], labels: {team: web}, ",
    ));
    until_held(&world, "shop", true).await;
    world.until_ready("shop").await;
    let first = a_token(&world, "shop").await;
    world.kubectl(&["delete", "oct", "shop", "--wait=false"]);
    // Revoked and let go; somebody else holds it still, and it is not kept fresh any more.
    until_held(&world, "shop", false).await;
    assert!(!world.sim.is_active(&first));
    world.kubectl(&["annotate", "oct", "shop", "tokenward.dev/refresh-requested-at=now"]);
    world.witness("witness", "p", "c").await;
    assert_eq!(world.requests(), 2, "one each");
    world.patch("oct/shop", r#"{"metadata": {"finalizers": null}}"#);
    world.until::<OAuthClientToken>("shop", |token| token.is_none()).await;
    assert_eq!(world.sim.revocations().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_while_nobody_watched_is_revoked_by_the_next_process() {
    let world = World::new("revoke-later").await;
    world.grant_revocation().await;
    let operator = world.operator(&[]);
    apply(&world, &["shop"]);
    until_held(&world, "shop", true).await;
    world.until_ready("shop").await;
    let last = a_token(&world, "shop").await;
    operator.kill();
    world.kubectl(&["delete", "oct", "shop", "--wait=false"]);
    let _operator = world.operator(&[]);
    world.until::<OAuthClientToken>("shop", |token| token.is_none()).await;
    assert!(!world.sim.is_active(&last));
    assert_eq!(world.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_holds_a_deletion_up_for_ten_seconds_at_most() {
    let world = World::new("revoke-down").await;
    world.grant_revocation().await;
    let operator = world.operator(&[]);
    apply(&world, &["shop", "orphan"]);
    for name in ["shop", "orphan"] {
        until_held(&world, name, true).await;
        world.until_ready(name).await;
    }
    world.sim.set_beside(Endpoint::Revocation, Behaviour::failing(Fault::Hang));
    let deleted = Instant::now();
    delete(&world, "shop").await;
    let took = deleted.elapsed();
    assert!(took.as_secs() >= 9, "{took:?}");
    operator.wait_for_log("deleted before the provider could revoke its token").await;
    // Without the provider, the credentials and the target there is nothing to wait for.
    world.kubectl(&["delete", "oauthprovider/p", "secret/c"]);
    world.until_condition("orphan", ("Fresh", "False", "ProviderNotFound")).await;
    delete(&world, "orphan").await;
    operator.wait_for_log("a token could not be revoked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_patch_the_token_works_and_says_what_to_apply() {
    let world = World::new("revoke-denied").await;
    let operator = world.operator(&[]);
    apply(&world, &["shop"]);
    world.until_ready("shop").await;
    let told = |message: &str| message.contains("deploy/rbac-revocation.yaml");
    let message = world.until_condition("shop", ("Fresh", "True", "Refreshed")).await;
    assert!(told(&message), "{message}");
    world.until_condition("shop", ("Stalled", "False", "Progressing")).await;
    world.force("shop", "now").await;
    assert_eq!(world.requests(), 2);
    world.patch("oct/shop", r#"{"metadata": {"labels": {"team": "web"}}}"#);
    world.witness("witness", "p", "c").await;
    assert!(operator.log().contains("deploy/rbac-revocation.yaml"));
    let log = operator.log();
    assert_eq!(log.matches("its finalizer stays as it is").count(), 1, "no hot loop: {log}");
    // It goes as it always did, and is not revoked.
    let last = a_token(&world, "shop").await;
    delete(&world, "shop").await;
    assert!(world.sim.is_active(&last));

    apply(&world, &["orders"]);
    let message = world.until_condition("orders", ("Fresh", "True", "Refreshed")).await;
    assert!(told(&message), "{message}");
    world.grant_revocation().await;
    // Tried again later by itself, and at once when the spec changes.
    world.patch("oct/orders", r#"{"spec": {"revoke": ["Deletion", "Rotation"]}}"#);
    until_held(&world, "orders", true).await;
    world
        .until_status("orders", |status| {
            status.conditions.iter().all(|condition| !condition.message.contains("spec.revoke"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn release_frees_what_tokenward_may_not_and_nothing_is_left_behind() {
    let world = World::new("release").await;
    world.grant_revocation().await;
    let operator = world.operator(&[]);
    apply(&world, &["shop", "orders"]);
    for name in ["shop", "orders"] {
        until_held(&world, name, true).await;
        world.until_ready(name).await;
    }
    let last = a_token(&world, "shop").await;
    world.withdraw_revocation().await;
    world.kubectl(&["delete", "oct", "shop", "--wait=false"]);
    let message = world.until_condition("shop", ("Stalled", "True", "FinalizerDenied")).await;
    for hint in ["deploy/rbac-revocation.yaml", "tokenward release"] {
        assert!(message.contains(hint), "{message}");
    }
    assert!(!world.sim.is_active(&last));
    assert_eq!(world.sim.requests_beside(Endpoint::Revocation).len(), 1, "revoked once");
    assert!(world.events().contains("FinalizerDenied"));
    operator.kill();

    // Get, list and patch are all that it needs.
    let rules = format!(
        r"
apiVersion: v1
kind: ServiceAccount
metadata: {{name: releaser}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: releaser}}
rules: [{{apiGroups: [tokenward.dev], resources: [oauthclienttokens], verbs: [get, list, patch]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: releaser}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: releaser}}
subjects: [{{kind: ServiceAccount, name: releaser, namespace: {}}}]
",
        world.namespace
    );
    world.apply(&rules);
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = service_account_kubeconfig(&world.namespace, "releaser", folder.path());
    let release = || {
        let output = Command::new(env!("CARGO_BIN_EXE_tokenward"))
            .args(["release", "--namespace", &world.namespace])
            .env("KUBECONFIG", &kubeconfig)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let name = |name: &str| format!("OAuthClientToken {}/{name}: released\n", world.namespace);
    let printed = release();
    assert!(printed.contains(&name("shop")) && printed.contains(&name("orders")), "{printed}");
    assert!(printed.ends_with("looked at: 2, released: 2\n"), "{printed}");
    world.until::<OAuthClientToken>("shop", |token| token.is_none()).await;
    until_held(&world, "orders", false).await;
    assert_eq!(release(), "looked at: 1, released: 0\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn release_says_what_it_may_not_and_fails() {
    let world = World::new("release-denied").await;
    world.apply(
        &asking("shop")
            .replace("metadata: {", &format!("metadata: {{finalizers: [{REVOKE_FINALIZER}], ")),
    );
    let folder = tempfile::tempdir().unwrap();
    let run = |kubeconfig: &std::path::Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_tokenward"))
            .args(["release", "--namespace", &world.namespace])
            .env("KUBECONFIG", kubeconfig)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // The operator itself may list but not patch.
    let operator = service_account_kubeconfig("tokenward-system", "tokenward", folder.path());
    let (code, complaint) = run(&operator);
    assert_eq!(code, Some(1), "{complaint}");
    assert!(complaint.contains(&format!("{}/shop", world.namespace)), "{complaint}");
    assert!(complaint.contains("403"), "{complaint}");
    // Nobody may list: that is told, too.
    let nobody = service_account_kubeconfig(&world.namespace, "default", folder.path());
    let (code, complaint) = run(&nobody);
    assert_eq!(code, Some(1), "{complaint}");
    assert!(complaint.contains("cannot be listed"), "{complaint}");
    let (code, complaint) = run(&kubeconfig());
    assert_eq!(code, Some(0), "{complaint}");
    kubectl(&["-n", &world.namespace, "delete", "oct", "shop", "--timeout=20s"], "");
}
