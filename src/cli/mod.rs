//! What people type: one file a subcommand.

mod check;
mod controller;
mod crds;
mod local;
mod providers;
mod release;
mod stop;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::settings::CommonArgs;

/// Keeps OAuth 2.0 access tokens fresh in Kubernetes Secrets.
#[derive(Debug, Parser)]
#[command(name = "tokenward", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong usage or invalid input")]
struct Cli {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run on a cluster (all namespaces by default)
    Controller(crate::settings::ControllerArgs),
    /// Run without a cluster: manifests in, files out. A ClusterOAuthProvider's own credentials are
    /// looked for in namespace `default`
    Local(crate::settings::LocalArgs),
    /// Validate manifests as the API server would, without one; with --fetch, try them out
    Check(check::CheckArgs),
    /// Print the CustomResourceDefinitions
    Crds,
    /// Remove tokenward's finalizers, so that nothing holds its resources when it is uninstalled.
    /// Stop the controller first, or let --stop do it: it would set them again
    Release(crate::settings::ReleaseArgs),
    /// The catalogue of providers
    Providers(providers::ProvidersArgs),
}

/// Why a command ended early: 1 failed, 2 wrong usage or invalid input.
#[derive(Debug)]
pub(crate) enum Failure {
    Failed(String),
    Usage(String),
    /// Invalid input, of which everything has been said.
    Told,
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Controller(args) => controller::run(&cli.common, args),
        Command::Local(args) => local::run(&cli.common, &args),
        Command::Check(args) => check::execute(&cli.common, &args),
        Command::Crds => crds::run(),
        Command::Release(args) => release::run(&cli.common, &args),
        Command::Providers(args) => providers::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(message)) => fail(&message, 1),
        Err(Failure::Usage(message)) => fail(&message, 2),
        Err(Failure::Told) => ExitCode::from(2),
    }
}

fn fail(message: &str, code: u8) -> ExitCode {
    tell(&format!("tokenward: {message}"));
    ExitCode::from(code)
}

/// Writes a line to standard error.
fn tell(line: &str) {
    // Nobody is left to tell where standard error is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes to standard output. A reader that went away (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Runs a command that waits for things.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // The very first use of TLS must find its provider.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return Err(Failure::Failed("a TLS provider was installed already".to_owned()));
    }
    // One thread carries more than an API server takes, and costs a third less than two that wake
    // each other (docs/adr/0033).
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("the runtime cannot start: {error}")))?;
    let result = runtime.block_on(work);
    // A name that is still being looked up does not hold up the end.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}
