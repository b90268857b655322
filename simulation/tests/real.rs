//! The simulated API server against a real one: the same requests, the same answers, as far as
//! tokenward depends on them.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use simulation::api_server::{Ask, Store};

/// Where the requests are made; the namespace goes when they are done.
const NAMESPACE: &str = "simulated";

/// One of the two.
enum Server {
    Real(Client),
    Simulated(Mutex<Store>),
}

/// A request, made from the object that was last seen.
struct Step {
    method: Method,
    name: &'static str,
    query: &'static str,
    content_type: &'static str,
    body: fn(&Value) -> Value,
}

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const JSON: &str = "application/json-patch+json";
const OWN: &str = "fieldManager=tokenward";
const FORCED: &str = "fieldManager=tokenward&force=true";
const OTHER: &str = "fieldManager=kubectl-edit";

impl Server {
    async fn ask(&self, request: Request<Vec<u8>>) -> (u16, Value) {
        let (parts, body) = request.into_parts();
        match self {
            Self::Real(client) => {
                let answer =
                    client.send(Request::from_parts(parts, Body::from(body))).await.unwrap();
                let status = answer.status().as_u16();
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                (status, serde_json::from_slice(&body).unwrap())
            }
            Self::Simulated(store) => {
                let (reply, _) = store.lock().unwrap().handle(&Ask::of(&parts, &body).unwrap());
                (reply.status, reply.body)
            }
        }
    }

    /// Does all steps, and tells of each what matters.
    async fn told(&self) -> Vec<Value> {
        let mut last = json!({});
        let mut told = Vec::new();
        for (number, step) in steps().into_iter().enumerate() {
            let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets");
            let path = match step.method {
                Method::POST => path,
                _ => format!("{path}/{}", step.name),
            };
            let request = Request::builder()
                .method(&step.method)
                .uri(format!("{path}?{}", step.query))
                .header("content-type", step.content_type)
                .header("accept", "application/json")
                .body((step.body)(&last).to_string().into_bytes())
                .unwrap();
            let (status, body) = self.ask(request).await;
            told.push(json!({"step": number, "status": status, "what": essence(&body)}));
            if body["kind"] == "Secret" {
                last = body;
            }
        }
        told
    }
}

/// Of an answer what tokenward looks at.
fn essence(body: &Value) -> Value {
    if body["kind"] != "Secret" {
        return json!({"reason": body["reason"]});
    }
    let meta = &body["metadata"];
    let entries = meta["managedFields"].as_array().into_iter().flatten();
    let mut entries: Vec<String> =
        entries.map(|e| format!("{} {} {}", e["manager"], e["operation"], e["fieldsV1"])).collect();
    entries.sort();
    json!({
        "data": body["data"], "labels": meta["labels"], "annotations": meta["annotations"],
        "type": body["type"], "managedFields": entries,
    })
}

fn secret(last: &Value, data: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": "s", "labels": {"app.kubernetes.io/managed-by": "tokenward"},
            "annotations": {"tokenward.dev/expires-at": "then"},
            "uid": last["metadata"]["uid"], "resourceVersion": last["metadata"]["resourceVersion"],
        },
        "data": data,
    })
}

fn handed_over(last: &Value) -> Value {
    let entry = &last["metadata"]["managedFields"][0];
    let mut entry = entry.clone();
    entry["operation"] = json!("Apply");
    json!([
        {"op": "test", "path": "/metadata/uid", "value": last["metadata"]["uid"]},
        {"op": "replace", "path": "/metadata/managedFields", "value": [entry]},
    ])
}

fn steps() -> Vec<Step> {
    let step =
        |method, name, query, content_type, body| Step { method, name, query, content_type, body };
    let (post, patch, delete) = (Method::POST, Method::PATCH, Method::DELETE);
    vec![
        step(post.clone(), "s", OWN, "application/json", |_| {
            secret(&json!({}), json!({"a": "YQ==", "b": "Yg=="}))
        }),
        step(post, "s", OWN, "application/json", |_| secret(&json!({}), json!({}))),
        step(patch.clone(), "s", OWN, JSON, handed_over),
        // A key that is left out goes; a new one comes.
        step(patch.clone(), "s", FORCED, APPLY, |last| {
            secret(last, json!({"a": "YTI=", "c": "Yw=="}))
        }),
        // Nothing changes.
        step(patch.clone(), "s", FORCED, APPLY, |last| {
            secret(last, json!({"a": "YTI=", "c": "Yw=="}))
        }),
        // Not the version of now.
        step(patch.clone(), "s", FORCED, APPLY, |last| {
            let mut stale = secret(last, json!({"a": "eA=="}));
            stale["metadata"]["resourceVersion"] = json!("1");
            stale
        }),
        // Not the one that is there.
        step(patch.clone(), "s", FORCED, APPLY, |last| {
            let mut other = secret(last, json!({"a": "eA=="}));
            other["metadata"]["uid"] = json!("5f2cd2a8-0000-4000-8000-000000000000");
            other
        }),
        step(patch.clone(), "s", OTHER, MERGE, |_| json!({"stringData": {"a": "theirs"}})),
        step(patch.clone(), "s", OWN, APPLY, |last| {
            let mut own = secret(last, json!({"a": "YTI=", "c": "Yw=="}));
            own["metadata"]["resourceVersion"] = last["metadata"]["resourceVersion"].clone();
            own
        }),
        step(patch.clone(), "s", FORCED, APPLY, |last| {
            secret(last, json!({"a": "YTM=", "c": "Yw=="}))
        }),
        step(
            patch.clone(),
            "s",
            OTHER,
            MERGE,
            |_| json!({"data": {"c": null}, "metadata": {"annotations": {"tokenward.dev/expires-at": null}}}),
        ),
        step(
            patch.clone(),
            "s",
            OWN,
            JSON,
            |_| json!([{"op": "test", "path": "/metadata/uid", "value": "another"}]),
        ),
        step(patch.clone(), "s", OWN, MERGE, |_| json!({"metadata": {"resourceVersion": "1"}})),
        step(
            patch.clone(),
            "s",
            OWN,
            MERGE,
            |_| json!({"metadata": {"uid": "5f2cd2a8-0000-4000-8000-000000000000"}}),
        ),
        // Two controllers.
        step(patch.clone(), "s", OWN, MERGE, |_| {
            let owner = |uid| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": uid, "controller": true});
            json!({"metadata": {"ownerReferences": [owner("1"), owner("2")]}})
        }),
        step(patch.clone(), "none", OWN, MERGE, |_| json!({})),
        step(patch.clone(), "none", FORCED, APPLY, |last| {
            let mut none = secret(last, json!({}));
            none["metadata"]["name"] = json!("none");
            none
        }),
        step(
            delete.clone(),
            "s",
            "",
            "application/json",
            |_| json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"resourceVersion": "1"}}),
        ),
        step(delete.clone(), "s", "", "application/json", |last| {
            let uid = &last["metadata"]["uid"];
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}})
        }),
        step(delete, "s", "", "application/json", |_| json!({})),
        step(patch, "s", OWN, APPLY, |_| secret(&json!({}), json!({"a": "YQ=="}))),
    ]
}

fn kubeconfig() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/cluster/kubeconfig");
    match std::env::var_os("TOKENWARD_TEST_KUBECONFIG") {
        Some(path) => path.into(),
        None if own.exists() => own,
        None => panic!("no control plane: run `make cluster`, or set TOKENWARD_TEST_KUBECONFIG"),
    }
}

async fn real() -> Server {
    // TLS wants its provider once a process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = Kubeconfig::read_from(kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(config, &options).await.unwrap();
    Server::Real(Client::try_from(config).unwrap())
}

async fn namespace(server: &Server, method: Method) -> u16 {
    let (path, body) = match method {
        Method::POST => ("/api/v1/namespaces".to_owned(), json!({"metadata": {"name": NAMESPACE}})),
        _ => (format!("/api/v1/namespaces/{NAMESPACE}"), json!({})),
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .body(body.to_string().into_bytes());
    server.ask(request.unwrap()).await.0
}

#[tokio::test]
async fn the_simulated_api_server_answers_as_a_real_one() {
    let real = real().await;
    namespace(&real, Method::POST).await;
    for name in ["s", "none"] {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/secrets/{name}");
        let request = Request::delete(path).body(Vec::new()).unwrap();
        real.ask(request).await;
    }
    let expected = real.told().await;
    namespace(&real, Method::DELETE).await;
    let told = Server::Simulated(Mutex::default()).told().await;
    for (told, expected) in told.iter().zip(&expected) {
        assert_eq!(told, expected);
    }
}
