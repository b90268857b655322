//! The spans of a refresh: one trace from the decision to ask until its outcome is in the status.
//! Names are those of OpenTelemetry's semantic conventions where it has some. Of requests, answers and
//! Secrets they tell no more than the status may.

use tracing::field::{Empty, display};
use tracing::{Span, info_span};
use url::Url;

use crate::api::Method;
use crate::api::annotations::{Owner, format_time};
use crate::decide::Outcome;
use crate::error::Error;

/// Sets spans apart from what is logged.
pub const TARGET: &str = "tokenward::spans";

/// A refresh of a token, which is of `provider`.
pub fn refresh(token: &Owner, provider: &str) -> Span {
    info_span!(
        target: TARGET,
        parent: None,
        "refresh",
        k8s.namespace.name = Some(token.namespace.as_str()).filter(|name| !name.is_empty()),
        tokenward.token.kind = token.kind,
        tokenward.token.name = token.name,
        tokenward.token.expires_at = Empty,
        tokenward.provider.name = provider,
        tokenward.outcome = Empty,
        "error.type" = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// A step of a refresh. What is done for anything else has no span.
pub fn step(name: &'static str) -> Span {
    match is_followed() {
        true => info_span!(target: TARGET, "step", otel.name = name),
        false => Span::none(),
    }
}

/// A request that is sent on behalf of a refresh. Of where it goes path and query may be secret.
pub fn request(method: Method, url: &Url) -> Span {
    if !is_followed() {
        return Span::none();
    }
    let method = match method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    info_span!(
        target: TARGET,
        "request",
        otel.name = method,
        otel.kind = "client",
        http.request.method = method,
        server.address = url.host_str().unwrap_or_default(),
        server.port = url.port_or_known_default().unwrap_or_default(),
        http.response.status_code = Empty,
        "error.type" = Empty,
        otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// Notes the status that a request was answered with.
pub fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 400 {
        span.record("error.type", display(status));
        span.record("otel.status_code", "ERROR");
    }
}

/// Notes what went wrong.
pub fn failed(span: &Span, error: &Error) {
    span.record("error.type", error.reason().as_str());
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", error.message());
}

/// Notes what came of a refresh; `None` where it was given up.
pub fn ended(span: &Span, outcome: Option<&Outcome>) {
    let told = match outcome {
        Some(Outcome::Published { held, .. }) => {
            span.record("tokenward.token.expires_at", format_time(held.expires_at));
            span.record("otel.status_code", "OK");
            "published"
        }
        Some(Outcome::Failed { error, .. } | Outcome::Verified { found: Err(error), .. }) => {
            failed(span, error);
            "failed"
        }
        Some(Outcome::HeldBack) => "held back",
        _ => "given up",
    };
    span.record("tokenward.outcome", told);
}

/// Whether what is done now is part of a refresh that somebody follows.
fn is_followed() -> bool {
    Span::current().metadata().is_some_and(|metadata| metadata.target() == TARGET)
}
