//! Restarts: what is good stays as it is, and what changed meanwhile is acted on once.

use std::collections::BTreeMap;
use std::future::Future;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use provider_simulator::{Client, System};
use tokenward::api::{OAuthClientTokenStatus, annotations};

use crate::harness::{Operator, World};

const TOKENS: [&str; 4] = ["shop", "orders", "stock", "mail"];

/// Good tokens, and an operator that was killed after it had fetched them.
struct Interrupted {
    world: World,
    statuses: BTreeMap<&'static str, OAuthClientTokenStatus>,
    log: usize,
}

impl Interrupted {
    async fn new(name: &str) -> Self {
        let world = World::new(name).await;
        let operator = world.operator(&[]);
        world.apply_oauth2(TOKENS[0], "");
        let more: Vec<String> = TOKENS[1..].iter().map(|name| token(name)).collect();
        world.apply(&more.join("\n---\n"));
        let mut statuses = BTreeMap::new();
        for name in TOKENS {
            statuses.insert(name, world.until_ready(name).await);
        }
        let log = operator.log().len();
        operator.kill();
        assert_eq!(world.requests(), TOKENS.len());
        Self { world, statuses, log }
    }

    /// Starts the operator again, and waits until it has taken up every token and one more.
    /// Answers with the number of requests besides the one for the witness.
    async fn resume(&self) -> (Operator, usize) {
        self.resume_until(async {}).await
    }

    /// The same, and waits until something has come to pass.
    async fn resume_until(&self, done: impl Future) -> (Operator, usize) {
        let operator = self.world.operator(&[]);
        operator.wait_for_log_after(self.log, "caches are filled").await;
        done.await;
        self.world.witness("witness", "p", "c").await;
        let requests = self.world.requests() - TOKENS.len() - 1;
        (operator, requests)
    }

    /// Waits until a status differs from what it was before, as `is` has it.
    async fn until_all(
        &self,
        is: impl Fn(&OAuthClientTokenStatus, &OAuthClientTokenStatus) -> bool,
    ) {
        for (name, before) in &self.statuses {
            self.world.until_status(name, |now| is(before, now)).await;
        }
    }

    async fn secrets(&self) -> BTreeMap<String, (Option<String>, Option<String>)> {
        let api: Api<Secret> = Api::namespaced(self.world.client.clone(), &self.world.namespace);
        let secrets = api.list(&ListParams::default()).await.unwrap();
        let version = |secret: Secret| {
            let meta = secret.metadata;
            (meta.name.unwrap(), (meta.uid, meta.resource_version))
        };
        secrets.into_iter().map(version).collect()
    }
}

fn token(name: &str) -> String {
    format!(
        "{{apiVersion: tokenward.dev/v1alpha1, kind: OAuthClientToken, metadata: {{name: {name}}}, \
         spec: {{providerRef: {{name: p}}, credentialsSecretRef: {{name: c}}}}}}"
    )
}

fn verified_again(before: &OAuthClientTokenStatus, now: &OAuthClientTokenStatus) -> bool {
    let seen = |status: &OAuthClientTokenStatus| status.inputs.clone().map(|inputs| inputs.seen);
    seen(now) != seen(before) && seen(now).is_some_and(|seen| !seen.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_good_tokens_asks_for_nothing_and_deletes_nothing() {
    let was = Interrupted::new("restart").await;
    // A target whose token is gone: left behind on purpose, or by a former operator.
    was.world.apply(&format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: left-behind, \
         labels: {{app.kubernetes.io/managed-by: tokenward}}, annotations: {{{}: \
         OAuthClientToken/{}/gone/0}}}}, data: {{}}}}",
        annotations::OWNER,
        was.world.namespace,
    ));
    let secrets = was.secrets().await;
    assert!(secrets.len() >= TOKENS.len() + 2, "{secrets:?}");
    for _ in 0..2 {
        let operator = was.world.operator(&[]);
        operator.wait_for_log_after(was.log, "caches are filled").await;
        operator.kill();
    }
    let (_operator, requests) = was.resume().await;
    assert_eq!(requests, 0);
    let mut now = was.secrets().await;
    now.remove("witness");
    assert_eq!(now, secrets, "nothing was written or deleted");
    for (name, before) in &was.statuses {
        assert_eq!(was.world.until_ready(name).await, *before, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_label_asks_for_nothing() {
    let was = Interrupted::new("label").await;
    for kind in ["oauthclienttoken", "secret", "oauthprovider"] {
        was.world.kubectl(&["label", kind, "--all", "team=web"]);
        was.world.kubectl(&["annotate", kind, "--all", "note=seen"]);
    }
    // The credentials have another version: they are read, found the same, and remembered.
    let (_operator, requests) = was.resume_until(was.until_all(verified_again)).await;
    assert_eq!(requests, 0);
    // While it runs, neither.
    let before = was.world.until_ready("shop").await;
    for kind in ["oauthclienttoken", "secret", "oauthprovider"] {
        was.world.kubectl(&["label", kind, "--all", "team=shop", "--overwrite"]);
    }
    was.world.until_status("shop", |now| verified_again(&before, now)).await;
    was.world.witness("witness-2", "p", "c").await;
    assert_eq!(was.world.requests(), TOKENS.len() + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_changed_meanwhile_are_used_once() {
    let was = Interrupted::new("rotated").await;
    was.world.sim.set_clients(System::Oauth2, vec![Client::new(CLIENT_ID, "rotated-while-down")]);
    let patch = r#"{"stringData": {"client_secret": "rotated-while-down"}}"#;
    was.world.kubectl(&["patch", "secret", "c", "-p", patch]);
    let refreshed = |before: &OAuthClientTokenStatus, now: &OAuthClientTokenStatus| {
        now.last_attempt_at > before.last_attempt_at && verified_again(before, now)
    };
    let (operator, requests) = was.resume_until(was.until_all(refreshed)).await;
    assert_eq!(requests, TOKENS.len(), "one for each token");
    for name in TOKENS {
        let (_, data) = was.world.secret(name).await;
        assert!(was.world.sim.is_active(&data["access_token"]), "{name}");
    }
    // And not again with the next start.
    let log = operator.log().len();
    operator.kill();
    let operator = was.world.operator(&[]);
    operator.wait_for_log_after(log, "caches are filled").await;
    was.world.witness("witness-2", "p", "c").await;
    assert_eq!(was.world.requests(), TOKENS.len() * 2 + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_changed_to_the_same_ask_for_nothing() {
    let was = Interrupted::new("rewritten").await;
    // An unrelated key, and the same values in a Secret made anew.
    was.world.kubectl(&["delete", "secret", "c"]);
    was.world.apply(&format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: c}}, stringData: \
         {{client_id: '{CLIENT_ID}', client_secret: '{CLIENT_SECRET}', note: unrelated}}}}"
    ));
    let (_operator, requests) = was.resume_until(was.until_all(verified_again)).await;
    assert_eq!(requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_changed_meanwhile_is_asked_once() {
    let was = Interrupted::new("redirected").await;
    let patch = r#"{"spec": {"request": {"parameters": {"audience": "other"}}}}"#;
    was.world.kubectl(&["patch", "oauthprovider", "p", "--type=merge", "-p", patch]);
    let refreshed = |before: &OAuthClientTokenStatus, now: &OAuthClientTokenStatus| {
        now.last_attempt_at > before.last_attempt_at && verified_again(before, now)
    };
    let (_operator, requests) = was.resume_until(was.until_all(refreshed)).await;
    assert_eq!(requests, TOKENS.len(), "one for each token");
    let requests = was.world.sim.requests_of(System::Oauth2);
    assert!(requests[TOKENS.len()..].iter().all(|request| request.body.contains("audience=other")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_was_wiped_is_written_again_without_a_request() {
    let was = Interrupted::new("wiped").await;
    for name in TOKENS {
        let patch = r#"[{"op": "remove", "path": "/status"}]"#;
        let args = ["patch", "oauthclienttoken", name, "--subresource=status", "--type=json", "-p"];
        was.world.kubectl(&[&args[..], &[patch]].concat());
    }
    let ready = async {
        for name in TOKENS {
            was.world.until_ready(name).await;
        }
    };
    let (_operator, requests) = was.resume_until(ready).await;
    assert_eq!(requests, 0);
    for (name, before) in &was.statuses {
        let (before, now) = (before.token.as_ref().unwrap(), was.world.until_ready(name).await);
        let now = now.token.unwrap();
        let times = |token: &tokenward::api::TokenState| {
            (token.issued_at, token.expires_at, token.refresh_at)
        };
        assert_eq!(times(&now), times(before), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_was_deleted_meanwhile_is_fetched_once() {
    let was = Interrupted::new("deleted").await;
    was.world.kubectl(&["delete", "secret", "shop", "--wait"]);
    let written = was.world.until::<Secret>("shop", |secret| secret.is_some());
    let (_operator, requests) = was.resume_until(written).await;
    assert_eq!(requests, 1);
    let (_, data) = was.world.secret("shop").await;
    assert!(was.world.sim.is_active(&data["access_token"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_that_was_asked_for_meanwhile_is_made_once() {
    let was = Interrupted::new("asked").await;
    let ask = "tokenward.dev/refresh-requested-at=meanwhile";
    was.world.kubectl(&["annotate", "oauthclienttoken", "shop", ask]);
    let handled = was.world.until_status("shop", |status| {
        status.last_handled_refresh_request.as_deref() == Some("meanwhile")
    });
    let (_operator, requests) = was.resume_until(handled).await;
    assert_eq!(requests, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_the_secret_and_its_status_costs_nothing() {
    let was = Interrupted::new("between").await;
    // As if the status had never been written for the token that the Secret holds.
    let old = OAuthClientTokenStatus {
        token: None,
        inputs: None,
        last_attempt_at: None,
        ..was.statuses["shop"].clone()
    };
    let patch = serde_json::json!([{"op": "replace", "path": "/status", "value": old}]).to_string();
    let args = ["patch", "oauthclienttoken", "shop", "--subresource=status", "--type=json", "-p"];
    was.world.kubectl(&[&args[..], &[&patch]].concat());
    let restored = was.world.until_status("shop", |now| now.token.is_some());
    let (_operator, requests) = was.resume_until(restored).await;
    assert_eq!(requests, 0);
}
