//! What the process is asked itself, on a port that serves nothing else: whether it lives, whether
//! it is ready, and its figures. Nobody is authenticated, so nothing secret is told.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::debug;

use super::Readiness;

/// A connection is for one answer, and for so long: nobody keeps a place from the probes.
const LONGEST: Duration = Duration::from_secs(10);
/// Connections at once.
const CONNECTIONS: usize = 128;

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What there is to tell.
#[derive(Debug)]
pub struct Admin {
    /// `/readyz`
    pub readiness: Readiness,
    /// `/metrics`
    pub metrics: Registry,
}

impl Admin {
    /// Answers until the process ends.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let admin = Arc::clone(&self);
                    tokio::spawn(async move {
                        admin.converse(stream).await;
                        drop(place);
                    });
                }
                // No file is left, or the like: that passes.
                Err(error) => {
                    debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn converse(self: Arc<Self>, stream: TcpStream) {
        let answer = service_fn(|request: Request<Incoming>| {
            let admin = Arc::clone(&self);
            let answer = move || admin.answer(request.method(), request.uri().path());
            // Ten thousand tokens are some milliseconds for whoever looks at each.
            tokio::task::spawn_blocking(answer)
        });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(LONGEST).keep_alive(false);
        let conversation = server.serve_connection(TokioIo::new(stream), answer);
        match tokio::time::timeout(LONGEST, conversation).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "a connection of the admin port broke"),
            Err(_) => debug!("a connection of the admin port took too long"),
        }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if ![Method::GET, Method::HEAD].contains(method) {
            let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET only\n");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match path {
            "/livez" => response(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" => {
                let status = match self.readiness.is_ready() {
                    true => StatusCode::OK,
                    false => StatusCode::SERVICE_UNAVAILABLE,
                };
                response(status, TEXT, self.readiness.told())
            }
            "/metrics" => {
                let mut text = String::new();
                match encode(&mut text, &self.metrics) {
                    Ok(()) => response(StatusCode::OK, OPEN_METRICS, text),
                    Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "not encodable\n"),
                }
            }
            _ => response(StatusCode::NOT_FOUND, TEXT, "/livez, /readyz, /metrics\n"),
        }
    }
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("GET", "/livez", 200)]
    #[case("HEAD", "/livez", 200)]
    #[case("GET", "/readyz", 503)]
    #[case("GET", "/metrics", 200)]
    #[case("GET", "/", 404)]
    #[case("POST", "/livez", 405)]
    fn an_answer_to(#[case] method: Method, #[case] path: &str, #[case] status: u16) {
        let readiness = Readiness::default();
        readiness.close("caches", "they are being filled");
        let admin = Admin { readiness, metrics: Registry::default() };
        assert_eq!(admin.answer(&method, path).status(), status);
    }
}
