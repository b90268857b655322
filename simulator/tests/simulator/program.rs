//! The program.

use std::process::{Command, Stdio};
use std::time::Duration;

use provider_simulator::System;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::client::{LONG, right};

const PROGRAM: &str = env!("CARGO_BIN_EXE_provider-simulator");

#[tokio::test]
async fn it_says_when_it_listens_logs_without_secrets_and_ends_on_sigterm() {
    let mut child = tokio::process::Command::new(PROGRAM)
        .args(["--listen", "127.0.0.1:0", "--log-requests", "--lifetime", "oracle=8"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = lines.next_line().await.unwrap().unwrap();
    let address = ready.strip_prefix("listening on http://").unwrap().to_owned();

    let ask = right(System::Oracle);
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(&ask.bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LONG, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"));

    let line = tokio::time::timeout(LONG, lines.next_line()).await.unwrap().unwrap().unwrap();
    assert!(line.contains(" oracle 201 issued …"), "{line}");
    assert_eq!(line.split('…').nth(1).map(str::len), Some(4));

    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = tokio::time::timeout(Duration::from_secs(5), child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn it_refuses_what_it_cannot_do() {
    for arguments in [
        &["--listen", "0.0.0.0:0"][..],
        &["--ca-out", "/tmp/never-written"],
        &["--lifetime", "oauth3=1"],
        &["--lifetime", "oauth2"],
    ] {
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        assert!(!output.status.success() && !output.stderr.is_empty(), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
