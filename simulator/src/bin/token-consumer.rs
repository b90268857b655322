//! A workload as there are many: it reads a token from a mounted file and uses it, again and again.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use clap::Parser;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// Uses the token in a file, over and over, and prints a line each time.
#[derive(Debug, Parser)]
#[command(name = "token-consumer", version)]
struct Arguments {
    /// The file; read anew for each use.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Where the token is used, as `http://127.0.0.1:8085/resource`.
    #[arg(long, value_name = "URL", value_parser = place)]
    url: Place,
    /// What the server is told as the User-Agent.
    #[arg(long, default_value = "token-consumer")]
    name: String,
    /// The pause between two uses.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000)]
    every_ms: u64,
}

#[derive(Debug, Clone)]
struct Place {
    authority: String,
    path: String,
}

fn place(url: &str) -> Result<Place, String> {
    let (authority, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .ok_or("expected http://HOST:PORT/PATH")?;
    Ok(Place { authority: authority.to_owned(), path: format!("/{path}") })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // As the first process of a container it has to ask for signals.
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return ExitCode::FAILURE };
    let mut ticks = tokio::time::interval(Duration::from_millis(arguments.every_ms.max(1)));
    loop {
        tokio::select! {
            _ = terminate.recv() => return ExitCode::SUCCESS,
            _ = ticks.tick() => say(&turn(&arguments).await),
        }
    }
}

/// One use, in one line.
async fn turn(arguments: &Arguments) -> String {
    let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let token = match std::fs::read_to_string(&arguments.token_file) {
        Ok(token) => token.trim().to_owned(),
        Err(error) => return format!("{time} no token: {error}"),
    };
    let end = token.get(token.len().saturating_sub(4)..).unwrap_or_default().to_owned();
    match tokio::time::timeout(PATIENCE, exchange(arguments, &token)).await {
        Ok(Ok(status)) => format!("{time} {status} …{end}"),
        Ok(Err(error)) => format!("{time} no answer …{end}: {error}"),
        Err(_) => format!("{time} no answer …{end} within {PATIENCE:?}"),
    }
}

/// The status of the answer.
async fn exchange(arguments: &Arguments, token: &str) -> io::Result<String> {
    let Place { authority, path } = &arguments.url;
    let name = &arguments.name;
    let mut stream = TcpStream::connect(authority).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: {name}\r\n\
         authorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1);
    status.map(str::to_owned).ok_or_else(|| io::Error::other("the connection ended"))
}

#[expect(clippy::print_stdout, reason = "the program's output")]
fn say(line: &str) {
    println!("{line}");
}
