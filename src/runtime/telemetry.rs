//! Logs.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: an object a line.
    Json,
}

/// Sends logs to standard error. `filter` is a level, or directives as `info,kube=debug`.
pub fn init_logs(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter: EnvFilter = filter.parse().map_err(|error| {
        format!("--log-level {filter:?}: {error}; use error, warn, info, debug or trace")
    })?;
    // Colours are for a person's terminal; in a file or a pod's log they are noise.
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    let done = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    done.map_err(|error| error.to_string())
}
