//! What the process tells of itself while it runs: logs and, where they are asked for, traces.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use super::traces::{OtlpEndpoint, Traces, traces};
use crate::spans;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: an object a line.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or directives as `info,kube=debug`.
    pub filter: String,
}

/// What may be logged at all, whatever is asked for. Below DEBUG, libraries log buffers, and those
/// hold secrets.
fn cap() -> Targets {
    Targets::new()
        .with_default(LevelFilter::DEBUG)
        .with_target(env!("CARGO_CRATE_NAME"), LevelFilter::TRACE)
        // They are for traces; lines say themselves what they are about.
        .with_target(spans::TARGET, LevelFilter::OFF)
        // An answer of the API server that it cannot read it logs whole, and as a warning.
        .with_target("kube_client::client", LevelFilter::OFF)
        // What a collector answers, whole. That it refused is told by opentelemetry_sdk.
        .with_target("opentelemetry-otlp", LevelFilter::OFF)
        // Method, URL and status of each request.
        .with_target("kube_client::client::builder", LevelFilter::DEBUG)
}

/// Sends logs to standard error and, where there is a collector, traces to that: until what is
/// returned is dropped.
pub fn init_telemetry(
    logs: &LogSettings,
    collector: Option<&OtlpEndpoint>,
) -> Result<Traces, String> {
    // What is wrong with OpenTelemetry's own variables is told while they are read.
    let early = tracing_subscriber::registry().with(lines(logs)?);
    let traces = || collector.map(traces).transpose();
    let (traces, layer) = tracing::subscriber::with_default(early, traces)?.unzip();
    let layers: Vec<_> = std::iter::once(lines(logs)?).chain(layer).collect();
    let telemetry = tracing_subscriber::registry().with(layers);
    telemetry.try_init().map_err(|error| error.to_string())?;
    Ok(traces.unwrap_or_default())
}

/// What is logged, as lines.
fn lines(logs: &LogSettings) -> Result<Box<dyn Layer<Registry> + Send + Sync>, String> {
    let LogSettings { format, filter } = logs;
    let filter: EnvFilter = filter.parse().map_err(|error| {
        format!("--log-level {filter:?}: {error}; use error, warn, info, debug or trace")
    })?;
    // Colours are for a person's terminal; in a file or a pod's log they are noise.
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // As one filter: what it never lets through costs nothing.
    Ok(lines.with_filter(cap().and(filter)).boxed())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use tracing::Level;

    use super::*;

    #[rstest]
    #[case("tokenward::act::engine", Level::TRACE, true)]
    #[case("hyper::proto::h1::io", Level::DEBUG, true)]
    #[case("hyper::proto::h1::io", Level::TRACE, false)]
    #[case("rustls::client::hs", Level::TRACE, false)]
    #[case("tokenward::spans", Level::ERROR, false)]
    #[case("opentelemetry-otlp", Level::WARN, false)]
    #[case("opentelemetry_sdk", Level::WARN, true)]
    #[case("tokenwardish", Level::DEBUG, true)]
    #[case("kube_client::client", Level::WARN, false)]
    #[case("kube_client::client::builder", Level::DEBUG, true)]
    #[case("kube_client::client::builder", Level::TRACE, false)]
    #[case("kube_runtime::watcher", Level::DEBUG, true)]
    fn libraries_are_never_heard_at_trace(
        #[case] target: &str,
        #[case] level: Level,
        #[case] heard: bool,
    ) {
        assert_eq!(cap().would_enable(target, &level), heard);
    }
}
