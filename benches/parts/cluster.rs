//! An API server in memory that holds some tokens which want nothing: it tells what there is, takes
//! any write as done, and counts what it is asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::stream::{self, BoxStream, StreamExt};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::token;

type Answer = Response<StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>;

/// What it holds, by resource and name.
struct Held(BTreeMap<(String, String), Value>);

/// What is asked.
struct Asked {
    resource: String,
    name: Option<String>,
    query: BTreeMap<String, String>,
    /// Whether nothing but metadata is wanted.
    metadata_only: bool,
}

/// A client of one that holds so many tokens, and how often that has asked.
pub fn client(tokens: usize) -> (Client, Arc<AtomicU64>) {
    let (held, requests) = (Arc::new(Held::with(tokens)), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&requests);
    let service = tower::service_fn(move |request: Request<Body>| {
        counted.fetch_add(1, Relaxed);
        let held = Arc::clone(&held);
        async move { Ok::<_, kube::Error>(held.answer(request).await) }
    });
    (Client::new(service, token::NAMESPACE), requests)
}

impl Held {
    fn with(tokens: usize) -> Self {
        let inputs = token::inputs();
        let values = token::credential_values("oauth2").into_iter();
        let values = values.map(|(key, value)| (key, BASE64_STANDARD.encode(value)));
        let credentials = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": token::metadata(token::CREDENTIALS), "data": values.collect::<BTreeMap<_, _>>(),
        });
        let named = [
            (key("oauthproviders", token::PROVIDER), token::provider("oauth2")),
            (key("secrets", token::CREDENTIALS), credentials),
        ];
        let each = |number| {
            let name = token::name(number);
            [
                (key("oauthclienttokens", &name), token::resource(number)),
                (key("secrets", &name), token::target(number, &inputs)),
            ]
        };
        Self(named.into_iter().chain((0..tokens).flat_map(each)).collect())
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let asked = Asked::of(&parts);
        match (&parts.method, &asked.name) {
            (&Method::GET, None) if asked.is("watch") => self.watch(&asked),
            (&Method::GET, None) => told(StatusCode::OK, &self.list(&asked)),
            (&Method::POST, _) => {
                let body = body.collect().await.unwrap().to_bytes();
                told(StatusCode::CREATED, &serde_json::from_slice(&body).unwrap())
            }
            (_, name) => match self.find(&asked.resource, name.as_deref().unwrap_or_default()) {
                Some(object) => told(StatusCode::OK, &asked.shown(object)),
                None => told(
                    StatusCode::NOT_FOUND,
                    &json!({
                        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "reason": "NotFound", "code": 404, "message": "not found",
                    }),
                ),
            },
        }
    }

    fn find(&self, resource: &str, name: &str) -> Option<&Value> {
        self.0.get(&key(resource, name))
    }

    fn all(&self, resource: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |((of, _), _)| of == resource).map(|(_, object)| object)
    }

    fn list(&self, asked: &Asked) -> Value {
        let items: Vec<Value> =
            self.all(&asked.resource).map(|object| asked.shown(object)).collect();
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1000"}, "items": items})
    }

    /// Nothing ever changes; whoever wants to be told at first what there is, is.
    fn watch(&self, asked: &Asked) -> Answer {
        let told = |event: Value| Ok(Frame::data(Bytes::from(format!("{event}\n"))));
        let mut first = Vec::new();
        if asked.is("sendInitialEvents") {
            let all = self.all(&asked.resource);
            let added = |object| json!({"type": "ADDED", "object": asked.shown(object)});
            first.extend(all.map(|object| told(added(object))));
            first.push(told(json!({"type": "BOOKMARK", "object": {"metadata": {
                "resourceVersion": "1000", "annotations": {"k8s.io/initial-events-end": "true"},
            }}})));
        }
        answer(StatusCode::OK, stream::iter(first).chain(stream::pending()).boxed())
    }
}

impl Asked {
    fn of(request: &http::request::Parts) -> Self {
        // `/api/v1` or `/apis/GROUP/VERSION`, then maybe `namespaces/NAMESPACE`.
        let steps: Vec<&str> = request.uri.path().trim_matches('/').split('/').collect();
        let steps = if steps[0] == "api" { &steps[2..] } else { &steps[3..] };
        let (resource, name) = match steps {
            ["namespaces", _, resource, rest @ ..] | [resource, rest @ ..] => {
                (resource, rest.first())
            }
            [] => unreachable!(),
        };
        let query = request.uri.query().unwrap_or_default().as_bytes();
        let accepted = request.headers.get(http::header::ACCEPT);
        Self {
            resource: (*resource).to_owned(),
            name: name.map(|name| (*name).to_owned()),
            query: url::form_urlencoded::parse(query).into_owned().collect(),
            metadata_only: accepted
                .is_some_and(|text| text.to_str().unwrap().contains("as=Partial")),
        }
    }

    fn is(&self, parameter: &str) -> bool {
        self.query.get(parameter).is_some_and(|value| value == "true")
    }

    fn shown(&self, object: &Value) -> Value {
        match self.metadata_only {
            true => json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"],
            }),
            false => object.clone(),
        }
    }
}

fn key(resource: &str, name: &str) -> (String, String) {
    (resource.to_owned(), name.to_owned())
}

fn told(status: StatusCode, object: &Value) -> Answer {
    let text = Bytes::from(object.to_string());
    answer(status, stream::iter([Ok(Frame::data(text))]).boxed())
}

fn answer(
    status: StatusCode,
    body: BoxStream<'static, Result<Frame<Bytes>, Infallible>>,
) -> Answer {
    let answer = Response::builder().status(status).header("content-type", "application/json");
    answer.body(StreamBody::new(body)).unwrap()
}
