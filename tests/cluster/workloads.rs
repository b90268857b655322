//! Workloads that read a token once are restarted when it changed; pods that mount it are nudged.
//! Nothing else of them is touched, whoever has the operator's ServiceAccount.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use provider_simulator::{Behaviour, Fault, System};
use tokenward::api::OAuthClientTokenStatus;
use tokenward::api::annotations::{NUDGED_AT, RESTARTED_AT};

use crate::harness::{PATIENCE, World, oauth2_client, oauth2_provider, token};

/// The operator, in the eyes of the API server.
const OPERATOR: &str = "system:serviceaccount:tokenward-system:tokenward";

fn workload(kind: &str, name: &str, pod: &str) -> String {
    format!(
        r"
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{{pod}}}
"
    )
}

/// A pod that has a key of a Secret in its environment.
fn environment(secret: &str) -> String {
    format!(
        "containers: [{{name: main, image: example.com/main, env: [{{name: TOKEN, valueFrom: \
         {{secretKeyRef: {{name: {secret}, key: access_token}}}}}}]}}]"
    )
}

/// A pod that mounts a Secret.
fn volume(secret: &str) -> String {
    format!(
        "containers: [{{name: main, image: example.com/main}}], \
         volumes: [{{name: token, secret: {{secretName: {secret}}}}}]"
    )
}

/// Provider, credentials, and a token with this target.
fn apply(world: &World, name: &str, target: &str) {
    world.apply(&format!("{}\n---\n{}", oauth2_provider("p", ""), oauth2_client("c")));
    let spec = "providerRef: {name: p}, credentialsSecretRef: {name: c}";
    world.apply(&token(name, &format!("{spec}, target: {{{target}}}")));
}

fn restarted_at(annotations: Option<&BTreeMap<String, String>>) -> Option<String> {
    annotations?.get(RESTARTED_AT).cloned()
}

fn of_template(deployment: &Deployment) -> Option<String> {
    let template = &deployment.spec.as_ref()?.template;
    restarted_at(template.metadata.as_ref()?.annotations.as_ref())
}

async fn deployment(world: &World, name: &str) -> Deployment {
    let api: Api<Deployment> = Api::namespaced(world.client.clone(), &world.namespace);
    api.get(name).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reads_a_token_once_is_restarted_when_it_changed() {
    let world = World::new("restart").await;
    world.grant_workloads().await;
    let _operator = world.operator(&[]);
    world.apply(&workload("Deployment", "web", &environment("shop")));
    world.apply(&workload("StatefulSet", "db", &volume("shop")));
    world.apply(&workload("Deployment", "stranger", &environment("other")));
    let restart = "restart: [{kind: Deployment, name: web}, {kind: StatefulSet, name: db}, \
                   {kind: Deployment, name: stranger}, {kind: DaemonSet, name: none}]";
    apply(&world, "shop", restart);
    world.until_ready("shop").await;
    // The same token again is no change, nor was the first.
    let same = Behaviour::living(3600).with(Fault::SameToken { until_remaining: 60 });
    world.sim.set(System::Oauth2, same);
    world.force("shop", "same").await;
    let status = world.force("shop", "and-again").await;
    assert_eq!(world.sim.requests_of(System::Oauth2).len(), 3);
    assert_eq!(status.restarted_for, None);
    world.sim.set(System::Oauth2, Behaviour::living(3600));
    world.force("shop", "new").await;
    let told = world
        .until_status("shop", |status: &OAuthClientTokenStatus| status.restarted_for.is_some())
        .await;
    let message = world.until_condition("shop", ("Fresh", "True", "Refreshed")).await;
    let remarks = "spec.target.restart: Deployment \"stranger\" does not refer to Secret \"shop\": it \
                   is not restarted; spec.target.restart: DaemonSet \"none\" does not exist";
    assert!(message.contains(remarks), "{message}");
    let web = deployment(&world, "web").await;
    let at = of_template(&web).expect("restarted");
    let at = tokenward::api::annotations::parse_time(&at).unwrap();
    assert!(at >= told.restarted_for.unwrap() + chrono::TimeDelta::seconds(10), "in one batch");
    // The rest of it is as it was.
    assert_eq!(web.spec.unwrap().replicas, Some(1));
    let sets: Api<StatefulSet> = Api::namespaced(world.client.clone(), &world.namespace);
    let db = sets.get("db").await.unwrap().spec.unwrap().template.metadata.unwrap();
    assert!(restarted_at(db.annotations.as_ref()).is_some());
    assert_eq!(of_template(&deployment(&world, "stranger").await), None);
    assert!(world.secret("shop").await.0.annotations().contains_key("tokenward.dev/changed-at"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_change_together_restart_a_workload_once_and_a_process_that_ends_forgets_none()
{
    let world = World::new("batch").await;
    world.grant_workloads().await;
    let operator = world.operator(&[]);
    let both = "containers: [{name: main, image: example.com/main, envFrom: [{secretRef: {name: a}}, \
                {secretRef: {name: b}}]}]";
    world.apply(&workload("Deployment", "web", both));
    for name in ["a", "b"] {
        apply(&world, name, "restart: [{kind: Deployment, name: web}]");
        world.until_ready(name).await;
    }
    let before = deployment(&world, "web").await.metadata.generation;
    for name in ["a", "b"] {
        world.force(name, "1").await;
    }
    // Before anything was restarted.
    operator.kill();
    assert_eq!(deployment(&world, "web").await.metadata.generation, before);
    let _next = world.operator(&[]);
    for name in ["a", "b"] {
        world.until_status(name, |status| status.restarted_for.is_some()).await;
    }
    let web = deployment(&world, "web").await;
    assert!(of_template(&web).is_some());
    assert_eq!(web.metadata.generation, before.map(|before| before + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_mount_the_target_are_nudged_and_no_others() {
    let world = World::new("nudge").await;
    let _operator = world.operator(&[]);
    let pod = |name: &str, spec: &str| {
        world.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{{spec}}}"
        ));
        // There is no kubelet to say so.
        let running = r#"{"status": {"phase": "Running"}}"#;
        world.kubectl(&[
            "patch",
            "pod",
            name,
            "--subresource=status",
            "--type=merge",
            "-p",
            running,
        ]);
    };
    pod("reader", &volume("shop"));
    pod("environment", &environment("shop"));
    pod("stranger", &volume("other"));
    apply(&world, "shop", "nudge: true");
    // Without the right to do so, the token is kept fresh all the same.
    let message = world.until_condition("shop", ("Fresh", "True", "Refreshed")).await;
    assert!(message.contains("spec.target.nudge: pods that mount Secret"), "{message}");
    assert!(message.contains("the chart's rbac.nudge, or deploy/rbac-workloads.yaml"), "{message}");
    world.grant_workloads().await;
    world.force("shop", "1").await;
    let nudged = |pod: Option<&Pod>| pod.is_some_and(|p| p.annotations().contains_key(NUDGED_AT));
    world.until::<Pod>("reader", nudged).await;
    let said = |status: &OAuthClientTokenStatus| {
        status.conditions.iter().any(|c| c.message == "the last refresh succeeded")
    };
    world.until_status("shop", said).await;
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    for name in ["environment", "stranger"] {
        assert!(!pods.get(name).await.unwrap().annotations().contains_key(NUDGED_AT), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_leaves_the_operator_its_annotations_only() {
    let world = World::new("policy").await;
    world.grant_workloads().await;
    world.apply(&workload("Deployment", "web", &environment("shop")));
    world.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: reader}}\nspec: {{{}}}",
        volume("shop")
    ));
    let patch = async |object: &str, patch: &str| {
        let group = if object.starts_with("pods") { "/api/v1" } else { "/apis/apps/v1" };
        let request =
            http::Request::patch(format!("{group}/namespaces/{}/{object}", world.namespace))
                .header("Content-Type", "application/strategic-merge-patch+json")
                .header("Impersonate-User", OPERATOR)
                .body(patch.as_bytes().to_vec());
        let answer = world.client.request_text(request.unwrap()).await;
        answer.map(drop).map_err(|error| error.to_string())
    };
    let template = |more: &str| format!(r#"{{"spec": {{"template": {{{more}}}}}}}"#);
    let annotated =
        |key: &str| template(&format!(r#""metadata": {{"annotations": {{"{key}": "x"}}}}"#));
    let image =
        template(r#""spec": {"containers": [{"name": "main", "image": "example.com/evil"}]}"#);
    let denied = |answer: Result<(), String>, why: &str| {
        let complaint = answer.expect_err(why);
        assert!(complaint.contains("tokenward changes"), "{complaint}");
    };
    // A policy takes a moment to be enforced.
    let enforced = async {
        while patch("deployments/web?dryRun=All", &image).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, enforced).await.expect("the policy is not enforced");
    denied(patch("deployments/web", &image).await, "another image");
    denied(patch("deployments/web", &annotated("example.com/a")).await, "another annotation");
    denied(patch("deployments/web", r#"{"spec": {"replicas": 0}}"#).await, "replicas");
    denied(patch("deployments/web", r#"{"metadata": {"labels": {"a": "b"}}}"#).await, "a label");
    let service_account = template(r#""spec": {"serviceAccountName": "admin"}"#);
    denied(patch("deployments/web", &service_account).await, "a ServiceAccount");
    patch("deployments/web", &annotated(RESTARTED_AT)).await.expect("its own annotation");
    let annotate = |key: &str| format!(r#"{{"metadata": {{"annotations": {{"{key}": "x"}}}}}}"#);
    denied(patch("pods/reader", &annotate("example.com/a")).await, "another annotation of a pod");
    denied(
        patch("pods/reader", r#"{"metadata": {"labels": {"a": "b"}}}"#).await,
        "a label of a pod",
    );
    let evil = r#"{"spec": {"containers": [{"name": "main", "image": "example.com/evil"}]}}"#;
    denied(patch("pods/reader", evil).await, "an image of a pod");
    patch("pods/reader", &annotate(NUDGED_AT)).await.expect("its own annotation");
}
