//! The simulator as a program.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use provider_simulator::{
    Behaviour, Endpoint, Options, Recorded, Simulator, StartError, System, Tls,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A strict stand-in for token endpoints. A test tool: everyone who reaches it may read its log,
/// secrets included.
#[derive(Debug, Parser)]
#[command(name = "provider-simulator", version)]
struct Arguments {
    /// Where to listen (loopback, unless --beyond-loopback; port 0 takes a free one).
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8085")]
    listen: SocketAddr,
    /// Let it listen on another address than loopback: in a network that nothing but tests reaches.
    #[arg(long)]
    beyond_loopback: bool,
    /// Speak TLS, with a certificate from an authority made at the start.
    #[arg(long)]
    tls: bool,
    /// Write the certificate of that authority (PEM) into this file.
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca_out: Option<PathBuf>,
    /// How long the tokens of a system live; may be repeated.
    #[arg(long, value_name = "SYSTEM=SECONDS", value_parser = lifetime, allow_hyphen_values = true)]
    lifetime: Vec<(System, i64)>,
    /// Print one line a request (never a secret).
    #[arg(long)]
    log_requests: bool,
}

fn lifetime(text: &str) -> Result<(System, i64), String> {
    let (system, seconds) = text.split_once('=').ok_or("expected SYSTEM=SECONDS")?;
    Ok((
        system.parse().map_err(|error: provider_simulator::UnknownSystem| error.to_string())?,
        seconds.parse().map_err(|error| format!("`{seconds}`: {error}"))?,
    ))
}

/// The program cannot run.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot write {path}: {source}")]
    CaOut { path: PathBuf, source: std::io::Error },
    #[error("cannot wait for signals: {0}")]
    Signals(#[from] std::io::Error),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    // Before the line that says ready: whoever reads it may send a signal at once.
    let (terminate, interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let simulator = Simulator::start(options(&arguments)).await?;
    if let (Some(path), Some(pem)) = (arguments.ca_out, simulator.ca_pem()) {
        std::fs::write(&path, pem).map_err(|source| Failure::CaOut { path, source })?;
    }
    say(&format!("listening on {}", simulator.url("")));
    tokio::select! {
        () = ended(terminate, interrupt) => {}
        () = follow(&simulator), if arguments.log_requests => {}
    }
    simulator.stop().await;
    Ok(())
}

fn options(arguments: &Arguments) -> Options {
    let behaviours: BTreeMap<_, _> = arguments
        .lifetime
        .iter()
        .map(|(system, seconds)| (*system, Behaviour::living(*seconds)))
        .collect();
    Options {
        listen: arguments.listen,
        beyond_loopback: arguments.beyond_loopback,
        tls: if arguments.tls { Tls::SelfSigned } else { Tls::None },
        behaviours,
        ..Options::default()
    }
}

async fn ended(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Prints requests as they come, for ever.
async fn follow(simulator: &Simulator) {
    let mut last = 0;
    loop {
        for entry in simulator.requests_after(last).await {
            last = entry.seq;
            say(&line(&entry));
        }
    }
}

/// One request in one line. The refusal stays out: its words may quote the request.
fn line(entry: &Recorded) -> String {
    let time = entry.time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let beside = entry.endpoint.map_or("-", Endpoint::name);
    let system = entry.system.map_or(beside, System::name);
    let status = entry.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let token = entry.token.as_deref().and_then(|token| token.get(token.len().saturating_sub(4)..));
    let token = token.map_or_else(String::new, |end| format!(" …{end}"));
    format!("{time} {system} {status} {}{token}", entry.outcome)
}

#[expect(clippy::print_stdout, reason = "the program's output")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "the program's complaints")]
fn complain(failure: &Failure) {
    eprintln!("provider-simulator: {failure}");
}
