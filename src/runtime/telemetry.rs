//! Logs.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: an object a line.
    Json,
}

/// What may be logged at all, whatever is asked for. Below DEBUG, libraries log buffers, and those
/// hold secrets.
fn cap() -> Targets {
    Targets::new()
        .with_default(LevelFilter::DEBUG)
        .with_target(env!("CARGO_CRATE_NAME"), LevelFilter::TRACE)
        // An answer of the API server that it cannot read it logs whole, and as a warning.
        .with_target("kube_client::client", LevelFilter::OFF)
        // Method, URL and status of each request.
        .with_target("kube_client::client::builder", LevelFilter::DEBUG)
}

/// Sends logs to standard error. `filter` is a level, or directives as `info,kube=debug`.
pub fn init_logs(format: LogFormat, filter: &str) -> Result<(), String> {
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
    let logs = tracing_subscriber::registry().with(filter).with(cap()).with(lines);
    logs.try_init().map_err(|error| error.to_string())
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
