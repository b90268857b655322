//! A provider with a simulator of its own, and one token of it. Several share one operator, so
//! that what they go through, they go through at once.

use kube::Api;
use kube::api::{Patch, PatchParams};
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use provider_simulator::{Behaviour, Options, Recorded, Simulator, System};
use serde_json::json;
use tokenward::api::annotations::REFRESH_REQUESTED_AT;
use tokenward::api::{OAuthClientToken, OAuthClientTokenStatus, conditions};

use super::{Operator, PATIENCE, World};

/// One provider, and one token of it with the same name.
pub struct Lane<'w> {
    world: &'w World,
    /// The provider.
    pub sim: Simulator,
    /// The name of provider, token and target.
    pub name: String,
}

impl<'w> Lane<'w> {
    /// Starts a simulator that behaves like this. Nothing is applied yet.
    pub async fn new(world: &'w World, name: &str, behaviour: Behaviour) -> Self {
        let options = Options::default().with(System::Oauth2, behaviour);
        let sim = Simulator::start(options).await.unwrap();
        Self { world, sim, name: name.to_owned() }
    }

    /// Applies credentials, providers and tokens of all lanes; `extra` goes into every provider.
    pub fn apply(world: &World, lanes: &[Self], extra: &str) {
        let credentials = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c"},
            "stringData": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}});
        let both = |Self { sim, name, .. }: &Self| {
            let url = sim.endpoint(System::Oauth2);
            format!(
                r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: {name}}}
spec: {{preset: oauth2, variables: {{tokenUrl: "{url}"}}, {extra}}}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {{name: {name}}}
spec: {{providerRef: {{name: {name}}}, credentialsSecretRef: {{name: c}}}}
"#
            )
        };
        let manifests: Vec<String> =
            std::iter::once(credentials.to_string()).chain(lanes.iter().map(both)).collect();
        world.apply(&manifests.join("\n---\n"));
    }

    /// Asks for a refresh, as a person does.
    pub async fn ask(&self, value: &str) {
        let api: Api<OAuthClientToken> =
            Api::namespaced(self.world.client.clone(), &self.world.namespace);
        let patch = json!({"metadata": {"annotations": {REFRESH_REQUESTED_AT: value}}});
        api.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// The behaviour of its provider from now on.
    pub fn set(&self, behaviour: Behaviour) {
        self.sim.set(System::Oauth2, behaviour);
    }

    /// The requests that its provider got.
    pub fn requests(&self) -> Vec<Recorded> {
        self.sim.requests_of(System::Oauth2)
    }

    /// Waits until the token's status satisfies `is`.
    pub async fn until(
        &self,
        is: impl Fn(&OAuthClientTokenStatus) -> bool,
    ) -> OAuthClientTokenStatus {
        self.world.until_status(&self.name, is).await
    }

    /// Waits until the last refresh succeeded.
    pub async fn until_fresh(&self) -> OAuthClientTokenStatus {
        self.until(|status| conditions::is_true(&status.conditions, conditions::FRESH)).await
    }

    /// The target's version and token.
    pub async fn target(&self) -> (String, String) {
        let (secret, mut data) = self.world.secret(&self.name).await;
        (secret.metadata.resource_version.unwrap(), data.remove("access_token").unwrap())
    }
}

impl World {
    /// Applies a token that nobody has asked for before, and waits until it is Ready. What was
    /// due before has been decided by then: tokens are taken up in the order in which they come.
    pub async fn witness(&self, name: &str, provider: &str, credentials: &str) {
        self.apply(&format!(
            "{{apiVersion: tokenward.dev/v1alpha1, kind: OAuthClientToken, metadata: {{name: {name}}}, \
             spec: {{providerRef: {{name: {provider}}}, credentialsSecretRef: {{name: {credentials}}}}}}}"
        ));
        self.until_ready(name).await;
    }

    /// All events of this namespace, as JSON.
    pub fn events(&self) -> String {
        self.kubectl(&["get", "events.events.k8s.io", "-o", "json"])
    }
}

impl Operator {
    /// Waits until what it logs after the first `mark` bytes holds a text.
    pub async fn wait_for_log_after(&self, mark: usize, text: &str) {
        let said = async {
            while !self.log()[mark..].contains(text) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let told = tokio::time::timeout(PATIENCE, said).await;
        assert!(told.is_ok(), "the log never said {text:?}");
    }
}
