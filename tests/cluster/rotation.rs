//! What may go wrong between a refresh token and the next one: nothing is used up that could not be
//! kept, nothing twice, and nothing is lost that a design can save.

use std::process::Command;

use k8s_openapi::api::core::v1::Secret;
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN};
use provider_simulator::{Behaviour, Fault, Policy, Refresh, Reuse, Rotation, Seed, System};
use serde_json::json;
use tokenward::api::OAuthClientTokenStatus;
use tokenward::api::annotations::INTENT;
use tokenward::api::conditions::{self, FRESH, READY};

use crate::harness::{PATIENCE, World, kubectl, oauth2_token};

const SECOND: &str = "s3cond/consent+of=the%2Fsame:client~Zq";

/// A late answer: the token is issued at once.
const LATE: Fault = Fault::Delay { milliseconds: 3000 };

/// A consent at a provider that takes a used refresh token for `grace` seconds more, and then ends
/// all that came of the consent.
async fn consent(name: &str, grace: i64, limits: &str) -> World {
    let world = World::new(name).await;
    rotate(&world, grace, Reuse::RevokeFamily);
    world.apply(&format!(
        r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: p}}
spec:
  preset: oauth2-refresh-token
  variables: {{tokenUrl: "http://$SIM/oauth2/token"}}
  limits: {{minInterval: 1s{limits}}}
"#
    ));
    let credentials = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c"},
        "stringData": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN}});
    world.apply(&credentials.to_string());
    world
}

fn rotate(world: &World, grace: i64, on_reuse: Reuse) {
    let refresh = Refresh {
        seeds: vec![Seed::new(CLIENT_ID, REFRESH_TOKEN), Seed::new(CLIENT_ID, SECOND)],
        rotation: Rotation::EachUse { grace, on_reuse },
    };
    world.sim.set_policy(Policy::default().refreshing(refresh));
}

/// Uses a refresh token as somebody else does, and answers with the next one.
fn use_up(world: &World, refresh_token: &str) -> String {
    let url = world.sim.endpoint(System::Oauth2);
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("refresh_token", refresh_token),
    ];
    let mut curl = Command::new("curl");
    curl.args(["--silent", &url]);
    for (name, value) in form {
        curl.args(["--data-urlencode", &format!("{name}={value}")]);
    }
    let output = curl.output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["refresh_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn refusals(world: &World) -> usize {
    let seen = world.sim.requests_of(System::Oauth2);
    seen.iter().filter(|request| request.refusal.is_some()).count()
}

fn used(world: &World) -> Vec<u64> {
    let seen = world.sim.requests_of(System::Oauth2);
    seen.iter().map(|request| request.judged.refresh_token.unwrap()).collect()
}

/// Asks for a refresh, and kills the operator when the provider has used the refresh token up and
/// has not answered yet.
async fn crash_in_the_window(world: &World) {
    let operator = world.operator(&SHORT);
    world.apply(&oauth2_token("shop"));
    world.until_ready("shop").await;
    world.sim.set(System::Oauth2, Behaviour::failing(LATE));
    let annotation = "tokenward.dev/refresh-requested-at=in the window";
    world.kubectl(&["annotate", "--overwrite", "oct", "shop", annotation]);
    world.sim.wait_for(2, System::Oauth2, PATIENCE).await.unwrap();
    operator.kill();
    world.sim.set(System::Oauth2, Behaviour::default());
    let (kept, _) = world.secret("c-renewed").await;
    assert!(kept.metadata.annotations.unwrap().contains_key(INTENT));
}

/// Longer than the answer takes. For how long a process is waited for follows from that.
const SHORT: [&str; 2] = ["--request-timeout", "6"];

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_a_crash_has_swallowed_is_told_of_and_a_new_consent_heals() {
    let world = consent("swallowed", 0, "").await;
    crash_in_the_window(&world).await;
    let _operator = world.operator(&[]);
    // The former process may still be at it, for all that anybody knows.
    let message = world.until_condition("shop", (FRESH, "False", "RefreshTokenInUse")).await;
    assert!(message.contains("is waited for"), "{message}");
    let message = world.until_condition("shop", (FRESH, "False", "TokenRequestRejected")).await;
    assert!(message.contains("HTTP 400: invalid_grant"), "{message}");
    assert!(message.contains("between the provider's answer and our storing it"), "{message}");
    let advice = format!("put the new refresh_token into Secret {}/c", world.namespace);
    assert!(message.contains(&advice), "{message}");
    // Nothing but the one that was used up was sent again.
    assert_eq!(refusals(&world), 1);
    world.patch("secret/c", &json!({"stringData": {"refresh_token": SECOND}}).to_string());
    world.until_condition("shop", (FRESH, "True", "Refreshed")).await;
    assert_eq!(refusals(&world), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_a_crash_has_swallowed_is_had_again_within_the_providers_grace() {
    let world = consent("grace", 600, ", refreshTokenReuse: 10m").await;
    crash_in_the_window(&world).await;
    let _operator = world.operator(&[]);
    world.until_condition("shop", (FRESH, "False", "RefreshTokenInUse")).await;
    world.until_condition("shop", (FRESH, "True", "Refreshed")).await;
    world.force("shop", "on from there").await;
    assert_eq!(refusals(&world), 0);
    let used = used(&world);
    assert_eq!(used.len(), 4);
    assert_eq!(used[1], used[2], "the same once more");
}

async fn nothing_is_asked_that_could_not_be_kept(world: &World) {
    world.apply(&oauth2_token("shop"));
    let message = world.until_condition("shop", (READY, "False", "WriteFailed")).await;
    assert!(message.contains("c-renewed could not be written"), "{message}");
    assert_eq!(world.sim.requests(), []);
}

/// A store that takes a note but no value, as one that a person has made immutable.
#[tokio::test(flavor = "multi_thread")]
async fn where_an_answer_could_not_be_kept_nothing_is_used_up() {
    let world = consent("immutable", 0, "").await;
    let _operator = world.operator(&[]);
    world.apply(
        "{apiVersion: v1, kind: Secret, immutable: true, metadata: {name: c-renewed, annotations: \
         {tokenward.dev/renewed-of: c}}}",
    );
    nothing_is_asked_that_could_not_be_kept(&world).await;
    world.kubectl(&["delete", "secret", "c-renewed"]);
    world.until_ready("shop").await;
    assert_eq!(refusals(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_store_can_be_made_nothing_is_used_up() {
    let world = consent("quota", 0, "").await;
    world.apply(
        "{apiVersion: v1, kind: ResourceQuota, metadata: {name: full}, spec: {hard: {secrets: 0}}}",
    );
    let counted = |quota: Option<&k8s_openapi::api::core::v1::ResourceQuota>| {
        let status = quota.and_then(|quota| quota.status.as_ref());
        status.and_then(|status| status.hard.as_ref()).is_some()
    };
    world.until("full", counted).await;
    let _operator = world.operator(&[]);
    nothing_is_asked_that_could_not_be_kept(&world).await;
    world.kubectl(&["delete", "resourcequota", "full"]);
    world.until_ready("shop").await;
    assert_eq!(refusals(&world), 0);
}

/// A policy that takes small values only: found out by an answer of the largest size, on trial.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_against_what_an_answer_may_hold_is_found_out_before() {
    let world = consent("policy", 0, "").await;
    let name = format!("small-{}", world.namespace);
    kubectl(&["apply", "-f", "-"], &small_values_only(&name, &world.namespace));
    for kind in ["validatingadmissionpolicy", "validatingadmissionpolicybinding"] {
        world.litter(&[kind, &name]);
    }
    let large = format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: large}}, stringData: {{x: {}}}}}",
        "x".repeat(2000)
    );
    let deadline = std::time::Instant::now() + PATIENCE;
    while kubectl_refuses(&world, &large).is_none() {
        assert!(std::time::Instant::now() < deadline, "the policy has no effect");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let _operator = world.operator(&[]);
    nothing_is_asked_that_could_not_be_kept(&world).await;
}

fn kubectl_refuses(world: &World, manifest: &str) -> Option<String> {
    let apply = ["-n", &world.namespace, "apply", "--dry-run=server", "-f", "-"];
    crate::harness::try_kubectl(&apply, manifest).err()
}

fn small_values_only(name: &str, namespace: &str) -> String {
    format!(
        r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
    resourceRules:
    - {{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [secrets]}}
  validations:
  - expression: "!has(object.data) || object.data.all(key, size(object.data[key]) < 1000)"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec: {{policyName: {name}, validationActions: [Deny]}}
"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_once_it_is_there_is_kept_later_and_nothing_is_asked_before() {
    let world = consent("unkept", 0, "").await;
    let operator = world.operator(&[]);
    world.sim.set(System::Oauth2, Behaviour::failing(LATE));
    world.apply(&oauth2_token("shop"));
    world.sim.wait_for(1, System::Oauth2, PATIENCE).await.unwrap();
    world.patch("secret/c-renewed", r#"{"immutable": true}"#);
    world.sim.set(System::Oauth2, Behaviour::default());
    let message = world.until_condition("shop", (READY, "False", "WriteFailed")).await;
    assert!(message.contains("is not kept yet"), "{message}");
    // It is tried again and again, and the provider is left alone meanwhile.
    let before = operator.log().matches("to be kept once more").count();
    world.kubectl(&["annotate", "oct", "shop", "tokenward.dev/refresh-requested-at=now"]);
    let deadline = std::time::Instant::now() + PATIENCE;
    while operator.log().matches("to be kept once more").count() == before {
        assert!(std::time::Instant::now() < deadline, "{}", operator.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(world.requests(), 1);
    world.kubectl(&["delete", "secret", "c-renewed"]);
    world.until_ready("shop").await;
    assert_eq!(refusals(&world), 0);
    let (kept, data) = world.secret("c-renewed").await;
    assert!(!kept.metadata.annotations.unwrap().contains_key(INTENT));
    assert_eq!(data.keys().collect::<Vec<_>>(), ["refresh_token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_kept_is_kept_before_the_process_ends() {
    let world = consent("last-minute", 0, "").await;
    let operator = world.operator(&[]);
    world.sim.set(System::Oauth2, Behaviour::failing(LATE));
    world.apply(&oauth2_token("shop"));
    world.sim.wait_for(1, System::Oauth2, PATIENCE).await.unwrap();
    world.patch("secret/c-renewed", r#"{"immutable": true}"#);
    world.sim.set(System::Oauth2, Behaviour::default());
    world.until_condition("shop", (READY, "False", "WriteFailed")).await;
    let ended = tokio::spawn(operator.terminate());
    world.kubectl(&["delete", "secret", "c-renewed"]);
    assert_eq!(ended.await.unwrap().code(), Some(0));
    let (_, data) = world.secret("c-renewed").await;
    assert!(data.contains_key("refresh_token"));
    let _operator = world.operator(&[]);
    world.until_ready("shop").await;
    assert_eq!(refusals(&world), 0);
}

/// A process that was thought to be gone has used it up, and keeps its answer late.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_has_kept_by_the_time_of_a_refusal_is_gone_on_from() {
    let world = consent("kept-by-another", 0, "").await;
    rotate(&world, 0, Reuse::Refuse);
    let operator = world.operator(&[]);
    world.apply(&oauth2_token("shop"));
    world.until_ready("shop").await;
    let (_, kept) = world.secret("c-renewed").await;
    let next = use_up(&world, &kept["refresh_token"]);
    world.sim.set(System::Oauth2, Behaviour::failing(LATE));
    let annotation = "tokenward.dev/refresh-requested-at=now";
    world.kubectl(&["annotate", "oct", "shop", annotation]);
    world.sim.wait_for(3, System::Oauth2, PATIENCE).await.unwrap();
    world.patch("secret/c-renewed", &json!({"stringData": {"refresh_token": next}}).to_string());
    world.sim.set(System::Oauth2, Behaviour::default());
    let handled = |status: &OAuthClientTokenStatus| {
        status.last_handled_refresh_request.as_deref() == Some("now")
    };
    let status = world.until_status("shop", handled).await;
    assert!(conditions::is_true(&status.conditions, FRESH), "{:?}", status.conditions);
    assert!(operator.log().contains("somebody has kept a newer one"), "{}", operator.log());
    assert_eq!(refusals(&world), 1);
    let used = used(&world);
    assert_eq!((used.len(), used[1]), (4, used[2]), "{used:?}");
    assert!(used[3] > used[2], "{used:?}");
}

/// There is no leader: each works on the same token, as during a rolling update.
#[tokio::test(flavor = "multi_thread")]
async fn two_operators_never_use_up_the_same() {
    let world = consent("two-operators", 0, "").await;
    let _operators = [world.operator(&[]), world.operator(&[])];
    world.apply(&[oauth2_token("one"), oauth2_token("two")].join("\n---\n"));
    for name in ["one", "two"] {
        world.until_ready(name).await;
    }
    for round in 0..6 {
        let value = format!("round {round}");
        tokio::join!(world.force("one", &value), world.force("two", &value));
    }
    assert_eq!(refusals(&world), 0);
    let used = used(&world);
    let once: std::collections::BTreeSet<_> = used.iter().collect();
    assert_eq!(once.len(), used.len(), "{used:?}");
    assert!(used.len() >= 14, "{used:?}");
    world.until::<Secret>("c-renewed", |kept| kept.is_some()).await;
}
