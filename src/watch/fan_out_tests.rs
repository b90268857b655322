use std::convert::Infallible;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::*;
use crate::watch::{Listener, Lists, Scope, Triggered, Triggers, WatchSettings};

/// Nobody who is told anything.
struct Nobody;

impl Listener for Nobody {
    fn token_status(&self, _: &crate::api::OAuthClientToken) {}
    fn token_gone(&self, _: &crate::api::OAuthClientToken) {}
    fn cluster_token_gone(&self, _: &ClusterOAuthClientToken) {}
    fn provider_changed(&self) {}
}

/// An API server that has one cluster provider of this usage, one cluster token and the namespaces
/// `a` and `b`, and that refuses the first lists of them.
fn api_server(usage: Value, refusals: usize) -> Client {
    let refused = Arc::new(AtomicUsize::new(refusals));
    let usage = Arc::new(Mutex::new(usage));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (refused, usage) = (Arc::clone(&refused), usage.lock().unwrap().clone());
        async move {
            let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
            if query.contains("watch=") {
                return std::future::pending().await;
            }
            let kind = path.rsplit('/').next().unwrap_or_default();
            let less = |n: usize| n.checked_sub(1);
            if kind == "namespaces"
                && refused.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok()
            {
                let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure",
                    "message": "no", "reason": "Forbidden", "code": 403});
                return Ok::<_, Infallible>(answer(StatusCode::FORBIDDEN, &status));
            }
            let list = json!({"metadata": {"resourceVersion": "1"}, "items": items(kind, &usage)});
            Ok(answer(StatusCode::OK, &list))
        }
    });
    Client::new(service, "default")
}

fn items(kind: &str, usage: &Value) -> Value {
    match kind {
        "namespaces" => json!([{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}]),
        "clusteroauthproviders" => json!([{
            "apiVersion": "tokenward.dev/v1alpha1", "kind": "ClusterOAuthProvider",
            "metadata": {"name": "p", "uid": "p"}, "spec": {"usage": usage}
        }]),
        "clusteroauthclienttokens" => json!([{
            "apiVersion": "tokenward.dev/v1alpha1", "kind": "ClusterOAuthClientToken",
            "metadata": {"name": "shop", "uid": "u"},
            "spec": {"providerRef": {"name": "p"}, "namespaceSelector": {}}
        }]),
        _ => json!([]),
    }
}

fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    Response::builder().status(status).body(body.to_string().into_bytes().into()).unwrap()
}

async fn caches(client: Client) -> (Arc<Caches>, Triggered) {
    let settings = WatchSettings {
        scopes: vec![Scope::All],
        cluster_kinds: true,
        cluster_resource_namespace: "platform".to_owned(),
        providers: crate::watch::ProviderPolicy::default(),
        lists: Lists::default(),
    };
    let triggers = Triggers::default();
    let triggered = triggers.listen();
    (Caches::start(&client, settings, triggers, Arc::new(Nobody)).await, triggered)
}

fn selected(caches: &Caches) -> Result<Vec<(String, bool)>, Error> {
    let token = caches.cluster_tokens().get(&ObjectRef::new("shop")).unwrap();
    let selected = caches.selected(&token)?.into_iter();
    Ok(selected.map(|(name, admission)| (name, admission.is_ok())).collect())
}

#[tokio::test]
async fn while_no_namespace_was_ever_listed_nobody_is_deselected() {
    let client = api_server(json!({"namespaceSelector": {}}), 1);
    let (caches, mut triggered) = caches(client).await;
    let error = selected(&caches).unwrap_err();
    assert_eq!((error.reason(), error.class()), (Reason::ReadFailed, Class::Waiting));
    assert!(caches.namespaces.state().is_empty());
    // Once they can be listed, all of them are known, and it is looked at again.
    while selected(&caches).is_err() {
        triggered.copies.recv().await.unwrap();
    }
    assert_eq!(selected(&caches), Ok(vec![("a".to_owned(), true), ("b".to_owned(), true)]));
}

#[tokio::test]
async fn a_provider_whose_selector_cannot_be_read_deselects_nobody() {
    let odd = json!({"matchExpressions": [{"key": "tier", "operator": "in", "values": ["shop"]}]});
    let (odd, _) = caches(api_server(json!({"namespaceSelector": odd}), 0)).await;
    assert_eq!(selected(&odd).unwrap_err().reason(), Reason::InvalidProvider);
    let (absent, _) = caches(api_server(json!({}), 0)).await;
    let nobody = vec![("a".to_owned(), false), ("b".to_owned(), false)];
    assert_eq!(selected(&absent), Ok(nobody));
}
