//! Cluster tokens: one grant, and a copy in every namespace that is selected and admitted.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use provider_simulator::systems::oauth2::CLIENT_SECRET;
use serde_json::json;
use tokenward::api::NamespaceCounts;
use tokenward::api::annotations::EXPIRES_AT;
use tokenward::api::conditions::{FRESH, READY};

use crate::ONE_AT_A_TIME;
use crate::fleet::{COPY, Fleet, holds, reason};
use crate::harness::{LOOPBACK, OPERATOR_NAMESPACE, kubectl};

/// What is logged where API requests are counted.
const DEBUG: [&str; 2] = ["--log-level", "info,kube_client=debug"];

#[tokio::test(flavor = "multi_thread")]
async fn one_request_serves_200_namespaces_and_whatever_becomes_of_them() {
    const MANY: i32 = 200;
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::new("fleet").await;
    let operator = fleet.world.bare_operator(&[&LOOPBACK[..], &DEBUG].concat());
    let names: Vec<String> = (0..MANY).map(|n| format!("n{n}")).collect();
    fleet.add(&names.iter().map(String::as_str).collect::<Vec<_>>());
    fleet.apply_token(&json!({}));
    let status = fleet.until_counts(MANY, MANY, 0).await;
    assert_eq!(reason(&status, READY), "True/TokenValid");
    assert_eq!(reason(&status, FRESH), "True/Refreshed");
    assert_eq!(status.grant.secret_name.as_deref(), Some(COPY));
    let copies = fleet.copies().await;
    let token = copies[&fleet.namespace("n0")].1.clone();
    assert_eq!(copies.len(), 200);
    assert!(copies.values().all(|(_, held)| *held == token) && fleet.world.sim.is_active(&token));
    assert_eq!(fleet.requests(), 1);
    let log = operator.log();
    let writes = log.lines().filter(|line| {
        line.contains("requesting")
            && line.contains("clusteroauthclienttokens/")
            && line.contains("/status")
    });
    let writes = writes.count();
    assert!((1..=20).contains(&writes), "{writes} writes of the status");

    let printed = kubectl(&["get", "coct", fleet.name(), "--no-headers"], "");
    let row: Vec<&str> = printed.split_whitespace().collect();
    assert_eq!(row[..6], [fleet.name(), "True", fleet.name(), COPY, "200", "200"], "{printed}");

    // One comes, one leaves the selection, one is deleted.
    fleet.add(&["late"]);
    fleet.until_copy("late", holds(&token)).await;
    fleet.label("n1", "selected=nobody");
    fleet.until_copy("n1", |copy| copy.is_none()).await;
    kubectl(&["delete", "namespace", &fleet.namespace("n2"), "--wait=false"], "");
    fleet.until_counts(MANY - 1, MANY - 1, 0).await;

    // A tenant spoils its copy, another one deletes it: mended, and nothing else happens.
    let spoil = json!({"stringData": {"access_token": "spoilt"}}).to_string();
    let patch = ["patch", "secret", COPY, "--type=merge", "-p", &spoil];
    kubectl(&[&["-n", &fleet.namespace("n3")], &patch[..]].concat(), "");
    kubectl(&["-n", &fleet.namespace("n4"), "delete", "secret", COPY], "");
    fleet.until_copy("n3", holds(&token)).await;
    fleet.until_copy("n4", holds(&token)).await;
    assert_eq!(fleet.requests(), 1);

    // A restart asks for nothing and writes nothing. What happened meanwhile is caught up with.
    let before = fleet.copies().await;
    operator.kill();
    fleet.label("n5", "selected=nobody");
    let _operator = fleet.world.bare_operator(&LOOPBACK);
    fleet.until_copy("n5", |copy| copy.is_none()).await;
    fleet.until_counts(MANY - 2, MANY - 2, 0).await;
    let mut expected = before.clone();
    expected.remove(&fleet.namespace("n5"));
    assert_eq!(fleet.copies().await, expected);
    assert_eq!(fleet.requests(), 1);
}

#[tokio::test]
async fn what_becomes_of_the_token_reaches_every_copy() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::new("renewed").await;
    let operator = fleet.world.bare_operator(&LOOPBACK);
    fleet.add(&["a", "b", "c"]);
    fleet.apply_token(&json!({}));
    fleet.until_counts(3, 3, 0).await;
    let first = fleet.copies().await[&fleet.namespace("a")].1.clone();

    // A copy is never read: what a tenant puts into its own gets nowhere, not to one that is new.
    let planted = json!({
        "metadata": {"annotations": {EXPIRES_AT: "2099-01-01T00:00:00Z"}},
        "stringData": {"access_token": "planted", "token_type": "planted"}
    });
    let patch = ["patch", "secret", COPY, "--type=merge", "-p", &planted.to_string()];
    kubectl(&[&["-n", &fleet.namespace("a")], &patch[..]].concat(), "");
    fleet.add(&["d"]);
    for which in ["a", "b", "c", "d"] {
        fleet.until_copy(which, holds(&first)).await;
    }
    fleet.until_counts(4, 4, 0).await;
    assert_eq!(fleet.requests(), 1);

    // A renewal reaches all.
    fleet.force("1").await;
    fleet.until_copy("a", |copy| !holds(&first)(copy)).await;
    let renewed = fleet.copies().await[&fleet.namespace("a")].1.clone();
    for which in ["b", "c", "d"] {
        fleet.until_copy(which, holds(&renewed)).await;
    }
    assert_eq!(fleet.requests(), 2);

    // The master copy is lost: that costs one request.
    kubectl(&["-n", OPERATOR_NAMESPACE, "delete", "secret", &fleet.master()], "");
    fleet.until_copy("a", |copy| !holds(&renewed)(copy)).await;
    assert_eq!(fleet.requests(), 3);

    // No token got where it may be read.
    let said =
        operator.log() + &kubectl(&["get", "coct", "-o", "json", "--show-managed-fields"], "");
    for recorded in fleet.world.sim.requests() {
        let token = recorded.token.unwrap();
        assert!(!said.contains(&token[..12]), "a token leaks");
    }
    assert!(!said.contains(CLIENT_SECRET));

    // Everything goes with its owner.
    kubectl(&["delete", "coct", fleet.name()], "");
    for which in ["a", "b", "c", "d"] {
        fleet.until_copy(which, |copy| copy.is_none()).await;
    }
    let master = fleet.master();
    fleet.until_secret((OPERATOR_NAMESPACE, &master), |secret| secret.is_none()).await;
}

#[tokio::test]
async fn each_namespace_stands_for_itself() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::new("each").await;
    fleet.apply_token(&json!({}));
    let _operator = fleet.world.bare_operator(&LOOPBACK);
    let status = fleet.until(|status| !status.grant.conditions.is_empty()).await;
    assert_eq!(reason(&status, READY), "False/NoNamespaceSelected");
    assert_eq!(status.namespaces, Some(NamespaceCounts::default()));

    // Selected, but not admitted: nothing is asked for that nobody would get.
    let (selected, admitted) =
        (json!({"selected": fleet.name()}), json!({"admitted": fleet.name()}));
    fleet.create(&["refused"], &selected);
    let status = fleet.until_counts(1, 0, 1).await;
    assert_eq!(status.failures[0].reason, "NamespaceNotAdmitted");
    fleet.until(|status| reason(status, READY) == "False/NamespaceNotAdmitted").await;
    assert_eq!(fleet.requests(), 0);

    // A tenant was there first: that is its own affair.
    fleet.label("refused", "selected-");
    fleet.until_counts(0, 0, 0).await;
    fleet.create(&["taken"], &admitted);
    let taken = fleet.namespace("taken");
    kubectl(&["-n", &taken, "create", "secret", "generic", COPY, "--from-literal=own=1"], "");
    fleet.label("refused", &format!("selected={}", fleet.name()));
    fleet.label("taken", &format!("selected={}", fleet.name()));
    fleet.add(&["plain"]);
    let status = fleet.until_counts(3, 1, 2).await;
    assert_eq!(reason(&status, READY), "False/NamespacesFailed");
    let failures: Vec<_> =
        status.failures.iter().map(|f| (f.namespace.as_str(), f.reason.as_str())).collect();
    let refused = fleet.namespace("refused");
    assert_eq!(
        failures,
        [(refused.as_str(), "NamespaceNotAdmitted"), (taken.as_str(), "SecretNotOwned")]
    );
    let own = ["-n", &taken, "get", "secret", COPY, "-o", "jsonpath={.data}"];
    assert_eq!(kubectl(&own, ""), r#"{"own":"MQ=="}"#);
    assert_eq!(fleet.requests(), 1);

    // Both come round; and admission that is taken back takes the copy with it.
    kubectl(&["-n", &taken, "delete", "secret", COPY], "");
    fleet.label("refused", &format!("admitted={}", fleet.name()));
    let status = fleet.until_counts(3, 3, 0).await;
    assert_eq!(reason(&status, READY), "True/TokenValid");
    assert_eq!(reason(&status, FRESH), "True/Refreshed");
    fleet.label("plain", "admitted-");
    fleet.until_copy("plain", |copy| copy.is_none()).await;
    fleet.until_counts(3, 2, 1).await;
    assert_eq!(fleet.requests(), 1);

    // A namespace that is being deleted is not selected, and nothing is written to it.
    let hold = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata":
        {"name": "hold", "finalizers": ["example.com/hold"]}});
    kubectl(&["-n", &taken, "apply", "-f", "-"], &hold.to_string());
    kubectl(&["delete", "namespace", &taken, "--wait=false"], "");
    fleet.until_counts(2, 1, 1).await;
    let namespaces: Api<Namespace> = Api::all(fleet.world.client.clone());
    assert!(namespaces.get(&taken).await.is_ok());
    let release = [r#"-p={"metadata":{"finalizers":null}}"#, "--type=merge"];
    kubectl(&[&["-n", &taken, "patch", "configmap", "hold"], &release[..]].concat(), "");
}
