//! Each fault, as a client sees it and as the log tells it.

use std::time::{Duration, Instant};

use provider_simulator::{
    Behaviour, ExpiresIn, Fault, Options, Outcome, RetryAfter, Simulator, System,
};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::client::{Ask, Got, LONG, right};

const OAUTH: System = System::Oauth2;

async fn start(system: System, behaviour: Behaviour) -> Simulator {
    Simulator::start(Options::default().with(system, behaviour)).await.unwrap()
}

/// The answer of a system with this fault, after the log was checked for the outcome.
async fn with_fault(system: System, fault: Fault, outcome: &str) -> Got {
    let name = fault.name().to_owned();
    let sim = start(system, Behaviour::failing(fault)).await;
    let got = right(system).send(&sim).await;
    let entry = sim.next_request(system, LONG).await.unwrap();
    assert_eq!(entry.outcome.to_string(), outcome);
    assert_eq!(entry.faults, [name]);
    assert_eq!(entry.status.unwrap_or_default(), got.status);
    assert_eq!(entry.refusal, None);
    got
}

#[tokio::test]
async fn hang_records_and_never_answers() {
    let sim = start(OAUTH, Behaviour::failing(Fault::Hang)).await;
    let mut stream = right(OAUTH).open(&sim).await;
    let entry = sim.next_request(OAUTH, LONG).await.unwrap();
    assert_eq!((entry.outcome, entry.status), (Outcome::Fault("hang".into()), None));
    let read = tokio::time::timeout(Duration::from_millis(300), stream.read_u8()).await;
    assert!(read.is_err(), "{read:?}");
    // The end of the simulator ends the connection, too.
    sim.stop().await;
    assert!(tokio::time::timeout(LONG, stream.read_u8()).await.unwrap().is_err());
}

#[tokio::test]
async fn delay_answers_late_and_records_at_once() {
    let sim = start(OAUTH, Behaviour::failing(Fault::Delay { milliseconds: 400 })).await;
    let begin = Instant::now();
    let ask = right(OAUTH);
    let (got, early) = tokio::join!(ask.send(&sim), async {
        sim.next_request(OAUTH, LONG).await.unwrap();
        begin.elapsed()
    });
    assert_eq!(got.status, 200);
    assert!(begin.elapsed() >= Duration::from_millis(400) && early < begin.elapsed());
}

#[tokio::test]
async fn slow_body_comes_byte_by_byte() {
    let sim = start(OAUTH, Behaviour::failing(Fault::SlowBody { milliseconds: 3 })).await;
    let begin = Instant::now();
    let got = right(OAUTH).send(&sim).await;
    assert!(begin.elapsed() >= Duration::from_millis(3) * u32::try_from(got.body.len()).unwrap());
    assert!(sim.is_active(&got.token()));
    assert_eq!(sim.requests()[0].outcome, Outcome::Issued);
}

#[tokio::test]
async fn statuses_and_error_codes() {
    let got = with_fault(OAUTH, Fault::internal_error(), "status").await;
    assert_eq!((got.status, got.json()["error"].as_str()), (500, Some("server_error")));
    let got = with_fault(OAUTH, Fault::error(401, "invalid_client"), "status").await;
    assert_eq!((got.status, got.json()["error"].as_str()), (401, Some("invalid_client")));
    let got = with_fault(System::Oracle, Fault::error(403, "OCE-1"), "status").await;
    assert_eq!((got.status, got.json()["o:errorCode"].as_str()), (403, Some("OCE-1")));
    let bare = Fault::Status { status: 503, error: None, description: None };
    let got = with_fault(OAUTH, bare, "status").await;
    assert_eq!((got.status, got.body.len()), (503, 0));
}

#[tokio::test]
async fn throttled_with_each_retry_after() {
    let got = with_fault(OAUTH, Fault::throttled(RetryAfter::Seconds(7)), "throttled").await;
    assert_eq!((got.status, got.header("retry-after")), (429, Some("7")));
    let got = with_fault(OAUTH, Fault::throttled(RetryAfter::Absent), "throttled").await;
    assert_eq!(got.header("retry-after"), None);
    let got = with_fault(OAUTH, Fault::throttled(RetryAfter::Date(60)), "throttled").await;
    let (retry, date) = (http_date(&got, "retry-after"), http_date(&got, "date"));
    assert!((50..=60).contains(&(retry - date).num_seconds()));
}

fn http_date(got: &Got, name: &str) -> chrono::NaiveDateTime {
    chrono::NaiveDateTime::parse_from_str(got.header(name).unwrap(), "%a, %d %b %Y %H:%M:%S GMT")
        .unwrap()
}

#[tokio::test]
async fn answers_that_are_none() {
    let got = with_fault(OAUTH, Fault::Html, "html").await;
    assert_eq!((got.status, got.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let got = with_fault(OAUTH, Fault::Empty, "empty").await;
    assert_eq!((got.status, got.body.len()), (200, 0));
    assert_eq!(with_fault(System::Oracle, Fault::Empty, "empty").await.status, 201);
    let got = with_fault(OAUTH, Fault::WrongTypes, "wrongTypes").await;
    assert!(got.json()["access_token"].is_number());
    assert!(
        with_fault(System::Oracle, Fault::WrongTypes, "wrongTypes").await.json()["token"]
            .is_number()
    );
    assert_eq!(with_fault(OAUTH, Fault::EmptyToken, "emptyToken").await.token(), "");
    let verbatim =
        Fault::Verbatim { status: 418, content_type: "text/x".into(), body: "tea".into() };
    let got = with_fault(OAUTH, verbatim, "verbatim").await;
    assert_eq!((got.status, got.text().as_str()), (418, "tea"));
}

#[tokio::test]
async fn a_huge_body_has_no_length_and_a_token_at_its_end() {
    let got = with_fault(OAUTH, Fault::huge_body(), "hugeBody").await;
    assert_eq!(
        (got.header("content-length"), got.header("transfer-encoding")),
        (None, Some("chunked"))
    );
    assert!(got.body.len() > 10 * 1024 * 1024);
    assert!(String::from_utf8_lossy(&got.body).contains("access_token"));
}

#[tokio::test]
async fn a_redirect_that_is_followed_is_recorded() {
    let sim = start(OAUTH, Behaviour::failing(Fault::redirect())).await;
    let got = right(OAUTH).send(&sim).await;
    assert_eq!((got.status, got.header("location")), (302, Some("/_simulator/redirected")));
    assert!(sim.redirects().is_empty());
    assert_eq!(Ask::new("GET", "/_simulator/redirected").send(&sim).await.status, 200);
    assert_eq!(sim.redirects().len(), 1);
    assert_eq!(sim.requests_of(OAUTH).len(), 1);
}

#[tokio::test]
async fn dropped_connections() {
    let got = with_fault(OAUTH, Fault::Drop, "drop").await;
    assert_eq!((got.status, got.body.len()), (0, 0));
    let got = with_fault(OAUTH, Fault::DropMidBody, "dropMidBody").await;
    let announced: usize = got.header("content-length").unwrap().parse().unwrap();
    assert_eq!(got.body.len(), announced / 2);
}

#[tokio::test]
async fn the_same_token_until_little_remains() {
    let sim =
        start(OAUTH, Behaviour::living(100).with(Fault::SameToken { until_remaining: 10 })).await;
    let first = right(OAUTH).send(&sim).await;
    let again = right(OAUTH).send(&sim).await;
    assert_eq!(first.token(), again.token());
    assert!((80..=100).contains(&again.json()["expires_in"].as_i64().unwrap()));
    let entries = sim.requests_of(OAUTH);
    assert_eq!((entries[0].same_token, entries[1].same_token), (false, true));

    sim.set(OAUTH, Behaviour::living(100).with(Fault::SameToken { until_remaining: 100 }));
    assert_ne!(right(OAUTH).send(&sim).await.token(), first.token());
}

#[tokio::test]
async fn the_date_can_be_wrong_or_missing() {
    let got = with_fault(OAUTH, Fault::DateSkew { seconds: -3600 }, "issued").await;
    let behind = (chrono::Utc::now().naive_utc() - http_date(&got, "date")).num_seconds();
    assert!((3600..3660).contains(&behind), "{behind}");
    assert_eq!(with_fault(OAUTH, Fault::NoDate, "issued").await.header("date"), None);

    let ahead = Options { clock_offset: chrono::TimeDelta::hours(2), ..Options::default() };
    let sim = Simulator::start(ahead).await.unwrap();
    let got = right(OAUTH).send(&sim).await;
    assert!((http_date(&got, "date") - chrono::Utc::now().naive_utc()).num_minutes() >= 119);
    assert!(sim.is_active(&got.token()));
}

#[tokio::test]
async fn lifetimes_and_their_renderings() {
    let verbatim = ExpiresIn::Verbatim(json!("3599"));
    let cases: Vec<(i64, ExpiresIn, Option<Value>)> = vec![
        (0, ExpiresIn::Number, Some(json!(0))),
        (-5, ExpiresIn::Number, Some(json!(-5))),
        (i64::MAX, ExpiresIn::Number, Some(json!(i64::MAX))),
        (60, ExpiresIn::String, Some(json!("60"))),
        (60, ExpiresIn::Float, Some(json!(60.0))),
        (60, ExpiresIn::Missing, None),
        (60, ExpiresIn::Null, Some(Value::Null)),
        (60, ExpiresIn::Object, Some(json!({"seconds": 60}))),
        (60, ExpiresIn::Boolean, Some(json!(true))),
        (60, ExpiresIn::Word, Some(json!("soon"))),
        (60, verbatim, Some(json!("3599"))),
    ];
    let sim = Simulator::start(Options::default()).await.unwrap();
    for (lifetime, rendering, expected) in cases {
        let label = format!("{lifetime} {rendering:?}");
        let behaviour = Behaviour { lifetime: Some(lifetime), ..Behaviour::rendering(rendering) };
        sim.set(OAUTH, behaviour.clone());
        let got = right(OAUTH).send(&sim).await;
        assert_eq!(got.json().get("expires_in"), expected.as_ref(), "{label}");
        assert_eq!(sim.is_active(&got.token()), lifetime > 0, "{label}");

        sim.set(System::Oracle, behaviour);
        let got = right(System::Oracle).send(&sim).await;
        assert_eq!(got.json().get("expiration").is_some(), expected.is_some(), "{label}");
    }
}

#[tokio::test]
async fn oracles_lifetime_is_in_the_expiration() {
    let sim = start(System::Oracle, Behaviour::living(i64::MAX)).await;
    let value = |got: Got| got.json()["expiration"]["value"].clone();
    assert_eq!(value(right(System::Oracle).send(&sim).await), "9999-12-31T23:59:59.000Z");
    sim.set(System::Oracle, Behaviour::rendering(ExpiresIn::Word));
    assert_eq!(value(right(System::Oracle).send(&sim).await), "soon");
}

#[tokio::test]
async fn limited_faults_end() {
    let behaviour = Behaviour::living(30).with(Fault::internal_error()).for_next(2);
    let sim = start(OAUTH, behaviour).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(right(OAUTH).send(&sim).await.status);
    }
    assert_eq!(statuses, [500, 500, 200]);
    assert_eq!(right(OAUTH).send(&sim).await.json()["expires_in"], 30);
}

#[tokio::test]
async fn a_wrong_request_is_told_apart_even_behind_a_fault() {
    let wrong = right(OAUTH).without("content-type");
    let sim = start(OAUTH, Behaviour::failing(Fault::internal_error())).await;
    assert_eq!(wrong.send(&sim).await.status, 500);
    assert!(sim.requests()[0].refusal.is_some());
    sim.set(OAUTH, Behaviour::failing(Fault::WrongTypes));
    assert_eq!(wrong.send(&sim).await.status, 400);
    assert_eq!(sim.requests()[1].outcome, Outcome::Refused);
}

#[tokio::test]
async fn of_two_faults_that_replace_the_answer_the_later_counts() {
    let both = Behaviour::failing(Fault::Hang).with(Fault::internal_error());
    let sim = start(OAUTH, both.with(Fault::SlowBody { milliseconds: 1 })).await;
    assert_eq!(right(OAUTH).send(&sim).await.json()["error"], "server_error");
    assert_eq!(sim.requests()[0].outcome, Outcome::Fault("status".into()));
}

#[tokio::test]
async fn faults_of_one_system_leave_the_others_alone() {
    let sim = start(OAUTH, Behaviour::failing(Fault::Drop)).await;
    assert_eq!(right(System::Sitecore).send(&sim).await.status, 200);
}
