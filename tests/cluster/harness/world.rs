//! A namespace, a simulator and an operator for one test.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, Resource};
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use provider_simulator::{Options, Recorded, Simulator, System};
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokenward::api::{OAuthClientToken, OAuthClientTokenStatus, conditions};

use super::cluster::{admin, install, kubeconfig, kubectl, service_account_kubeconfig};
use super::{Operator, PATIENCE};

/// Where operators under test keep their digest key, and the platform its credentials.
pub const OPERATOR_NAMESPACE: &str = "tokenward-system";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// What lets an operator reach a simulator that speaks http on loopback.
pub const LOOPBACK: [&str; 3] = ["--allow-http", "--egress-allow-cidr", "127.0.0.0/8"];

/// What one test has to itself.
pub struct World {
    /// An administrator's client.
    pub client: Client,
    /// A namespace of its own.
    pub namespace: String,
    /// A simulator of its own.
    pub sim: Simulator,
    folder: TempDir,
    /// Whether resources of its namespace may be held by a finalizer.
    pub(super) holds: AtomicBool,
    /// What lies outside the namespace and goes with the test: names by the arguments of
    /// `kubectl delete` before them.
    litter: Mutex<BTreeMap<Vec<String>, Vec<String>>>,
}

impl World {
    /// Makes a namespace and a simulator. No operator runs yet.
    pub async fn new(name: &str) -> Self {
        Self::with(name, Options::default()).await
    }

    /// The same with another simulator.
    pub async fn with(name: &str, simulator: Options) -> Self {
        install().await;
        let count = COUNT.fetch_add(1, Ordering::SeqCst);
        let namespace = format!("test-{name}-{}-{count}", std::process::id());
        kubectl(&["create", "namespace", &namespace], "");
        Self {
            client: admin().await,
            namespace,
            sim: Simulator::start(simulator).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
            holds: AtomicBool::new(false),
            litter: Mutex::default(),
        }
    }

    /// Starts an operator for this namespace, with further arguments.
    pub fn operator(&self, args: &[&str]) -> Operator {
        self.strict_operator(&[&LOOPBACK, args].concat())
    }

    /// The same, but loopback and plain http are refused unless `args` lift that.
    pub fn strict_operator(&self, args: &[&str]) -> Operator {
        let own =
            ["--namespace", &self.namespace, "--cluster-resource-namespace", OPERATOR_NAMESPACE];
        self.bare_operator(&[&own, args].concat())
    }

    /// An operator with exactly these arguments.
    pub fn bare_operator(&self, args: &[&str]) -> Operator {
        let kubeconfig = self.folder().join("kubeconfig");
        if !kubeconfig.exists() {
            service_account_kubeconfig(OPERATOR_NAMESPACE, "tokenward", self.folder.path());
        }
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        Operator::start(&kubeconfig, self.folder().join("log"), &args)
    }

    /// Applies manifests to this namespace. `$SIM` stands for the simulator's address, `$NS` for the
    /// namespace.
    pub fn apply(&self, manifests: &str) {
        self.apply_verbatim(&self.filled(manifests));
    }

    /// Applies manifests to this namespace as they are.
    pub fn apply_verbatim(&self, manifests: &str) {
        kubectl(&["-n", &self.namespace, "apply", "-f", "-"], manifests);
    }

    fn filled(&self, text: &str) -> String {
        text.replace("$SIM", &self.sim.addr().to_string()).replace("$NS", &self.namespace)
    }

    /// Deletes this when the test ends: a cluster-scoped object, or one in another namespace. Its
    /// name is the last argument.
    pub fn litter(&self, delete: &[&str]) {
        let mut delete: Vec<String> = delete.iter().map(|arg| (*arg).to_owned()).collect();
        let name = delete.pop().unwrap();
        self.litter.lock().unwrap().entry(delete).or_default().push(name);
    }

    /// Changes an object by a merge patch. `$SIM` and `$NS` as in [`World::apply`].
    pub fn patch(&self, object: &str, patch: &str) {
        self.kubectl(&["patch", object, "--type=merge", "-p", &self.filled(patch)]);
    }

    /// Changes the annotation that asks a token for a refresh, and waits until that was acted on.
    /// Whatever else was to happen before has then happened.
    pub async fn force(&self, name: &str, value: &str) -> OAuthClientTokenStatus {
        let annotation = format!("tokenward.dev/refresh-requested-at={value}");
        self.kubectl(&["annotate", "--overwrite", "oct", name, &annotation]);
        let handled = |status: &OAuthClientTokenStatus| {
            status.last_handled_refresh_request.as_deref() == Some(value)
        };
        self.until_status(name, handled).await
    }

    /// A folder of its own, with the operator's log and kubeconfig.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs kubectl in this namespace.
    pub fn kubectl(&self, args: &[&str]) -> String {
        kubectl(&[&["-n", &self.namespace], args].concat(), "")
    }

    /// A provider `p`, credentials `c` and a token `name` of the generic document.
    pub fn apply_oauth2(&self, name: &str, provider: &str) {
        self.apply(&format!("{}\n---\n{}", oauth2_provider("p", provider), oauth2_client("c")));
        self.apply(&oauth2_token(name));
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
        let Ok(state) = found.await else {
            panic!("{name} never became what was waited for; last seen: {last:#?}");
        };
        state
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

    /// Waits until the generic endpoint has had this many requests, and returns the last one.
    pub async fn until_requests(&self, n: usize) -> Recorded {
        let all = self.sim.wait_for(n, System::Oauth2, PATIENCE).await.unwrap();
        all.last().unwrap().clone()
    }

    /// Waits for the request to the generic endpoint that comes after this many.
    pub async fn until_requests_beyond(&self, n: usize) -> Recorded {
        self.sim.wait_for(n + 1, System::Oauth2, PATIENCE).await.unwrap().swap_remove(n)
    }

    /// The number of requests to the generic endpoint so far.
    pub fn requests(&self) -> usize {
        self.sim.requests_of(System::Oauth2).len()
    }
}

/// As many objects are deleted at once: of more, kubectl deletes five a second.
const KUBECTL_BURST: usize = 10;

impl Drop for World {
    fn drop(&mut self) {
        if *self.holds.get_mut() {
            // Its operator is gone, and the namespace would never go.
            let _ = Command::new(env!("CARGO_BIN_EXE_tokenward"))
                .args(["release", "--namespace", &self.namespace])
                .env("KUBECONFIG", kubeconfig())
                .output();
        }
        // Nobody waits for it: names are fresh.
        let delete = ["delete", "namespace", &self.namespace, "--wait=false"];
        let _ = super::cluster::try_kubectl(&delete, "");
        for (kind, names) in self.litter.lock().unwrap().iter() {
            std::thread::scope(|all| {
                for names in names.chunks(KUBECTL_BURST) {
                    all.spawn(move || {
                        let delete = ["delete", "--ignore-not-found", "--wait=false"];
                        let object = kind.iter().chain(names).map(String::as_str);
                        let delete: Vec<&str> = delete.into_iter().chain(object).collect();
                        let _ = super::cluster::try_kubectl(&delete, "");
                    });
                }
            });
        }
    }
}

/// A provider of the generic document, with further fields.
pub fn oauth2_provider(name: &str, more: &str) -> String {
    format!(
        r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: {name}}}
spec: {{preset: oauth2, variables: {{tokenUrl: "http://$SIM/oauth2/token"}}, limits: {{minInterval: 1s}}, {more}}}
"#
    )
}

/// The credentials that the generic endpoint knows.
pub fn oauth2_client(name: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Secret
metadata: {{name: {name}}}
stringData: {{client_id: "{CLIENT_ID}", client_secret: "{CLIENT_SECRET}"}}
"#
    )
}

/// A token of provider `p` and credentials `c`.
pub fn oauth2_token(name: &str) -> String {
    token(name, "providerRef: {name: p}, credentialsSecretRef: {name: c}")
}

/// A token with this spec.
pub fn token(name: &str, spec: &str) -> String {
    format!(
        r"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {{name: {name}}}
spec: {{{spec}}}
"
    )
}
