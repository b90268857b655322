//! Traces, as a collector receives them.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use provider_simulator::System;
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN};
use tokio::net::TcpListener;

use crate::bench::{Bench, text};
use crate::search::Needles;

/// Takes what it is sent to `/base/v1/traces`.
struct Collector {
    endpoint: String,
    received: Arc<Mutex<Vec<Bytes>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/base", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&received);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = Arc::clone(&sink);
                let take = service_fn(move |request: Request<Incoming>| {
                    let sink = Arc::clone(&sink);
                    async move {
                        assert_eq!(request.uri().path(), "/base/v1/traces");
                        let body = request.into_body().collect().await.unwrap().to_bytes();
                        sink.lock().unwrap().push(body);
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), take));
            }
        });
        Self { endpoint, received }
    }

    fn args(&self) -> [&str; 2] {
        ["--otlp-endpoint", &self.endpoint]
    }

    /// Every span, and that all of them are the process's own.
    fn spans(&self) -> Vec<Span> {
        let received = self.received.lock().unwrap();
        let batches = received.iter().map(|b| ExportTraceServiceRequest::decode(&**b).unwrap());
        let resources = batches.flat_map(|batch| batch.resource_spans);
        let spans = resources.flat_map(|spans| {
            let resource = attributes(&spans.resource.unwrap().attributes);
            assert_eq!(resource["service.name"], "tokenward");
            assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
            spans.scope_spans.into_iter().flat_map(|scope| scope.spans)
        });
        spans.collect()
    }

    /// Everything that it was sent, as text.
    fn text(&self) -> String {
        let received = self.received.lock().unwrap();
        received.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect()
    }
}

fn attributes(pairs: &[KeyValue]) -> HashMap<String, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    };
    pairs.iter().map(|pair| (pair.key.clone(), text(pair))).collect()
}

/// The roots, and the names of all that is below each.
fn traces(spans: &[Span]) -> Vec<(&Span, BTreeSet<&str>)> {
    let roots = spans.iter().filter(|span| span.parent_span_id.is_empty());
    let traces = roots.map(|root| {
        let own = spans.iter().filter(|span| span.trace_id == root.trace_id);
        let below = own.clone().filter(|span| !span.parent_span_id.is_empty());
        for span in below.clone() {
            assert!(own.clone().any(|parent| parent.span_id == span.parent_span_id), "{span:?}");
            assert!(root.start_time_unix_nano <= span.start_time_unix_nano, "{span:?}");
            assert!(span.end_time_unix_nano <= root.end_time_unix_nano, "{span:?}");
        }
        (root, below.map(|span| span.name.as_str()).collect())
    });
    let traces: Vec<_> = traces.collect();
    let told: usize = traces.iter().map(|(root, _)| of_trace(spans, root)).sum();
    assert_eq!(told, spans.len(), "there are spans without a root");
    traces
}

fn of_trace(spans: &[Span], root: &Span) -> usize {
    spans.iter().filter(|span| span.trace_id == root.trace_id).count()
}

fn write_rotating(bench: &Bench) {
    bench.write(
        "rotating.yaml",
        &format!(
            r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: rotating, namespace: web}}
spec: {{preset: oauth2-refresh-token, variables: {{tokenUrl: "http://SIM/oauth2/token"}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: r, namespace: web}}
stringData: {{client_id: "{CLIENT_ID}", client_secret: "{CLIENT_SECRET}", refresh_token: "{REFRESH_TOKEN}"}}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {{name: rotating, namespace: web}}
spec: {{providerRef: {{name: rotating}}, credentialsSecretRef: {{name: r}}}}
"#
        ),
    );
}

#[tokio::test]
async fn a_refresh_is_one_trace_with_all_its_steps_and_no_secret() {
    let (bench, collector) = (Bench::new().await, Collector::start().await);
    bench.write_good("shop");
    write_rotating(&bench);
    for run in 0..2 {
        let output = bench.once(&collector.args()).await;
        assert_eq!(output.status.code(), Some(0), "{run}: {:?}", text(&output));
    }
    // The second run found everything fresh.
    let spans = collector.spans();
    let traces = traces(&spans);
    let steps = |name: &str| {
        let of = |(root, _): &&(&Span, _)| {
            attributes(&root.attributes)["tokenward.token.name"] == name && root.name == "refresh"
        };
        let mut of = traces.iter().filter(of);
        let (Some((root, steps)), None) = (of.next(), of.next()) else { panic!("{traces:?}") };
        assert_eq!(root.status.as_ref().unwrap().code(), StatusCode::Ok, "{root:?}");
        let told = attributes(&root.attributes);
        assert_eq!(told["k8s.namespace.name"], "web");
        assert_eq!(told["tokenward.token.kind"], "OAuthClientToken");
        assert_eq!(told["tokenward.outcome"], "published");
        assert_eq!(
            told["tokenward.token.expires_at"],
            bench.annotations(name)["tokenward.dev/expires-at"].as_str().unwrap()
        );
        (told["tokenward.provider.name"].clone(), steps.clone())
    };
    let plain = ["POST", "queue", "read credentials", "write status", "write target"];
    assert_eq!(steps("shop"), ("web/p".to_owned(), BTreeSet::from(plain)));
    let rotating = plain.into_iter().chain(["keep refresh token", "note intent"]);
    assert_eq!(steps("rotating"), ("web/rotating".to_owned(), rotating.collect()));
    assert_eq!(traces.len(), 2);

    let request = spans.iter().find(|span| span.name == "POST").unwrap();
    assert_eq!(request.kind(), SpanKind::Client);
    let told = attributes(&request.attributes);
    assert_eq!(told["http.response.status_code"], "200");
    let address = (told["server.address"].as_str(), told["server.port"].as_str());
    let port = bench.sim.addr().port().to_string();
    assert_eq!(address, ("127.0.0.1", port.as_str()));

    let mut needles = Needles::default();
    needles.add("client secret", CLIENT_SECRET);
    needles.add("refresh token", REFRESH_TOKEN);
    needles.add("access token", &bench.key("shop", "access_token").unwrap());
    let sent = collector.text();
    assert!(needles.find(&sent).is_empty(), "{:?}", needles.find(&sent));
    assert!(!needles.find(&format!("{sent}{CLIENT_SECRET}")).is_empty());
}

#[tokio::test]
async fn a_refusal_is_told_where_it_came() {
    let (bench, collector) = (Bench::new().await, Collector::start().await);
    bench.write_oauth2("shop", "wrong-secret-wrong-secret");
    assert_eq!(bench.once(&collector.args()).await.status.code(), Some(1));
    let spans = collector.spans();
    let [(root, _)] = traces(&spans)[..] else { panic!("{spans:?}") };
    let told = attributes(&root.attributes);
    assert_eq!(told["tokenward.outcome"], "failed");
    assert_eq!(told["error.type"], "TokenRequestRejected");
    let status = root.status.clone().unwrap();
    assert_eq!(status.code(), StatusCode::Error);
    assert!(status.message.contains("invalid_client"), "{status:?}");
    let request = spans.iter().find(|span| span.name == "POST").unwrap();
    assert_eq!(request.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(attributes(&request.attributes)["error.type"], "401");
    assert!(!collector.text().contains("wrong-secret"));
}

#[tokio::test]
async fn without_its_collector_a_token_is_as_fresh_and_that_is_told() {
    let bench = Bench::new().await;
    bench.write_good("shop");
    // Nobody listens on the port of a listener that is gone.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let output = bench.once(&["--otlp-endpoint", &format!("http://{gone}")]).await;
    assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
    assert!(text(&output).1.contains("opentelemetry"), "{:?}", text(&output));
    assert_eq!(bench.sim.requests_of(System::Oauth2).len(), 1);
}

#[tokio::test]
async fn what_is_no_collector_is_refused() {
    let bench = Bench::new().await;
    bench.write_good("shop");
    for (wrong, right) in [
        ("collector:4318", "http:// or https://"),
        ("http://me:s3cret@collector", "OTEL_EXPORTER_OTLP_HEADERS"),
    ] {
        let output = bench.once(&["--otlp-endpoint", wrong]).await;
        assert_eq!(output.status.code(), Some(2), "{:?}", text(&output));
        let told = text(&output).1;
        assert!(told.contains("--otlp-endpoint: ") && told.contains(right), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
    assert_eq!(bench.requests(), 0);
}
