//! How providers are respected: budgets, silences and shares, over a restart too, and none of it
//! at the cost of another provider.

use chrono::TimeDelta;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use provider_simulator::{Behaviour, Fault, RetryAfter, System};
use serde_json::json;
use tokenward::api::OAuthClientTokenStatus;
use tokenward::api::conditions::{self, FRESH, READY};

use crate::harness::{ADMIN, Lane, OPERATOR_NAMESPACE, PATIENCE, World, kubectl, token};

/// Tokens of one provider.
fn tokens(names: impl IntoIterator<Item = String>, provider: &str) -> String {
    let token = |name: String| {
        token(
            &name,
            &format!("providerRef: {{name: {provider}}}, credentialsSecretRef: {{name: c}}"),
        )
    };
    names.into_iter().map(token).collect::<Vec<_>>().join("\n---\n")
}

/// A token of a provider that may be asked so often in a day.
fn limited(world: &World, name: &str, requests: u32) {
    world.apply_oauth2(name, "");
    let limits = json!({"spec": {"limits": {"requestsPer": {"24h": requests}}}}).to_string();
    world.kubectl(&["patch", "oauthprovider", "p", "--type=merge", "-p", &limits]);
}

fn reason(status: &OAuthClientTokenStatus, type_: &str) -> String {
    let condition = conditions::find(&status.conditions, type_);
    condition.map(|condition| condition.reason.clone()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_kept_over_crashes() {
    let world = World::new("budget").await;
    limited(&world, "t-0", 5);
    let mut operator = world.operator(&[]);
    world.until_ready("t-0").await;
    for round in 0..3 {
        let names = [1, 2].map(|n| format!("t-{round}-{n}"));
        world.apply(&tokens(names.clone(), "p"));
        for name in names {
            let settled = |status: &OAuthClientTokenStatus| {
                reason(status, READY) == "TokenValid" || reason(status, READY) == "BudgetExhausted"
            };
            world.until_status(&name, settled).await;
        }
        let mark = operator.log().len();
        operator.kill();
        operator = world.operator(&[]);
        operator.wait_for_log_after(mark, "caches are filled").await;
    }
    let name = "t-2-2";
    let status = world.until_status(name, |s| reason(s, READY) == "BudgetExhausted").await;
    let wait = status.next_attempt_at.unwrap() - chrono::Utc::now();
    assert!(wait > TimeDelta::hours(23) && wait < TimeDelta::hours(31), "{wait}");
    let message = &conditions::find(&status.conditions, FRESH).unwrap().message;
    assert!(message.contains("limits.requestsPer") && message.contains("5 in 24h"), "{message}");
    assert_eq!(status.consecutive_failures, 0, "nothing failed");
    // Neither does a person's wish move it, nor a target that is lost.
    world.kubectl(&["annotate", "oct", "t-0", "tokenward.dev/refresh-requested-at=now"]);
    world.kubectl(&["delete", "secret", "t-0-1", "--ignore-not-found"]);
    let status = world.until_status("t-0", |s| reason(s, FRESH) == "BudgetExhausted").await;
    assert_eq!(reason(&status, READY), "TokenValid", "the good token stays");
    assert_eq!(world.requests(), 5);
    // What is written down tells nothing but numbers and namespaces.
    let api: Api<Secret> = Api::namespaced(world.client.clone(), OPERATOR_NAMESPACE);
    let secret = api.get("tokenward-accounts").await.unwrap();
    let text = String::from_utf8(secret.data.unwrap()["accounts.json"].0.clone()).unwrap();
    assert!(text.contains(&world.namespace), "{text}");
    for told in [CLIENT_ID, CLIENT_SECRET, "127.0.0.1"] {
        assert!(!text.contains(told), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_at_once_do_not_spend_a_budget_twice() {
    let world = World::new("twice").await;
    limited(&world, "t", 5);
    let _operators = [world.operator(&[]), world.operator(&[])];
    world.apply(&tokens((0..8).map(|n| format!("t-{n}")), "p"));
    let exhausted = (0..8).map(|n| {
        let world = &world;
        async move {
            let settled = |status: &OAuthClientTokenStatus| {
                ["TokenValid", "BudgetExhausted"].contains(&reason(status, READY).as_str())
            };
            world.until_status(&format!("t-{n}"), settled).await
        }
    });
    let statuses = join_all(exhausted).await;
    assert!(statuses.iter().any(|status| reason(status, READY) == "BudgetExhausted"));
    assert!(world.requests() <= 5, "{} instead of 5", world.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_holds_for_all_tokens_of_an_account_and_over_a_crash() {
    let world = World::new("silence").await;
    let operator = world.operator(&[]);
    let throttled = Fault::throttled(RetryAfter::Seconds(3600));
    let lane = Lane::new(&world, "lane", Behaviour::default()).await;
    Lane::apply(&world, std::slice::from_ref(&lane), "limits: {minInterval: 1s}");
    lane.until_fresh().await;
    lane.set(Behaviour::failing(throttled));
    lane.ask("1").await;
    lane.until(|status| status.throttled_until.is_some()).await;
    world.apply(&tokens(["second".to_owned()], "lane"));
    world.until_condition("second", (READY, "False", "ProviderThrottled")).await;
    lane.set(Behaviour::default());
    let mark = operator.log().len();
    operator.kill();
    let operator = world.operator(&[]);
    operator.wait_for_log_after(mark, "caches are filled").await;
    world.apply(&tokens(["third".to_owned()], "lane"));
    world.until_condition("third", (READY, "False", "ProviderThrottled")).await;
    let status = world.until_status("third", |status| status.next_attempt_at.is_some()).await;
    let wait = status.next_attempt_at.unwrap() - chrono::Utc::now();
    assert!(wait > TimeDelta::minutes(50), "{wait}");
    assert_eq!(lane.requests().len(), 2);
    // The same provider with another client is not silent.
    let other = format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: other}}, stringData: \
         {{client_id: '{CLIENT_ID}', client_secret: '{CLIENT_SECRET}'}}}}"
    );
    world.apply(&other);
    world.witness("free", "lane", "other").await;
    assert_eq!(lane.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_is_asked_by_one_token_at_a_time_until_it_is_back() {
    const TOKENS: usize = 12;
    let world = World::new("breaker").await;
    let _operator = world.operator(&[]);
    let lane = Lane::new(&world, "lane", Behaviour::failing(Fault::internal_error())).await;
    Lane::apply(&world, std::slice::from_ref(&lane), "limits: {minInterval: 1s}");
    let names: Vec<String> = (1..TOKENS).map(|n| format!("t-{n}")).collect();
    world.apply(&tokens(names.clone(), "lane"));
    let told = |status: &OAuthClientTokenStatus| {
        let ready = conditions::find(&status.conditions, READY);
        ready.is_some_and(|ready| ready.message.contains("one token at a time"))
    };
    let all = || names.iter().map(String::as_str).chain(["lane"]);
    join_all(all().map(|name| world.until_status(name, told))).await;
    // The last of the five failures that open it finds eight others under way at most; after those,
    // probes.
    let asked = lane.requests();
    let apart = |pair: &[provider_simulator::Recorded]| pair[1].time - pair[0].time;
    let pauses: Vec<TimeDelta> = asked.windows(2).map(apart).collect();
    let is_probe = |pause: &TimeDelta| *pause > TimeDelta::seconds(10);
    let burst = 1 + pauses.iter().take_while(|pause| !is_probe(pause)).count();
    assert!(burst < 5 + 8, "{pauses:?}");
    assert!(pauses[burst - 1..].iter().all(is_probe), "{pauses:?}");
    lane.set(Behaviour::default());
    join_all(all().map(|name| world.until_ready(name))).await;
    for name in all() {
        let status = world.until_ready(name).await;
        assert_eq!(reason(&status, FRESH), "Refreshed", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_one_tenant_is_no_outage_for_others() {
    let world = World::new("refusals").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("good", "");
    world.until_ready("good").await;
    world.apply("{apiVersion: v1, kind: Secret, metadata: {name: bad}, stringData: {client_id: x, client_secret: wrong}}");
    let bad = (0..10).map(|n| {
        token(&format!("bad-{n}"), "providerRef: {name: p}, credentialsSecretRef: {name: bad}")
    });
    world.apply(&bad.collect::<Vec<_>>().join("\n---\n"));
    for n in 0..10 {
        world.until_condition(&format!("bad-{n}"), (READY, "False", "TokenRequestRejected")).await;
    }
    world.witness("witness", "p", "c").await;
    world.witness("witness-bad", "p", "c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_leaves_the_others_their_share_of_the_platforms_client() {
    let (world, other) = (World::new("share-a").await, World::new("share-b").await);
    let args = ["--cluster-kinds", "--namespace", &other.namespace];
    let _operator = world.operator(&args);
    let client = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": world.namespace, "namespace": OPERATOR_NAMESPACE},
        "stringData": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    });
    let provider = json!({
        "apiVersion": "tokenward.dev/v1alpha1", "kind": "ClusterOAuthProvider",
        "metadata": {"name": world.namespace},
        "spec": {
            "preset": "oauth2",
            "variables": {"tokenUrl": world.sim.endpoint(System::Oauth2)},
            "limits": {"requestsPer": {"24h": 10}},
            "credentialsSecretRef": {"name": world.namespace},
            "usage": {"namespaceSelector": {}}
        }
    });
    kubectl(&["apply", "-f", "-"], &client.to_string());
    world.litter(&["-n", OPERATOR_NAMESPACE, "secret", &world.namespace]);
    kubectl(&["apply", "-f", "-"], &provider.to_string());
    world.litter(&["clusteroauthprovider", &world.namespace]);
    let reference =
        format!("providerRef: {{kind: ClusterOAuthProvider, name: {}}}", world.namespace);
    other.apply(&token("first", &reference));
    other.until_ready("first").await;
    let many: Vec<String> = (0..12).map(|n| token(&format!("t-{n}"), &reference)).collect();
    world.apply(&many.join("\n---\n"));
    let mut ready = 0;
    for n in 0..12 {
        let settled = |status: &OAuthClientTokenStatus| {
            ["TokenValid", "ShareExhausted"].contains(&reason(status, READY).as_str())
        };
        let status = world.until_status(&format!("t-{n}"), settled).await;
        ready += usize::from(reason(&status, READY) == "TokenValid");
    }
    assert_eq!(ready, 5, "half of ten, for there are two of them");
    let rest: Vec<String> = (0..4).map(|n| token(&format!("more-{n}"), &reference)).collect();
    other.apply(&rest.join("\n---\n"));
    for n in 0..4 {
        other.until_ready(&format!("more-{n}")).await;
    }
    assert_eq!(world.requests(), 10);
}

/// All places are taken, for as long as a request may hang.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_turn_hears_of_a_change_at_once() {
    let world = World::new("news").await;
    let operator = world.operator(&[&ADMIN[..], &["--request-timeout", "100"]].concat());
    world.sim.set(System::Oauth2, Behaviour::failing(Fault::Hang));
    world.apply_oauth2("t-0", "");
    world.apply(&tokens((1..8).map(|n| format!("t-{n}")), "p"));
    world.sim.wait_for(8, System::Oauth2, PATIENCE).await.unwrap();
    world.apply(&tokens(["late".to_owned(), "gone".to_owned()], "p"));
    let waiting = format!("tokenward_origin_waiting{{origin=\"http://{}\"}} 2", world.sim.addr());
    operator.wait_for_figure(&waiting).await;
    world.patch("oct/late", r#"{"spec": {"suspend": true}}"#);
    world.until_condition("late", (FRESH, "False", "Suspended")).await;
    world.kubectl(&["delete", "oct", "gone"]);
    let nobody = waiting.replace("} 2", "} 0");
    operator.wait_for_figure(&nobody).await;
    assert_eq!(world.requests(), 8);
}
