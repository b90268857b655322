//! Traces, sent to an OpenTelemetry collector by OTLP over HTTP.

use std::str::FromStr;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::redirect::Policy;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};
use url::Url;

use crate::spans;

const NAME: &str = env!("CARGO_PKG_NAME");
/// A collector that does not answer holds up the end of the process for no longer.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// One try to send a batch.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where a collector takes OTLP over HTTP: its base, below which `v1/traces` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpEndpoint(Url);

impl FromStr for OtlpEndpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url: Url = text.parse().map_err(|error| {
            format!("{error}: write the collector's base URL, as http://collector.monitoring:4318")
        })?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("use http:// or https:// and a host: OTLP is sent over HTTP".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            let instead = "no credentials here: put them into OTEL_EXPORTER_OTLP_HEADERS";
            return Err(instead.to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("a base URL has no ? and no #".to_owned());
        }
        Ok(Self(url))
    }
}

impl OtlpEndpoint {
    fn traces(&self) -> String {
        format!("{}/v1/traces", self.0.as_str().trim_end_matches('/'))
    }
}

/// Sends what is still to be sent when it is dropped.
#[derive(Debug, Default)]
pub struct Traces(Option<SdkTracerProvider>);

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = &self.0 {
            // It says itself what went wrong.
            let _ = provider.shutdown_with_timeout(LAST_WORDS);
        }
    }
}

/// What makes spans into traces. Headers, sampling, batches and further attributes are set by the
/// environment variables that OpenTelemetry has for them. Not to be called where tasks run.
pub(super) fn traces(
    collector: &OtlpEndpoint,
) -> Result<(Traces, Box<dyn Layer<Registry> + Send + Sync>), String> {
    // Headers of any name may be secret: they follow nobody elsewhere.
    let client = reqwest::blocking::Client::builder()
        .redirect(Policy::none())
        .timeout(TIMEOUT)
        .build()
        .map_err(|error| format!("--otlp-endpoint: {error}"))?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(collector.traces())
        .build()
        .map_err(|error| format!("--otlp-endpoint: {error}"))?;
    let name = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    let resource = Resource::builder()
        .with_service_name(name.unwrap_or_else(|| NAME.to_owned()))
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(NAME))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_filter(Targets::new().with_target(spans::TARGET, LevelFilter::INFO));
    Ok((Traces(Some(provider)), layer.boxed()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("http://collector:4318", "http://collector:4318/v1/traces")]
    #[case("https://otlp.example.com/otlp/", "https://otlp.example.com/otlp/v1/traces")]
    fn a_collector_is_named_by_its_base(#[case] base: &str, #[case] traces: &str) {
        assert_eq!(base.parse::<OtlpEndpoint>().unwrap().traces(), traces);
    }

    #[rstest]
    #[case::no_url("collector:4318", "OTLP is sent over HTTP")]
    #[case::nothing("", "http://collector.monitoring:4318")]
    #[case::grpc("grpc://collector:4317", "OTLP is sent over HTTP")]
    #[case::credentials("https://me:s3cret@collector", "OTEL_EXPORTER_OTLP_HEADERS")]
    #[case::query("https://collector?key=s3cret", "no ?")]
    fn what_is_none_is_refused_without_being_repeated(#[case] text: &str, #[case] told: &str) {
        let error = text.parse::<OtlpEndpoint>().unwrap_err();
        assert!(error.contains(told) && !error.contains("s3cret"), "{error}");
    }
}
