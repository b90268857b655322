//! Cluster tokens: one grant, and a copy in every namespace that is selected and admitted.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::ListParams;
use provider_simulator::System;
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use serde_json::{Value, json};
use tokenward::api::conditions::{self, FRESH, READY};
use tokenward::api::{ClusterOAuthClientToken, ClusterOAuthClientTokenStatus, NamespaceCounts};

use crate::ONE_AT_A_TIME;
use crate::harness::{LOOPBACK, OPERATOR_NAMESPACE, PATIENCE, World, kubectl};

/// What is logged where API requests are counted.
const DEBUG: [&str; 2] = ["--log-level", "info,kube_client=debug"];
/// The name of the copies.
const COPY: &str = "shared-token";

/// Namespaces that carry a label of this test's own, a provider that admits them, and its client.
struct Fleet {
    world: World,
}

impl Fleet {
    async fn new(name: &str) -> Self {
        let world = World::new(name).await;
        let fleet = Self { world };
        let name = fleet.name();
        fleet.world.litter(&["-n", OPERATOR_NAMESPACE, "secret", name]);
        fleet.world.litter(&["clusteroauthprovider", name]);
        fleet.world.litter(&["clusteroauthclienttoken", name]);
        let client = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": OPERATOR_NAMESPACE},
            "stringData": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        });
        let provider = json!({
            "apiVersion": "tokenward.dev/v1alpha1", "kind": "ClusterOAuthProvider",
            "metadata": {"name": name},
            "spec": {
                "preset": "oauth2",
                "variables": {"tokenUrl": fleet.world.sim.endpoint(System::Oauth2)},
                "limits": {"minInterval": "1s"},
                "credentialsSecretRef": {"name": name},
                "usage": {"namespaceSelector": {"matchLabels": {"admitted": name}}}
            }
        });
        for object in [client, provider] {
            kubectl(&["apply", "-f", "-"], &object.to_string());
        }
        fleet
    }

    /// The name of everything cluster-scoped, and the value of the labels.
    fn name(&self) -> &str {
        &self.world.namespace
    }

    fn namespace(&self, which: &str) -> String {
        format!("{}-{which}", self.name())
    }

    /// Makes namespaces that are selected and admitted.
    fn add(&self, which: &[String]) {
        self.create(which, &json!({"selected": self.name(), "admitted": self.name()}));
    }

    fn create(&self, which: &[String], labels: &Value) {
        let items: Vec<Value> = which
            .iter()
            .map(|which| {
                json!({"apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": self.namespace(which), "labels": labels}})
            })
            .collect();
        for which in which {
            self.world.litter(&["namespace", &self.namespace(which)]);
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        kubectl(&["create", "-f", "-"], &list.to_string());
    }

    fn label(&self, which: &str, label: &str) {
        kubectl(&["label", "--overwrite", "namespace", &self.namespace(which), label], "");
    }

    fn apply_token(&self) {
        let token = json!({
            "apiVersion": "tokenward.dev/v1alpha1", "kind": "ClusterOAuthClientToken",
            "metadata": {"name": self.name()},
            "spec": {
                "providerRef": {"name": self.name()},
                "namespaceSelector": {"matchLabels": {"selected": self.name()}},
                "target": {"secretName": COPY}
            }
        });
        kubectl(&["apply", "-f", "-"], &token.to_string());
    }

    async fn until(
        &self,
        is: impl Fn(&ClusterOAuthClientTokenStatus) -> bool,
    ) -> ClusterOAuthClientTokenStatus {
        let api: Api<ClusterOAuthClientToken> = Api::all(self.world.client.clone());
        let status = |token: Option<&ClusterOAuthClientToken>| token?.status.clone();
        let is = |token: Option<&ClusterOAuthClientToken>| status(token).is_some_and(|s| is(&s));
        let waited = kube::runtime::wait::await_condition(api.clone(), self.name(), is);
        match tokio::time::timeout(PATIENCE * 2, waited).await {
            Ok(token) => status(token.unwrap().as_ref()).unwrap(),
            Err(_) => {
                panic!("never so; last seen: {:#?}", api.get(self.name()).await.unwrap().status)
            }
        }
    }

    async fn until_counts(
        &self,
        selected: i32,
        ready: i32,
        failed: i32,
    ) -> ClusterOAuthClientTokenStatus {
        let counts = NamespaceCounts { selected, ready, failed };
        self.until(|status| status.namespaces == Some(counts)).await
    }

    /// The copies by namespace: version and token.
    async fn copies(&self) -> BTreeMap<String, (String, String)> {
        let api: Api<Secret> = Api::all(self.world.client.clone());
        let by_name = ListParams::default().fields(&format!("metadata.name={COPY}"));
        let secrets = api.list(&by_name).await.unwrap().into_iter().filter_map(|secret| {
            let namespace = secret.metadata.namespace?;
            let token = secret.data?.remove("access_token")?;
            let version = secret.metadata.resource_version?;
            let own = namespace.starts_with(self.name());
            own.then_some((namespace, (version, String::from_utf8(token.0).unwrap())))
        });
        secrets.collect()
    }

    /// Waits until a copy is as it should be.
    async fn until_copy(&self, which: &str, is: impl Fn(Option<&Secret>) -> bool) {
        let api: Api<Secret> = Api::namespaced(self.world.client.clone(), &self.namespace(which));
        let waited = kube::runtime::wait::await_condition(api, COPY, is);
        let waited = tokio::time::timeout(PATIENCE, waited).await;
        waited.unwrap_or_else(|_| panic!("the copy in {which} never was so")).unwrap();
    }

    fn requests(&self) -> usize {
        self.world.requests()
    }
}

fn holds(token: &str) -> impl Fn(Option<&Secret>) -> bool {
    move |secret| {
        let data = secret.and_then(|secret| secret.data.as_ref());
        data.and_then(|data| data.get("access_token")).is_some_and(|t| t.0 == token.as_bytes())
    }
}

fn reason(status: &ClusterOAuthClientTokenStatus, type_: &str) -> String {
    let condition = conditions::find(&status.grant.conditions, type_).unwrap();
    format!("{}/{}", condition.status, condition.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_serves_200_namespaces_and_whatever_becomes_of_them() {
    const MANY: i32 = 200;
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::new("fleet").await;
    let operator = fleet.world.bare_operator(&[&LOOPBACK[..], &DEBUG].concat());
    fleet.add(&(0..MANY).map(|n| format!("n{n}")).collect::<Vec<_>>());
    fleet.apply_token();
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

    // One comes, one leaves the selection, one is deleted.
    fleet.add(&["late".to_owned()]);
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
    let operator = fleet.world.bare_operator(&LOOPBACK);
    fleet.until_copy("n5", |copy| copy.is_none()).await;
    fleet.until_counts(MANY - 2, MANY - 2, 0).await;
    let mut expected = before.clone();
    expected.remove(&fleet.namespace("n5"));
    assert_eq!(fleet.copies().await, expected);
    assert_eq!(fleet.requests(), 1);

    // A renewal reaches all.
    let ask = format!("tokenward.dev/refresh-requested-at={}", fleet.name());
    kubectl(&["annotate", "coct", fleet.name(), &ask], "");
    let renewed = |status: &ClusterOAuthClientTokenStatus| {
        status.grant.last_handled_refresh_request.as_deref() == Some(fleet.name())
    };
    fleet.until(renewed).await;
    fleet.until_copy("n199", |copy| !holds(&token)(copy)).await;
    let renewed = fleet.copies().await[&fleet.namespace("n199")].1.clone();
    for which in ["n0", "n100", "late"] {
        fleet.until_copy(which, holds(&renewed)).await;
    }
    assert_eq!(fleet.requests(), 2);

    // The master copy is lost: that costs one request.
    let master = format!("{}.coct.tokenward.dev", fleet.name());
    kubectl(&["-n", OPERATOR_NAMESPACE, "delete", "secret", &master], "");
    fleet.until_copy("n0", |copy| !holds(&renewed)(copy)).await;
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
    fleet.until_copy("n0", |copy| copy.is_none()).await;
    fleet.until_copy("n199", |copy| copy.is_none()).await;
    let masters: Api<Secret> = Api::namespaced(fleet.world.client.clone(), OPERATOR_NAMESPACE);
    let gone = kube::runtime::wait::await_condition(masters, &master, |secret: Option<&Secret>| {
        secret.is_none()
    });
    tokio::time::timeout(PATIENCE, gone).await.unwrap().unwrap();
}

#[tokio::test]
async fn each_namespace_stands_for_itself() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::new("each").await;
    fleet.apply_token();
    let _operator = fleet.world.bare_operator(&LOOPBACK);
    let status = fleet.until(|status| !status.grant.conditions.is_empty()).await;
    assert_eq!(reason(&status, READY), "False/NoNamespaceSelected");
    assert_eq!(status.namespaces, Some(NamespaceCounts::default()));

    // Selected, but not admitted: nothing is asked for that nobody would get.
    let (selected, admitted) =
        (json!({"selected": fleet.name()}), json!({"admitted": fleet.name()}));
    fleet.create(&["refused".to_owned()], &selected);
    let status = fleet.until_counts(1, 0, 1).await;
    assert_eq!(status.failures[0].reason, "NamespaceNotAdmitted");
    fleet.until(|status| reason(status, READY) == "False/NamespaceNotAdmitted").await;
    assert_eq!(fleet.requests(), 0);

    // A tenant was there first: that is its own affair.
    fleet.label("refused", "selected-");
    fleet.until_counts(0, 0, 0).await;
    fleet.create(&["taken".to_owned()], &admitted);
    let taken = fleet.namespace("taken");
    kubectl(&["-n", &taken, "create", "secret", "generic", COPY, "--from-literal=own=1"], "");
    fleet.label("refused", &format!("selected={}", fleet.name()));
    fleet.label("taken", &format!("selected={}", fleet.name()));
    fleet.add(&["plain".to_owned()]);
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
