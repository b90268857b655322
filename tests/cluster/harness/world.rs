//! A namespace, a simulator and an operator for one test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, Resource};
use provider_simulator::{Options, Simulator, System};
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokenward::api::{OAuthClientToken, OAuthClientTokenStatus, conditions};

use super::cluster::{admin, install, kubectl, service_account_kubeconfig};
use super::{Operator, PATIENCE};

/// Where operators under test keep their digest key, and the platform its credentials.
pub const OPERATOR_NAMESPACE: &str = "tokenward-system";

/// What one test has to itself.
pub struct World {
    /// An administrator's client.
    pub client: Client,
    /// A namespace of its own.
    pub namespace: String,
    /// A simulator of its own.
    pub sim: Simulator,
    folder: TempDir,
}

impl World {
    /// Makes a namespace and a simulator. No operator runs yet.
    pub async fn new(name: &str) -> Self {
        install().await;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        let namespace = format!("test-{name}-{}-{count}", std::process::id());
        kubectl(&["create", "namespace", &namespace], "");
        Self {
            client: admin().await,
            namespace,
            sim: Simulator::start(Options::default()).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts an operator for this namespace, with further arguments.
    pub fn operator(&self, args: &[&str]) -> Operator {
        let kubeconfig = self.folder.path().join("kubeconfig");
        if !kubeconfig.exists() {
            service_account_kubeconfig(OPERATOR_NAMESPACE, "tokenward", self.folder.path());
        }
        let own =
            ["--namespace", &self.namespace, "--cluster-resource-namespace", OPERATOR_NAMESPACE];
        let args: Vec<String> = own.iter().chain(args).map(|arg| (*arg).to_owned()).collect();
        Operator::start(&kubeconfig, self.folder.path().join("log"), &args)
    }

    /// Applies manifests to this namespace. `SIM` stands for the simulator's address.
    pub fn apply(&self, manifests: &str) {
        let manifests = manifests.replace("SIM", &self.sim.addr().to_string());
        kubectl(&["-n", &self.namespace, "apply", "-f", "-"], &manifests);
    }

    /// A folder of its own.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Runs kubectl in this namespace.
    pub fn kubectl(&self, args: &[&str]) -> String {
        kubectl(&[&["-n", &self.namespace], args].concat(), "")
    }

    /// A provider `p`, credentials `c` and a token `name` of the generic document.
    pub fn apply_oauth2(&self, name: &str, provider: &str) {
        let (id, secret) = (
            provider_simulator::systems::oauth2::CLIENT_ID,
            provider_simulator::systems::oauth2::CLIENT_SECRET,
        );
        self.apply(&format!(
            r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: p}}
spec: {{preset: oauth2, variables: {{tokenUrl: "http://SIM/oauth2/token"}}, limits: {{minInterval: 1s}}, {provider}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: c}}
stringData: {{client_id: "{id}", client_secret: "{secret}"}}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {{name: {name}}}
spec: {{providerRef: {{name: p}}, credentialsSecretRef: {{name: c}}}}
"#
        ));
    }

    /// Waits until an object of this namespace satisfies `is`; `None` stands for its absence.
    pub async fn until<K>(&self, name: &str, mut is: impl FnMut(Option<&K>) -> bool) -> Option<K>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug
            + Send
            + 'static,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.namespace);
        let states = watch_object(api, name).default_backoff();
        pin_mut!(states);
        let mut last = None;
        let found = tokio::time::timeout(PATIENCE, async {
            while let Some(state) = states.next().await {
                let Ok(state) = state else { continue };
                let done = is(state.as_ref());
                last.clone_from(&state);
                if done {
                    return state;
                }
            }
            panic!("the watch of {name} ended");
        });
        match found.await {
            Ok(state) => state,
            Err(_) => panic!("{name} never became what was waited for; last seen: {last:#?}"),
        }
    }

    /// Waits until a token's status satisfies `is`.
    pub async fn until_status(
        &self,
        name: &str,
        is: impl Fn(&OAuthClientTokenStatus) -> bool,
    ) -> OAuthClientTokenStatus {
        let token = self
            .until::<OAuthClientToken>(name, |token| {
                token.and_then(|token| token.status.as_ref()).is_some_and(&is)
            })
            .await;
        token.and_then(|token| token.status).unwrap()
    }

    /// Waits until a token is Ready.
    pub async fn until_ready(&self, name: &str) -> OAuthClientTokenStatus {
        self.until_status(name, |status| conditions::is_true(&status.conditions, conditions::READY))
            .await
    }

    /// Waits until a condition of a token has this status and reason; tells its message.
    pub async fn until_condition(
        &self,
        name: &str,
        (type_, status, reason): (&str, &str, &str),
    ) -> String {
        let is = |found: &OAuthClientTokenStatus| {
            conditions::find(&found.conditions, type_)
                .is_some_and(|c| c.status == status && c.reason == reason)
        };
        let found = self.until_status(name, is).await;
        conditions::find(&found.conditions, type_).unwrap().message.clone()
    }

    /// A Secret's data as text.
    pub async fn secret(&self, name: &str) -> (Secret, BTreeMap<String, String>) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = api.get(name).await.unwrap();
        let data = secret.data.clone().unwrap_or_default();
        let data = data.into_iter().map(|(key, value)| (key, String::from_utf8(value.0).unwrap()));
        (secret, data.collect())
    }

    /// The number of requests to the generic endpoint so far.
    pub fn requests(&self) -> usize {
        self.sim.requests_of(System::Oauth2).len()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Nobody waits for it: names are fresh.
        let delete = ["delete", "namespace", &self.namespace, "--wait=false"];
        let _ = super::cluster::try_kubectl(&delete, "");
    }
}
