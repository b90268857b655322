//! What the machine can do: the same writes and token requests from a bare client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use provider_simulator::{Options, Simulator, System};
use serde_json::{Value, json};
use tokenward::api::OAuthClientToken;
use tokio::time::sleep;

use crate::field::create;
use crate::stage::Stage;

const NAMESPACE: &str = "load-ceiling";
/// Pairs of writes at once.
const AT_ONCE: [u32; 4] = [1, 8, 32, 128];
/// Of a short look.
const FEW: [u32; 2] = [8, 32];
/// Token requests at once.
const ASKING: [u32; 3] = [1, 8, 32];
const WARM_UP: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(3);
/// Resources whose status each worker writes.
const RESOURCES: u32 = 2;
/// What an access token takes, so that the whole Secret is about 1.4 kB.
const TOKEN_BYTES: usize = 640;

/// How the Secret is written.
#[derive(Clone, Copy, Debug)]
enum Write {
    /// A new one each time.
    Create,
    /// One that is there, by server-side apply.
    Apply,
}

/// Everything, noted.
pub async fn run(stage: &Stage) {
    let bench = Bench::new(&stage.client, 128).await;
    for (write, name) in [(Write::Create, "create"), (Write::Apply, "apply")] {
        for at_once in AT_ONCE {
            let server = stage.api_server.cpu();
            let rate = bench.pairs(write, at_once).await;
            let cpu = stage.api_server.cpu() - server;
            let each = cpu / (rate * (WARM_UP + WINDOW).as_secs_f64());
            stage.note_of_machine(&format!("ceiling/{name}-and-status-c{at_once}"), (rate, "/s"));
            let name = format!("ceiling/server-cpu-per-{name}-and-status-c{at_once}");
            stage.note_of_machine(&name, (each, "ms"));
        }
    }
    bench.clear().await;
    let sim = Simulator::start(Options::tls()).await.unwrap();
    for at_once in ASKING {
        let rate = token_requests(&sim, at_once).await;
        stage.note_of_machine(&format!("ceiling/token-requests-c{at_once}"), (rate, "/s"));
    }
}

/// Creates and status patches a second, at the better of two concurrencies, right before what is
/// compared with it.
pub async fn short(stage: &Stage) -> f64 {
    let bench = Bench::new(&stage.client, 32).await;
    let mut best = 0.0;
    for at_once in FEW {
        best = bench.pairs(Write::Create, at_once).await.max(best);
    }
    bench.clear().await;
    stage.note("ceiling/create-and-status", (best, "/s"));
    best
}

struct Bench {
    secrets: Api<Secret>,
    tokens: Api<OAuthClientToken>,
    /// Of names and values, so that no write is without effect.
    count: AtomicU32,
}

impl Bench {
    /// With resources for so many workers.
    async fn new(client: &Client, workers: u32) -> Arc<Self> {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        create::<Namespace>(&Api::all(client.clone()), namespace).await;
        let tokens: Api<OAuthClientToken> = Api::namespaced(client.clone(), NAMESPACE);
        for number in 0..workers * RESOURCES {
            let token = json!({
                "apiVersion": "tokenward.dev/v1alpha1", "kind": "OAuthClientToken",
                "metadata": {"name": format!("t-{number}"), "namespace": NAMESPACE},
                "spec": {
                    "providerRef": {"name": "provider"}, "credentialsSecretRef": {"name": "client"},
                    "parameters": {"audience": format!("t-{number}")}
                }
            });
            create(&tokens, token).await;
        }
        let secrets = Api::namespaced(client.clone(), NAMESPACE);
        Arc::new(Self { secrets, tokens, count: AtomicU32::new(0) })
    }

    /// Pairs a second.
    async fn pairs(self: &Arc<Self>, write: Write, at_once: u32) -> f64 {
        let begin = Instant::now() + WARM_UP;
        let end = begin + WINDOW;
        let workers = (0..at_once).map(|worker| {
            let bench = Arc::clone(self);
            tokio::spawn(async move {
                let mut done = 0;
                while Instant::now() < end {
                    bench.pair(write, worker).await;
                    done += u32::from((begin..end).contains(&Instant::now()));
                }
                done
            })
        });
        let done: u32 = join_all(workers).await.into_iter().map(Result::unwrap).sum();
        f64::from(done) / WINDOW.as_secs_f64()
    }

    async fn pair(&self, write: Write, worker: u32) {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let token = format!("t-{}", worker * RESOURCES + count % RESOURCES);
        match write {
            Write::Create => {
                let secret = secret(&format!("s-{count}"), count);
                let secret: Secret = serde_json::from_value(secret).unwrap();
                self.secrets.create(&PostParams::default(), &secret).await.unwrap();
            }
            Write::Apply => {
                let params = PatchParams::apply("ceiling").force();
                let patch = Patch::Apply(secret(&token, count));
                self.secrets.patch(&token, &params, &patch).await.unwrap();
            }
        }
        let patch = Patch::Merge(status(count));
        self.tokens.patch_status(&token, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Leaves no resource behind, for an operator would work on it.
    async fn clear(&self) {
        let (delete, all) = (DeleteParams::default(), ListParams::default());
        self.tokens.delete_collection(&delete, &all).await.unwrap();
        while !self.tokens.list(&all).await.unwrap().items.is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// As a target is.
fn secret(name: &str, count: u32) -> Value {
    let token = format!("{count:0TOKEN_BYTES$}");
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": name, "labels": {"app.kubernetes.io/managed-by": "load"},
            "annotations": {
                "tokenward.dev/issued-at": "2026-11-21T20:24:00Z",
                "tokenward.dev/expires-at": "2026-11-21T20:29:00Z",
                "tokenward.dev/refresh-at": "2026-11-21T20:26:40Z",
                "tokenward.dev/inputs": "0123456789abcdef0123456789abcdef0123456789abcdef",
                "tokenward.dev/owner":
                    format!("OAuthClientToken/{NAMESPACE}/{name}/01234567-89ab-cdef-0123-456789abcdef")
            }
        },
        "type": "Opaque",
        "stringData": {"access_token": token, "token_type": "Bearer", "expires_at": "2026-11-21T20:29:00Z"}
    })
}

/// As a token's status is.
fn status(count: u32) -> Value {
    let time = chrono::DateTime::from_timestamp(1_800_000_000 + i64::from(count), 0).unwrap();
    let condition = |type_: &str, status: &str| {
        json!({"type": type_, "status": status, "reason": "Issued", "observedGeneration": 1,
            "message": "The target holds a good token", "lastTransitionTime": time})
    };
    json!({"status": {
        "observedGeneration": 1,
        "conditions": [condition("Ready", "True"), condition("Fresh", "True"), condition("Stalled", "False")],
        "token": {"issuedAt": time, "expiresAt": time, "refreshAt": time, "tokenType": "Bearer"},
        "consecutiveFailures": 0, "lastAttemptAt": time, "nextAttemptAt": time
    }})
}

/// Token requests a second over TLS.
async fn token_requests(sim: &Simulator, at_once: u32) -> f64 {
    let authority = reqwest::Certificate::from_pem(sim.ca_pem().unwrap().as_bytes()).unwrap();
    let client =
        reqwest::Client::builder().tls_certs_merge([authority]).no_proxy().build().unwrap();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_id", CLIENT_ID)
        .append_pair("client_secret", CLIENT_SECRET)
        .finish();
    let (begin, url) = (Instant::now() + WARM_UP, sim.endpoint(System::Oauth2));
    let end = begin + WINDOW;
    let workers = (0..at_once).map(|_| {
        let request = client.post(&url).header("content-type", "application/x-www-form-urlencoded");
        let request = request.body(body.clone());
        tokio::spawn(async move {
            let mut done = 0;
            while Instant::now() < end {
                let answer = request.try_clone().unwrap().send().await.unwrap();
                answer.error_for_status().unwrap().bytes().await.unwrap();
                done += u32::from((begin..end).contains(&Instant::now()));
            }
            done
        })
    });
    let done: u32 = join_all(workers).await.into_iter().map(Result::unwrap).sum();
    f64::from(done) / WINDOW.as_secs_f64()
}
