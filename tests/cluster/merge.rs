//! Keys in Secrets that somebody else made.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use tokenward::api::annotations::{ALLOW, EXPIRES_AT, INPUTS, OWNER, REVOKE_FINALIZER};
use tokenward::api::conditions::{FRESH, READY, STALLED};
use tokenward::api::{MANAGED_BY, OAuthClientToken};

use crate::harness::{World, oauth2_client, oauth2_provider, token};

const SPEC: &str = "providerRef: {name: p}, credentialsSecretRef: {name: c}";

/// Provider, credentials and a token `shop` that is merged into Secret `host`.
fn apply(world: &World, deletion: &str) {
    world.apply(&format!("{}\n---\n{}", oauth2_provider("p", ""), oauth2_client("c")));
    world.apply(&merging("shop", "host", deletion));
}

fn merging(name: &str, host: &str, deletion: &str) -> String {
    let target = format!(
        "target: {{secretName: {host}, creationPolicy: Merge, deletionPolicy: {deletion}}}"
    );
    token(name, &format!("{SPEC}, {target}"))
}

/// Somebody's Secret with this consent and these keys.
fn host(world: &World, allow: &str, data: &str) {
    world.apply(&format!(
        "{{apiVersion: v1, kind: Secret, type: example.com/site, \
         metadata: {{name: host, labels: {{team: web}}, annotations: {{{ALLOW}: {allow}}}}}, \
         stringData: {{{data}}}}}"
    ));
}

fn has(secret: Option<&Secret>, key: &str) -> bool {
    secret.and_then(|secret| secret.data.as_ref()).is_some_and(|data| data.contains_key(key))
}

fn keys(data: &BTreeMap<String, String>) -> Vec<&str> {
    data.keys().map(String::as_str).collect()
}

/// Nothing says that a Secret is tokenward's.
fn assert_unmarked(secret: &Secret) {
    assert_eq!(secret.owner_references(), []);
    assert!(!secret.annotations().contains_key(OWNER));
    assert!(!secret.labels().contains_key(MANAGED_BY));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_waited_for_kept_fresh_and_left_as_it_was() {
    let world = World::new("merge").await;
    world.grant_revocation().await;
    let operator = world.operator(&[]);
    apply(&world, "Delete");
    let message = world.until_condition("shop", (READY, "False", "TargetNotFound")).await;
    assert!(message.contains("\"host\"") && message.contains(ALLOW), "{message}");
    world.until_condition("shop", (STALLED, "False", "Progressing")).await;
    // It is there, but for somebody else.
    host(&world, "other", "user: me");
    let message = world.until_condition("shop", (READY, "False", "SecretNotOwned")).await;
    assert!(message.contains("\"other\""), "{message}");
    assert_eq!(world.requests(), 0);
    let (before, _) = world.secret("host").await;
    host(&world, "shop", "user: me");
    world.until_ready("shop").await;
    let (secret, data) = world.secret("host").await;
    assert_eq!(keys(&data), ["access_token", "expires_at", "token_type", "user"]);
    assert_eq!((data["user"].as_str(), secret.uid()), ("me", before.uid()));
    assert_eq!(secret.type_.as_deref(), Some("example.com/site"));
    assert!(world.sim.is_active(&data["access_token"]));
    assert_eq!(secret.annotations()[EXPIRES_AT], data["expires_at"]);
    assert_unmarked(&secret);
    // A restart asks nothing, and neither does what its owner does with it.
    operator.kill();
    let _operator = world.operator(&[]);
    host(&world, "shop", "user: you");
    world.witness("witness", "p", "c").await;
    assert_eq!(world.requests(), 2);
    world.force("shop", "now").await;
    let (_, fresh) = world.secret("host").await;
    assert_ne!(fresh["access_token"], data["access_token"]);
    assert_eq!(fresh["user"], "you");
    // A key that is lost comes again, an annotation without a request.
    world.kubectl(&["annotate", "--overwrite", "secret", "host", &format!("{EXPIRES_AT}=never")]);
    let right = |secret: Option<&Secret>| {
        secret.is_some_and(|secret| secret.annotations()[EXPIRES_AT] == fresh["expires_at"])
    };
    world.until::<Secret>("host", right).await;
    assert_eq!(world.requests(), 3);
    world.patch("secret/host", r#"{"data": {"access_token": null}}"#);
    world.until::<Secret>("host", |secret| has(secret, "access_token")).await;
    world.until_requests(4).await;

    world.kubectl(&["delete", "oct", "shop", "--wait=false"]);
    world.until::<OAuthClientToken>("shop", |token| token.is_none()).await;
    let (secret, data) = world.secret("host").await;
    assert_eq!((keys(&data), secret.uid()), (vec!["user"], before.uid()));
    let ours = [EXPIRES_AT, INPUTS];
    assert!(ours.iter().all(|key| !secret.annotations().contains_key(*key)), "{secret:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_there_is_never_overwritten_and_found_before_any_request() {
    let world = World::new("merge-conflict").await;
    let _operator = world.operator(&[]);
    host(&world, "shop", "user: me, access_token: theirs");
    apply(&world, "Retain");
    let message = world.until_condition("shop", (READY, "False", "TargetKeyConflict")).await;
    assert!(message.contains("access_token (of field manager \"kubectl"), "{message}");
    assert!(!message.contains("user"), "{message}");
    world.until_condition("shop", (STALLED, "True", "TargetKeyConflict")).await;
    // Not even where nobody knows whose it is.
    world.patch("secret/host", r#"{"metadata": {"managedFields": [{}]}}"#);
    let unknown = |message: &str| message.contains("access_token (nobody knows whose)");
    world
        .until_status("shop", |status| status.conditions.iter().any(|c| unknown(&c.message)))
        .await;
    assert_eq!((world.requests(), &*world.secret("host").await.1["access_token"]), (0, "theirs"));
    world.patch("secret/host", r#"{"data": {"access_token": null}}"#);
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 1);
    // Whoever writes one of them later has it.
    world.patch("secret/host", r#"{"stringData": {"access_token": "mine"}}"#);
    world.until_condition("shop", (READY, "False", "TargetKeyConflict")).await;
    world.witness("witness", "p", "c").await;
    assert_eq!((world.requests(), &*world.secret("host").await.1["access_token"]), (2, "mine"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_tokens_the_one_that_the_secret_names_is_merged() {
    let world = World::new("merge-two").await;
    let _operator = world.operator(&[]);
    host(&world, "shop", "user: me");
    apply(&world, "Retain");
    world.until_ready("shop").await;
    world.apply(&merging("second", "host", "Retain"));
    let message = world.until_condition("second", (READY, "False", "SecretNotOwned")).await;
    assert!(message.contains("\"shop\""), "{message}");
    assert_eq!(world.requests(), 1);
    // Consent that is given to another takes the keys from nobody: first they have to go.
    world.kubectl(&["annotate", "--overwrite", "secret", "host", &format!("{ALLOW}=second")]);
    let message = world.until_condition("second", (READY, "False", "TargetKeyConflict")).await;
    assert!(message.contains("\"tokenward/shop\""), "{message}");
    world.until_condition("shop", (READY, "False", "SecretNotOwned")).await;
    world.patch("oct/shop", r#"{"spec": {"target": {"deletionPolicy": "Delete"}}}"#);
    world.patch(
        "oct/shop",
        r#"{"spec": {"target": {"secretName": "own", "creationPolicy": "Owner"}}}"#,
    );
    // The keys are taken along, and the second heals at once.
    world.until_ready("shop").await;
    world.until_ready("second").await;
    assert_eq!(world.requests(), 2);
    let (secret, data) = world.secret("own").await;
    assert_eq!(secret.owner_references().len(), 1);
    assert!(world.sim.is_active(&data["access_token"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_host_is_left_and_a_retained_one_is_not() {
    let world = World::new("merge-rename").await;
    let _operator = world.operator(&[]);
    host(&world, "shop", "user: me");
    for name in ["second", "third"] {
        world.apply(&format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: {name}, \
             annotations: {{{ALLOW}: shop}}}}}}"
        ));
    }
    apply(&world, "Delete");
    let status = world.until_ready("shop").await;
    let message = tokenward::api::conditions::find(&status.conditions, FRESH).unwrap();
    assert!(message.message.contains("deploy/rbac-revocation.yaml"), "{message:?}");
    let token = world.secret("host").await.1["access_token"].clone();
    world.patch("oct/shop", r#"{"spec": {"target": {"secretName": "second"}}}"#);
    world.until::<Secret>("second", |secret| has(secret, "access_token")).await;
    world.until::<Secret>("host", |secret| !has(secret, "access_token")).await;
    assert_eq!(keys(&world.secret("host").await.1), ["user"]);
    let target = r#"{"secretName": "third", "deletionPolicy": "Retain"}"#;
    world.patch("oct/shop", &format!(r#"{{"spec": {{"target": {target}}}}}"#));
    world.until_status("shop", |status| status.secret_name.as_deref() == Some("third")).await;
    for name in ["second", "third"] {
        assert_eq!(world.secret(name).await.1["access_token"], token, "{name}");
    }
    assert_eq!(world.requests(), 1);
    world.kubectl(&["delete", "oct", "shop"]);
    assert!(has(Some(&world.secret("third").await.0), "access_token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_made_is_given_away_and_taken_back_without_a_request() {
    let world = World::new("merge-switch").await;
    world.grant_revocation().await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    let (made, before) = world.secret("shop").await;
    let policy = |policy| {
        let patch = format!(r#"{{"spec": {{"target": {{"creationPolicy": "{policy}"}}}}}}"#);
        world.patch("oct/shop", &patch);
    };
    policy("Merge");
    let message = world.until_condition("shop", (FRESH, "False", "SecretNotOwned")).await;
    assert!(message.contains(ALLOW), "{message}");
    world.until_ready("shop").await;
    world.kubectl(&["annotate", "secret", "shop", &format!("{ALLOW}=shop")]);
    world.until::<Secret>("shop", |s| s.is_some_and(|s| s.owner_references().is_empty())).await;
    world.until_condition("shop", (FRESH, "True", "Refreshed")).await;
    let (given, data) = world.secret("shop").await;
    assert_unmarked(&given);
    assert_eq!((&data, given.uid()), (&before, made.uid()));
    world.force("shop", "now").await;
    assert_eq!(world.requests(), 2);
    policy("Owner");
    let owned = |s: Option<&Secret>| s.is_some_and(|s| s.owner_references().len() == 1);
    world.until::<Secret>("shop", owned).await;
    let unheld = |token: Option<&OAuthClientToken>| {
        token.is_some_and(|token| !token.finalizers().iter().any(|f| f == REVOKE_FINALIZER))
    };
    world.until::<OAuthClientToken>("shop", unheld).await;
    let (taken, _) = world.secret("shop").await;
    assert_eq!(taken.uid(), made.uid());
    let managers = taken.managed_fields().iter().filter_map(|entry| entry.manager.as_deref());
    let ours: Vec<_> = managers.filter(|manager| manager.starts_with("tokenward")).collect();
    assert_eq!(ours, ["tokenward"]);
    assert_eq!(world.requests(), 2);
    world.force("shop", "again").await;
    assert_eq!(world.requests(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_its_keys_are_its_own_again() {
    let world = World::new("merge-restore").await;
    let operator = world.operator(&[]);
    host(&world, "shop", "user: me");
    apply(&world, "Retain");
    world.until_ready("shop").await;
    operator.kill();
    world.kubectl(&["delete", "oct", "shop"]);
    apply(&world, "Retain");
    let _operator = world.operator(&[]);
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 1);
    world.force("shop", "now").await;
    let (secret, data) = world.secret("host").await;
    assert!(world.sim.is_active(&data["access_token"]));
    assert_unmarked(&secret);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controllers_secret_takes_a_guest_but_no_owner() {
    let world = World::new("merge-controlled").await;
    let _operator = world.operator(&[]);
    world.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: boss}}");
    let uid = world.kubectl(&["get", "configmap", "boss", "-o", "jsonpath={.metadata.uid}"]);
    host(&world, "shop", "user: me");
    let boss = format!(
        r#"{{"metadata": {{"ownerReferences": [{{"apiVersion": "v1", "kind": "ConfigMap",
            "name": "boss", "uid": "{uid}", "controller": true}}]}}}}"#
    );
    world.patch("secret/host", &boss);
    apply(&world, "Retain");
    world.until_ready("shop").await;
    let (secret, _) = world.secret("host").await;
    assert_eq!(secret.owner_references()[0].kind, "ConfigMap");
    world.patch("oct/shop", r#"{"spec": {"target": {"creationPolicy": "Owner"}}}"#);
    let message = world.until_condition("shop", (FRESH, "False", "SecretNotOwned")).await;
    assert!(message.contains("ConfigMap \"boss\""), "{message}");
    assert_eq!(world.requests(), 1);
}
