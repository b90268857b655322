//! The resource server, and the program that uses tokens there.

use std::process::Stdio;

use provider_simulator::{
    Behaviour, Endpoint, Fault, Options, Outcome, Recorded, Simulator, System,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::client::{Ask, Got, LONG, right};

async fn start() -> Simulator {
    Simulator::start(Options::default()).await.unwrap()
}

async fn present(sim: &Simulator, authorization: &str) -> (Got, Recorded) {
    let ask = Ask::new("GET", "/resource").and("authorization", authorization);
    let got = ask.send(sim).await;
    (got, sim.requests_beside(Endpoint::Resource).pop().unwrap())
}

#[tokio::test]
async fn a_good_token_of_any_system_is_let_in_and_the_use_recorded() {
    let sim = start().await;
    for system in [System::Oauth2, System::Oracle] {
        let token = right(system).send(&sim).await.token();
        let serial = sim.introspect(&token).unwrap().serial;
        let (got, entry) = present(&sim, &format!("Bearer {token}")).await;
        assert_eq!((got.status, entry.status), (200, Some(200)));
        assert_eq!((entry.outcome, entry.judged.used), (Outcome::Admitted, Some(serial)));
        assert_eq!(entry.system, None);
    }
}

#[tokio::test]
async fn any_other_is_refused_and_the_use_recorded() {
    let sim = start().await;
    let (revoked, record) = sim.give("one", 60).unwrap();
    sim.revoke(record.serial);
    let (expired, dead) = sim.give("one", 0).unwrap();
    for (authorization, reason, used) in [
        (format!("Bearer {revoked}"), "revoked", Some(record.serial)),
        (format!("Bearer {expired}"), "expired at", Some(dead.serial)),
        ("Bearer made-up".to_owned(), "never given out", None),
        (format!("Basic {revoked}"), "no bearer token", None),
        ("Bearer".to_owned(), "no bearer token", None),
    ] {
        let (got, entry) = present(&sim, &authorization).await;
        assert_eq!((got.status, entry.outcome), (401, Outcome::Refused), "{reason}");
        assert!(got.header("www-authenticate").unwrap().contains("invalid_token"), "{reason}");
        assert!(entry.refusal.unwrap().contains(reason), "{reason}");
        assert_eq!(entry.judged.used, used, "{reason}");
    }
    assert_eq!(Ask::new("GET", "/resource").send(&sim).await.status, 401);
    assert_eq!(Ask::new("POST", "/resource").send(&sim).await.status, 405);
}

#[tokio::test]
async fn it_fails_apart_from_the_token_endpoint() {
    let sim = start().await;
    sim.set_beside(Endpoint::Resource, Behaviour::failing(Fault::error(503, "busy")).for_next(1));
    let token = right(System::Oauth2).send(&sim).await.token();
    let (got, entry) = present(&sim, &format!("Bearer {token}")).await;
    assert_eq!((got.status, entry.outcome), (503, Outcome::Fault("status".into())));
    assert_eq!(present(&sim, &format!("Bearer {token}")).await.0.status, 200);
}

#[tokio::test]
async fn the_consumer_reads_the_token_anew_each_time_it_uses_it() {
    let sim = start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_token-consumer"))
        .args(["--name", "reader", "--every-ms", "50", "--url", &sim.url("/resource")])
        .arg("--token-file")
        .arg(&file)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut until = async |wanted: &str| loop {
        let line = tokio::time::timeout(LONG, lines.next_line()).await.unwrap().unwrap().unwrap();
        if line.contains(wanted) {
            return;
        }
    };
    until("no token").await;
    let (first, record) = sim.give("one", 60).unwrap();
    std::fs::write(&file, format!("{first}\n")).unwrap();
    until(" 200 ").await;
    sim.revoke(record.serial);
    until(" 401 ").await;
    let (second, record) = sim.give("one", 60).unwrap();
    std::fs::write(&file, second).unwrap();
    until(" 200 ").await;
    let last = sim.requests_beside(Endpoint::Resource).pop().unwrap();
    assert_eq!(last.judged.used, Some(record.serial));
    assert_eq!(last.header("user-agent"), Some("reader"));
    sim.stop().await;
    until("no answer").await;
}
