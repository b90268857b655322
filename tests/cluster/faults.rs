//! What a provider can do wrong, each fault of the simulator: the last good token stays, the
//! status tells why, nobody is asked too often, and all is well once the fault is over.

use chrono::TimeDelta;
use futures::future::join_all;
use provider_simulator::{Behaviour, ExpiresIn, Fault, RetryAfter, System};
use tokenward::api::conditions::{self, FRESH, READY, STALLED};
use tokenward::api::{OAuthClientTokenStatus, annotations};

use crate::harness::{Lane, World};

/// Stands in every answer that has room for it, and must not stand anywhere else.
const TEXT: &str = "text-of-the-answer";

/// When the provider is asked again.
enum Again {
    /// After a while that grows.
    Backoff,
    /// When this many seconds of silence are over.
    Silence(i64),
    /// After a minute, or when a person acts.
    Probe,
}

struct Case {
    name: &'static str,
    behaviour: Behaviour,
    reason: &'static str,
    message: &'static str,
    again: Again,
}

fn case(
    name: &'static str,
    behaviour: Behaviour,
    (reason, message): (&'static str, &'static str),
) -> Case {
    Case { name, behaviour, reason, message, again: Again::Backoff }
}

fn refusal(status: u16, code: &str) -> Behaviour {
    Behaviour::failing(Fault::Status {
        status,
        error: Some(code.to_owned()),
        description: Some(TEXT.to_owned()),
    })
}

fn verbatim(status: u16, content_type: &str, body: &str) -> Behaviour {
    Behaviour::failing(Fault::Verbatim {
        status,
        content_type: content_type.to_owned(),
        body: body.to_owned(),
    })
}

/// Runs a fault on a lane whose token is good.
async fn go_through(lane: &Lane<'_>, case: &Case) {
    lane.until_fresh().await;
    let good = lane.target().await;
    lane.set(case.behaviour.clone());
    lane.ask("1").await;
    let failed = lane
        .until(|status| {
            status.last_handled_refresh_request.as_deref() == Some("1")
                && find(status, FRESH).status == "False"
        })
        .await;
    judge(case, &failed);
    assert_eq!(lane.target().await, good, "{}: the good token stays", case.name);
    match case.again {
        Again::Backoff => backs_off(lane, case).await,
        Again::Silence(seconds) => keeps_silent(lane, &failed, seconds).await,
        Again::Probe => stalls(lane, &failed).await,
    }
    let recovered = lane.until_fresh().await;
    assert_eq!(recovered.consecutive_failures, 0, "{}", case.name);
    assert_eq!(find(&recovered, STALLED).status, "False", "{}", case.name);
    assert_eq!(recovered.throttled_until, None, "{}", case.name);
    let (_, token) = lane.target().await;
    assert!(token != good.1 && lane.sim.is_active(&token), "{}: a new token", case.name);
    assert!(lane.sim.redirects().is_empty(), "{}", case.name);
}

fn judge(case: &Case, status: &OAuthClientTokenStatus) {
    let name = case.name;
    let permanent = matches!(case.again, Again::Probe);
    assert_eq!(find(status, READY).status, "True", "{name}: the good token counts");
    let fresh = find(status, FRESH);
    assert_eq!(fresh.reason, case.reason, "{name}: {}", fresh.message);
    assert!(fresh.message.contains(case.message), "{name}: {}", fresh.message);
    let stalled = find(status, STALLED);
    assert_eq!(stalled.status, if permanent { "True" } else { "False" }, "{name}");
    if permanent {
        assert_eq!((&stalled.reason, &stalled.message), (&fresh.reason, &fresh.message), "{name}");
    }
    let told = serde_json::to_string(status).unwrap();
    assert!(!told.contains(TEXT) && !told.contains("made_up"), "{name}: {told}");
    assert!(status.next_attempt_at > status.last_attempt_at, "{name}: {status:?}");
    let silent = matches!(case.again, Again::Silence(_));
    assert_eq!(status.throttled_until.is_some(), silent, "{name}: {status:?}");
}

/// Fails once more, after a pause, and recovers by itself.
async fn backs_off(lane: &Lane<'_>, case: &Case) {
    let status = lane.until(|status| status.consecutive_failures >= 2).await;
    judge(case, &status);
    let requests = lane.requests();
    // The good one, those that failed, and the next, which may be under way.
    let most = 1 + usize::try_from(status.consecutive_failures).unwrap() + 1;
    assert!(requests.len() <= most, "{}: {} requests", case.name, requests.len());
    let pauses = requests[1..].windows(2).map(|pair| pair[1].time - pair[0].time);
    for pause in pauses {
        assert!(pause >= TimeDelta::milliseconds(990), "{}: {pause}", case.name);
    }
    lane.set(Behaviour::default());
}

/// Not even a person's wish breaks the silence.
async fn keeps_silent(lane: &Lane<'_>, failed: &OAuthClientTokenStatus, seconds: i64) {
    lane.set(Behaviour::default());
    lane.ask("2").await;
    let silence = failed.throttled_until.unwrap() - failed.last_attempt_at.unwrap();
    assert!(silence >= TimeDelta::seconds(seconds), "{}: {silence}", lane.name);
    lane.until_fresh().await;
    let requests = lane.requests();
    assert_eq!(requests.len(), 3, "{}", lane.name);
    let pause = requests[2].time - requests[1].time;
    assert!(pause >= TimeDelta::seconds(seconds), "{}: {pause}", lane.name);
}

/// Waits for a minute, or for a person.
async fn stalls(lane: &Lane<'_>, failed: &OAuthClientTokenStatus) {
    let wait = failed.next_attempt_at.unwrap() - failed.last_attempt_at.unwrap();
    assert!(wait >= TimeDelta::seconds(57), "{}: {wait}", lane.name);
    assert_eq!(lane.requests().len(), 2, "{}", lane.name);
    lane.set(Behaviour::default());
    lane.ask("2").await;
}

async fn go_through_all(world: &World, cases: Vec<Case>, args: &[&str]) {
    let _operator = world.operator(args);
    let lanes = cases.iter().map(|case| Lane::new(world, case.name, Behaviour::default()));
    let lanes = join_all(lanes).await;
    Lane::apply(world, &lanes, "limits: {minInterval: 1s}");
    join_all(lanes.iter().zip(&cases).map(|(lane, case)| go_through(lane, case))).await;
    let events = world.events();
    assert!(!events.contains(TEXT) && !events.contains("made_up"), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transient_refusal_is_outlived() {
    let world = World::new("transient").await;
    let cases = vec![
        case("error500", refusal(500, "server_error"), ("ProviderError", "HTTP 500: server_error")),
        case("unknown-code", refusal(400, "made_up"), ("ProviderError", "HTTP 400: unrecognised")),
        case("timeout408", refusal(408, "invalid_client"), ("ProviderError", ": invalid_client")),
        case(
            "unreadable400",
            verbatim(400, "text/plain", TEXT),
            ("ProviderError", "the provider answered HTTP 400"),
        ),
        case(
            "redirect",
            Behaviour::failing(Fault::redirect()),
            ("ProviderError", "HTTP 302 (redirects are not followed)"),
        ),
        case("drop", Behaviour::failing(Fault::Drop), ("ProviderUnreachable", "127.0.0.1")),
        case("cut", Behaviour::failing(Fault::DropMidBody), ("ProviderUnreachable", "127.0.0.1")),
    ];
    go_through_all(&world, cases, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_what_the_document_says_is_outlived() {
    let world = World::new("malformed").await;
    let failing = Behaviour::failing;
    let no_json = "is not a JSON object";
    let no_token = "the answer holds no token";
    let json = format!("[\"{TEXT}\"]");
    let invalid = |message| ("InvalidResponse", message);
    let cases = vec![
        case("html", failing(Fault::Html), invalid(no_json)),
        case("empty", failing(Fault::Empty), invalid(no_json)),
        case("text", verbatim(200, "application/json", TEXT), invalid(no_json)),
        case("array", verbatim(200, "application/json", &json), invalid(no_json)),
        case("wrong-types", failing(Fault::WrongTypes), invalid(no_token)),
        case("empty-token", failing(Fault::EmptyToken), invalid(no_token)),
        case("huge", failing(Fault::huge_body()), invalid("larger than 64 KiB")),
        case("no-expiry", Behaviour::rendering(ExpiresIn::Missing), invalid("tells no expiry")),
        case("null-expiry", Behaviour::rendering(ExpiresIn::Null), invalid("tells no expiry")),
        case("word", Behaviour::rendering(ExpiresIn::Word), invalid("is not a number of seconds")),
        case("object", Behaviour::rendering(ExpiresIn::Object), invalid("not a number of seconds")),
        case("bool", Behaviour::rendering(ExpiresIn::Boolean), invalid("not a number of seconds")),
        case("life-0", Behaviour::living(0), invalid("already expired")),
        case("life-negative", Behaviour::living(-3600), invalid("already expired")),
    ];
    go_through_all(&world, cases, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_stalls_until_a_person_acts() {
    let world = World::new("permanent").await;
    let refused = |name, status, code, message| Case {
        again: Again::Probe,
        ..case(name, refusal(status, code), ("TokenRequestRejected", message))
    };
    let cases = vec![
        refused("grant", 400, "invalid_grant", "HTTP 400: invalid_grant"),
        refused("client", 401, "invalid_client", "HTTP 401: invalid_client"),
        refused("loud", 401, "INVALID_CLIENT", "HTTP 401: invalid_client"),
        refused("denied", 403, "access_denied", "HTTP 403: access_denied"),
        refused("scope", 400, "invalid_scope", "HTTP 400: invalid_scope"),
    ];
    go_through_all(&world, cases, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_kept_as_long_as_the_provider_asks() {
    let world = World::new("silence").await;
    let throttled = |name, status, retry_after, seconds| Case {
        again: Again::Silence(seconds),
        ..case(
            name,
            Behaviour::failing(Fault::Throttled { status, retry_after }),
            match status {
                429 => ("ProviderThrottled", "HTTP 429"),
                _ => ("ProviderError", "HTTP 503"),
            },
        )
    };
    let cases = vec![
        throttled("seconds", 429, RetryAfter::Seconds(6), 6),
        throttled("date", 429, RetryAfter::Date(6), 6),
        throttled("busy", 503, RetryAfter::Seconds(6), 6),
    ];
    go_through_all(&world, cases, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttle_without_a_term_counts_for_a_minute_and_a_long_one_for_an_hour() {
    let world = World::new("terms").await;
    let _operator = world.operator(&[]);
    let of = |retry_after| Behaviour::failing(Fault::throttled(retry_after));
    let unnamed = Lane::new(&world, "unnamed", of(RetryAfter::Absent)).await;
    let long = Lane::new(&world, "long", of(RetryAfter::Seconds(86_400))).await;
    let lanes = [unnamed, long];
    Lane::apply(&world, &lanes, "limits: {minInterval: 1s}");
    for (lane, seconds) in lanes.iter().zip([60, 3600]) {
        let status = lane.until(|status| status.throttled_until.is_some()).await;
        // Without a good token it stands in Ready, too.
        assert_eq!(find(&status, READY).reason, "ProviderThrottled");
        let silence = status.throttled_until.unwrap() - status.last_attempt_at.unwrap();
        assert!(silence >= TimeDelta::seconds(seconds), "{silence}");
        let next = status.next_attempt_at.map(annotations::format_time);
        assert_eq!(next, status.throttled_until.map(annotations::format_time));
        assert_eq!(lane.requests().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_takes_too_long_is_given_up() {
    let world = World::new("slow").await;
    let late = ("ProviderTimeout", "127.0.0.1 did not answer in time");
    let cases = vec![
        case("hang", Behaviour::failing(Fault::Hang), late),
        // The head comes at once; the body would take a minute and more.
        case("drip", Behaviour::failing(Fault::SlowBody { milliseconds: 500 }), late),
    ];
    go_through_all(&world, cases, &["--request-timeout", "1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_delays_no_other() {
    let world = World::new("hang").await;
    let _operator = world.operator(&["--request-timeout", "120"]);
    let hanging = Lane::new(&world, "hanging", Behaviour::failing(Fault::Hang)).await;
    let healthy = Lane::new(&world, "healthy", Behaviour::living(8)).await;
    Lane::apply(&world, std::slice::from_ref(&hanging), "limits: {minInterval: 1s}");
    let more: Vec<String> = (0..12)
        .map(|n| {
            format!(
                "{{apiVersion: tokenward.dev/v1alpha1, kind: OAuthClientToken, metadata: {{name: more-{n}}}, \
                 spec: {{providerRef: {{name: hanging}}, credentialsSecretRef: {{name: c}}}}}}"
            )
        })
        .collect();
    world.apply(&more.join("\n---\n"));
    // As many as one provider is asked at once.
    let wait = crate::harness::PATIENCE;
    hanging.sim.wait_for(8, System::Oauth2, wait).await.unwrap();
    Lane::apply(&world, std::slice::from_ref(&healthy), "limits: {minInterval: 1s}");
    let first = healthy.until_fresh().await.token.unwrap().issued_at;
    let later = |status: &OAuthClientTokenStatus| {
        status.token.as_ref().is_some_and(|token| token.issued_at > first)
    };
    healthy.until(later).await;
    assert_eq!(hanging.requests().len(), 8);
}

fn find<'a>(
    status: &'a OAuthClientTokenStatus,
    type_: &str,
) -> &'a k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
    conditions::find(&status.conditions, type_).unwrap()
}
