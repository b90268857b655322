//! A cluster token, and the namespaces that it is for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use provider_simulator::{Options, System};
use serde_json::{Value, json};
use tokenward::api::conditions;
use tokenward::api::{ClusterOAuthClientToken, ClusterOAuthClientTokenStatus, NamespaceCounts};

use crate::harness::{OPERATOR_NAMESPACE, PATIENCE, World, kubectl};

/// The name of the copies.
pub const COPY: &str = "shared-token";

/// Namespaces that carry a label of this test's own, a provider that admits them, and its client.
pub struct Fleet {
    /// A namespace of its own, a simulator and operators.
    pub world: World,
}

impl Fleet {
    /// A provider that admits them, and its client. There is no namespace and no token yet.
    pub async fn new(name: &str) -> Self {
        Self::with(name, Options::default()).await
    }

    /// The same with another simulator.
    pub async fn with(name: &str, simulator: Options) -> Self {
        let world = World::with(name, simulator).await;
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
    pub fn name(&self) -> &str {
        &self.world.namespace
    }

    /// The name of a namespace.
    pub fn namespace(&self, which: &str) -> String {
        format!("{}-{which}", self.name())
    }

    /// Makes namespaces that are selected and admitted.
    pub fn add(&self, which: &[&str]) {
        self.create(which, &json!({"selected": self.name(), "admitted": self.name()}));
    }

    /// Makes namespaces with these labels.
    pub fn create(&self, which: &[&str], labels: &Value) {
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

    /// Changes a label of a namespace.
    pub fn label(&self, which: &str, label: &str) {
        kubectl(&["label", "--overwrite", "namespace", &self.namespace(which), label], "");
    }

    /// Applies the token, with further fields.
    pub fn apply_token(&self, more: &Value) {
        let mut spec = json!({
            "providerRef": {"name": self.name()},
            "namespaceSelector": {"matchLabels": {"selected": self.name()}},
            "target": {"secretName": COPY}
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let token = json!({
            "apiVersion": "tokenward.dev/v1alpha1", "kind": "ClusterOAuthClientToken",
            "metadata": {"name": self.name()}, "spec": spec
        });
        kubectl(&["apply", "-f", "-"], &token.to_string());
    }

    /// Changes the token by a merge patch of its spec.
    pub fn patch(&self, spec: &Value) {
        let patch = json!({"spec": spec}).to_string();
        kubectl(&["patch", "coct", self.name(), "--type=merge", "-p", &patch], "");
    }

    /// Asks for a refresh, as a person does, and waits until that was acted on.
    pub async fn force(&self, value: &str) {
        let ask = format!("tokenward.dev/refresh-requested-at={value}");
        kubectl(&["annotate", "--overwrite", "coct", self.name(), &ask], "");
        self.until(|status| status.grant.last_handled_refresh_request.as_deref() == Some(value))
            .await;
    }

    /// Waits until the token's status satisfies `is`.
    pub async fn until(
        &self,
        is: impl Fn(&ClusterOAuthClientTokenStatus) -> bool,
    ) -> ClusterOAuthClientTokenStatus {
        let api: Api<ClusterOAuthClientToken> = Api::all(self.world.client.clone());
        let status = |token: Option<&ClusterOAuthClientToken>| token?.status.clone();
        let is = |token: Option<&ClusterOAuthClientToken>| status(token).is_some_and(|s| is(&s));
        let waited = kube::runtime::wait::await_condition(api.clone(), self.name(), is);
        let Ok(token) = tokio::time::timeout(PATIENCE * 2, waited).await else {
            panic!("never so; last seen: {:#?}", api.get(self.name()).await.unwrap().status);
        };
        status(token.unwrap().as_ref()).unwrap()
    }

    /// Waits until as many namespaces are selected, ready and failed.
    pub async fn until_counts(
        &self,
        selected: i32,
        ready: i32,
        failed: i32,
    ) -> ClusterOAuthClientTokenStatus {
        let counts = NamespaceCounts { selected, ready, failed };
        self.until(|status| status.namespaces == Some(counts)).await
    }

    /// The copies by namespace: version and token.
    pub async fn copies(&self) -> BTreeMap<String, (String, String)> {
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
    pub async fn until_copy(&self, which: &str, is: impl Fn(Option<&Secret>) -> bool) {
        self.until_secret((&self.namespace(which), COPY), is).await;
    }

    /// Waits until a Secret is as it should be; `None` stands for its absence.
    pub async fn until_secret(
        &self,
        (namespace, name): (&str, &str),
        is: impl Fn(Option<&Secret>) -> bool,
    ) -> Option<Secret> {
        let api: Api<Secret> = Api::namespaced(self.world.client.clone(), namespace);
        let waited = kube::runtime::wait::await_condition(api, name, is);
        let waited = tokio::time::timeout(PATIENCE, waited).await;
        waited.unwrap_or_else(|_| panic!("Secret {namespace}/{name} never was so")).unwrap()
    }

    /// The name of the master copy.
    pub fn master(&self) -> String {
        format!("{}.coct.tokenward.dev", self.name())
    }

    /// The number of token requests so far.
    pub fn requests(&self) -> usize {
        self.world.requests()
    }
}

/// That a copy holds this token.
pub fn holds(token: &str) -> impl Fn(Option<&Secret>) -> bool {
    move |secret| {
        let data = secret.and_then(|secret| secret.data.as_ref());
        data.and_then(|data| data.get("access_token")).is_some_and(|t| t.0 == token.as_bytes())
    }
}

/// `STATUS/REASON` of a condition.
pub fn reason(status: &ClusterOAuthClientTokenStatus, type_: &str) -> String {
    let condition = conditions::find(&status.grant.conditions, type_).unwrap();
    format!("{}/{}", condition.status, condition.reason)
}
