//! Tokens of several providers in several namespaces, as people leave them.

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, Resource};
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use provider_simulator::{Behaviour, Options, Recorded, Simulator, System};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokenward::api::{OAuthClientToken, OAuthProvider, conditions};

const PROVIDERS: u32 = 5;
const NAMESPACES: u32 = 20;
/// A namespace with few tokens.
pub const QUIET: &str = "load-quiet";
/// Requests under way at once where objects are made.
pub const AT_ONCE: usize = 32;
/// Objects a page of a list.
const PAGE: u32 = 500;
/// Who `kubectl apply` writes as.
const APPLIER: &str = "kubectl-client-side-apply";

/// What all tokens of a run are.
pub struct Field {
    client: Client,
    sims: Vec<Simulator>,
    /// Further fields of a token's spec.
    spec: Value,
}

impl Field {
    /// Providers with TLS, their namespaces and credentials; further fields of a token's spec.
    pub async fn new(client: Client, spec: Value) -> Self {
        let start = |_| async { Simulator::start(Options::tls()).await.unwrap() };
        let sims = stream::iter(0..PROVIDERS).then(start).collect().await;
        let field = Self { client, sims, spec };
        let namespaces = (0..NAMESPACES).map(namespace).chain([QUIET.to_owned()]);
        for namespace in namespaces {
            field.furnish(&namespace).await;
        }
        field
    }

    async fn furnish(&self, namespace: &str) {
        let itself =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        create::<Namespace>(&Api::all(self.client.clone()), itself).await;
        let client = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "client"},
            "stringData": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}});
        create::<Secret>(&Api::namespaced(self.client.clone(), namespace), client).await;
        let providers = Api::namespaced(self.client.clone(), namespace);
        for (number, sim) in self.sims.iter().enumerate() {
            let provider = json!({
                "apiVersion": "tokenward.dev/v1alpha1", "kind": "OAuthProvider",
                "metadata": {"name": provider(number)},
                "spec": {
                    "preset": "oauth2", "variables": {"tokenUrl": sim.endpoint(System::Oauth2)},
                    "request": {"parameters": {"audience": "{{ parameters.audience }}"}},
                    // What is measured is not to be what a provider allows.
                    "limits": {"minInterval": "1s", "requestsPer": {"1s": 0}},
                    "caBundle": sim.ca_pem().unwrap()
                }
            });
            create::<OAuthProvider>(&providers, provider).await;
        }
    }

    /// How all providers answer from now on.
    pub fn set(&self, behaviour: &Behaviour) {
        for sim in &self.sims {
            sim.set(System::Oauth2, behaviour.clone());
        }
    }

    /// Makes tokens `t-0`, `t-1` …
    pub async fn create(&self, tokens: u32) {
        let create = |number: u32| async move {
            self.create_one(&namespace(number % NAMESPACES), &name(number)).await;
        };
        stream::iter((0..tokens).map(create)).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    /// Makes a token.
    pub async fn create_one(&self, namespace: &str, name: &str) {
        let number = name.bytes().map(usize::from).sum::<usize>() % self.sims.len();
        let mut spec = json!({
            "providerRef": {"name": provider(number)}, "credentialsSecretRef": {"name": "client"},
            "parameters": {"audience": name}
        });
        spec.as_object_mut().unwrap().extend(self.spec.as_object().unwrap().clone());
        let labels = json!({"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "load"});
        let token = json!({
            "apiVersion": "tokenward.dev/v1alpha1", "kind": "OAuthClientToken",
            "metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": spec
        });
        create(&self.tokens_in(namespace), token).await;
    }

    /// The tokens of a namespace.
    pub fn tokens_in(&self, namespace: &str) -> Api<OAuthClientToken> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// How many tokens are Ready.
    pub async fn ready(&self) -> usize {
        let api: Api<OAuthClientToken> = Api::all(self.client.clone());
        let (mut ready, mut page) = (0, ListParams::default().limit(PAGE));
        loop {
            let list = api.list(&page).await.unwrap();
            ready += list.items.iter().filter(|token| is_ready(token)).count();
            match list.metadata.continue_.filter(|more| !more.is_empty()) {
                Some(more) => page = page.continue_token(&more),
                None => return ready,
            }
        }
    }

    /// All token requests so far, and the names of the tokens they were for.
    pub fn requests(&self) -> Vec<(String, Recorded)> {
        let requests = self.sims.iter().flat_map(|sim| sim.requests_of(System::Oauth2));
        let named = requests.map(|request| {
            let form = url::form_urlencoded::parse(request.body.as_bytes());
            let audience = form.into_iter().find(|(key, _)| key == "audience");
            (audience.map_or_else(String::new, |(_, name)| name.into_owned()), request)
        });
        named.collect()
    }
}

/// Whether a token is Ready.
pub fn is_ready(token: &OAuthClientToken) -> bool {
    let status = token.status.as_ref();
    status.is_some_and(|status| conditions::is_true(&status.conditions, conditions::READY))
}

/// The name of a token.
fn name(number: u32) -> String {
    format!("t-{number}")
}

/// The name of a namespace.
pub fn namespace(number: u32) -> String {
    format!("load-{number}")
}

fn provider(number: usize) -> String {
    format!("provider-{number}")
}

/// Creates an object as `kubectl apply` does.
pub async fn create<K>(api: &Api<K>, mut object: Value)
where
    K: Resource + Clone + Serialize + DeserializeOwned + std::fmt::Debug,
{
    let applied = format!("{object}\n");
    object["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": applied});
    let object: K = serde_json::from_value(object).unwrap();
    let params = PostParams { field_manager: Some(APPLIER.to_owned()), ..PostParams::default() };
    api.create(&params, &object).await.unwrap();
}
