//! Each system: the right request, and wrong ones with the reason that the log gives.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use provider_simulator::systems::{mediahound, oauth2, optimizely, oracle, sitecore};
use provider_simulator::{Client, Options, Outcome, Simulator, System};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::client::{Ask, FORM, JSON, LONG, basic, encode, oauth2_basic, optimizely_form, right};

async fn start() -> Simulator {
    Simulator::start(Options::default()).await.unwrap()
}

#[tokio::test]
async fn the_right_request_gets_a_token() {
    let sim = start().await;
    for system in System::ALL {
        let got = right(system).send(&sim).await;
        assert_eq!(
            got.status,
            if system == System::Oracle { 201 } else { 200 },
            "{system}: {}",
            got.text()
        );
        assert_eq!(got.header("content-type"), Some("application/json"));
        assert_eq!(got.header("cache-control"), Some("no-store"));
        assert!(got.header("date").unwrap().ends_with(" GMT"));

        let entry = sim.requests_of(system).pop().unwrap();
        assert_eq!(entry.outcome, Outcome::Issued);
        assert_eq!(entry.token, Some(got.token()));
        assert!(got.token().len() >= 40);
        let record = sim.introspect(&got.token()).unwrap();
        assert_eq!(record.system, system);
        assert_eq!(entry.judged.issued, Some(record.serial));
        assert_eq!(entry.judged.client_id, Some(record.client_id));
        assert_eq!((record.expires_at - record.issued_at).num_seconds(), system.default_lifetime());
        assert!(sim.is_active(&got.token()));
    }
    assert!(!sim.is_active("made up") && sim.introspect("made up").is_none());
}

#[tokio::test]
async fn each_answer_has_its_systems_members() {
    let sim = start().await;
    let expected = [
        (
            System::Sitecore,
            json!({"token_type": "Bearer", "expires_in": 900, "scope": "hc.mgmnt.types:read hc.mgmnt.items:manage"}),
        ),
        (
            System::Mediahound,
            json!({"token_type": "bearer", "expires_in": 3600, "scope": "public"}),
        ),
        (System::Optimizely, json!({"token_type": "Bearer", "expires_in": 300})),
        (System::Oauth2, json!({"token_type": "Bearer", "expires_in": 3600})),
    ];
    for (system, members) in expected {
        let mut body = right(system).send(&sim).await.json();
        body.as_object_mut().unwrap().remove("access_token").unwrap();
        assert_eq!(body, members, "{system}");
    }
}

#[tokio::test]
async fn oracles_token_is_a_jwt_that_expires_when_the_answer_says() {
    let sim = start().await;
    let body = right(System::Oracle).send(&sim).await.json();
    assert_eq!(body["channelId"], oracle::CHANNEL_ID);
    assert_eq!(body["expiration"]["timezone"], "UTC");
    let value = body["expiration"]["value"].as_str().unwrap();
    assert_eq!((value.len(), &value[19..20], &value[23..]), (24, ".", "Z"));

    let parts: Vec<_> = body["token"].as_str().unwrap().split('.').collect();
    assert_eq!(parts.len(), 3);
    let claims: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let expiration = chrono::DateTime::parse_from_rfc3339(value).unwrap();
    assert_eq!(claims["exp"], expiration.timestamp());
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 604_800);
}

#[tokio::test]
async fn the_other_documented_ways_work_too() {
    let sim = start().await;
    let with_charset =
        |ask: Ask, media: &str| ask.set("content-type", format!("{media}; charset=utf-8"));
    let act_as = right(System::Optimizely).swap("{", r#"{"act_as":"editor@example.com","#);
    for ask in [
        optimizely_form(),
        optimizely_form().swap("credentials", "credentials&act_as=editor%40example.com"),
        act_as,
        oauth2_basic(),
        with_charset(oauth2_basic(), FORM),
        with_charset(right(System::Oracle), JSON),
    ] {
        let got = ask.send(&sim).await;
        assert!(got.status < 300, "{}: {}", ask.body, got.text());
    }
    let scoped = oauth2_basic()
        .body("grant_type=client_credentials&scope=a%3Aread+b&resource=https%3A%2F%2Fapi.example");
    assert_eq!(scoped.send(&sim).await.json()["scope"], "a:read b");
}

/// What is sent, the status and the error code that it gets, and words of the reason.
type Case = (Ask, u16, &'static str, &'static str);

async fn refused(system: System, cases: Vec<Case>) {
    let sim = start().await;
    for (index, (ask, status, error, reason)) in cases.into_iter().enumerate() {
        let got = ask.send(&sim).await;
        let label = format!("{system} case {index}: {} {}", ask.body, got.text());
        assert_eq!(got.status, status, "{label}");
        let body = got.json();
        let code = if system == System::Oracle { &body["o:errorCode"] } else { &body["error"] };
        assert_eq!(code, error, "{label}");
        let entry = sim.requests_of(system).pop().unwrap();
        assert_eq!((entry.outcome, entry.status), (Outcome::Refused, Some(status)), "{label}");
        assert!(entry.refusal.as_ref().unwrap().contains(reason), "{label}: {:?}", entry.refusal);
        assert_eq!(entry.token, None, "{label}");
        assert_eq!(
            got.header("www-authenticate").is_some(),
            status == 401 && by_basic(&ask, system),
            "{label}"
        );
    }
}

fn by_basic(ask: &Ask, system: System) -> bool {
    ask.headers.iter().any(|(name, _)| *name == "authorization")
        || matches!(system, System::Mediahound)
        || (system == System::Optimizely && ask.headers.iter().any(|(_, value)| value == FORM))
}

const BAD: &str = "invalid_request";
const WHO: &str = "invalid_client";

#[tokio::test]
async fn every_system_refuses_what_no_system_reads() {
    for system in System::ALL {
        let ask = || right(system);
        let method = if system == System::Oracle { 400 } else { 405 };
        let query = Ask { path: format!("{}?a=b", system.path()), ..ask() };
        refused(
            system,
            vec![
                (Ask { method: "GET", ..ask() }, method, BAD, "the method is GET"),
                (Ask { method: "PUT", ..ask() }, method, BAD, "the method is PUT"),
                (query, 400, BAD, "no query"),
                (ask().without("content-type"), 400, BAD, "Content-Type is missing"),
                (ask().set("content-type", "text/plain"), 400, BAD, "neither JSON nor a form"),
                (
                    ask().set("content-type", format!("{JSON}; charset=latin1")),
                    400,
                    BAD,
                    "other than charset",
                ),
                (ask().and("content-type", FORM), 400, BAD, "content-type is there twice"),
                (ask().body(""), 400, BAD, ""),
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn sitecore_refuses() {
    let ask = || right(System::Sitecore);
    let secret = encode(sitecore::CLIENT_SECRET);
    refused(
        System::Sitecore,
        vec![
            (ask().set("content-type", JSON), 400, BAD, "application/json is not read here"),
            (
                ask().and("authorization", basic("a", "b")),
                400,
                BAD,
                "Authorization header is not allowed",
            ),
            (ask().swap("audience=", "audience2="), 400, BAD, "`audience2` is not allowed"),
            (ask().swap("grant_type=", "scope=a&grant_type="), 400, BAD, "`scope` is not allowed"),
            (ask().swap("&audience=", "&audience=&audience="), 400, BAD, "`audience` is empty"),
            (
                ask().swap("&audience=", "&audience=x&audience="),
                400,
                BAD,
                "`audience` is there twice",
            ),
            (ask().swap("&audience=", "&x=y&client_secret="), 400, BAD, "`x` is not allowed"),
            (
                ask().swap("client%5Fcredentials", "password"),
                400,
                "unsupported_grant_type",
                "grant_type",
            ),
            (
                ask().swap("sitecore%2Deditor", "somebody"),
                401,
                WHO,
                "no client has this identifier",
            ),
            (ask().swap(&secret, "x"), 401, WHO, "the secret is wrong"),
            (ask().swap(&secret, &format!("{secret}%0A")), 401, WHO, "ends in white space"),
            (ask().swap(&secret, &encode(&secret)), 401, WHO, "the secret is wrong"),
            (ask().swap(&secret, sitecore::CLIENT_SECRET), 400, BAD, "not form-urlencoded"),
            (
                ask().swap("client_secret=", "client_secre="),
                400,
                BAD,
                "`client_secre` is not allowed",
            ),
            (
                ask().swap(&format!("&client_secret={secret}"), ""),
                401,
                WHO,
                "`client_secret` is missing",
            ),
        ],
    )
    .await;
    let no_audience = ask().body(ask().body.split("&audience").next().unwrap());
    refused(System::Sitecore, vec![(no_audience, 400, BAD, "`audience` is missing")]).await;
}

#[tokio::test]
async fn mediahound_refuses() {
    let ask = || right(System::Mediahound);
    let (id, secret) = (mediahound::CLIENT_ID, mediahound::CLIENT_SECRET);
    refused(
        System::Mediahound,
        vec![
            (ask().without("accept"), 400, BAD, "the header accept is not"),
            (ask().set("accept", "*/*"), 400, BAD, "the header accept is not"),
            (ask().without("authorization"), 401, WHO, "Authorization header is missing"),
            (ask().set("authorization", "Bearer x"), 401, WHO, "not of the scheme Basic"),
            (ask().set("authorization", "Basic %%%"), 401, WHO, "not base64"),
            (ask().set("authorization", "Basic eA=="), 401, WHO, "no colon"),
            (
                ask().and("authorization", basic(id, secret)),
                400,
                BAD,
                "authorization is there twice",
            ),
            (
                ask().set("authorization", basic(&encode(id), &encode(secret))),
                401,
                WHO,
                "looks form-urlencoded",
            ),
            (ask().set("authorization", basic(id, "other")), 401, WHO, "different credentials"),
            (ask().swap("client_id=", "client="), 400, BAD, "`client` is not allowed"),
            (ask().body("grant_type=client_credentials"), 401, WHO, "`client_id` is missing"),
            (
                ask().swap("grant_type=", "audience=a&grant_type="),
                400,
                BAD,
                "`audience` is not allowed",
            ),
            (ask().set("content-type", JSON), 400, BAD, "application/json is not read here"),
        ],
    )
    .await;
}

#[tokio::test]
async fn optimizely_refuses() {
    let json = || right(System::Optimizely);
    let (id, secret) = (optimizely::CLIENT_ID, optimizely::CLIENT_SECRET);
    refused(
        System::Optimizely,
        vec![
            (
                json().and("authorization", basic(id, secret)),
                400,
                BAD,
                "not allowed with this body",
            ),
            (json().swap("{", r#"{"act_as":"","#), 400, BAD, "`act_as` is empty"),
            (json().swap("{", r#"{"act_as":null,"#), 400, BAD, "`act_as` is not a string"),
            (json().swap("{", r#"{"act_as":1,"#), 400, BAD, "`act_as` is not a string"),
            (json().swap("{", r#"{"scope":"a","#), 400, BAD, "`scope` is not allowed"),
            (json().swap("{", r#"{"grant_type":"client_credentials","#), 400, BAD, "there twice"),
            (
                json().swap("client_credentials", "password"),
                400,
                "unsupported_grant_type",
                "grant_type",
            ),
            (json().swap(id, "somebody"), 401, WHO, "no client"),
            (json().swap(secret, &encode(secret)), 401, WHO, "the secret is wrong"),
            (json().swap("{", "[{"), 400, BAD, "not one JSON object"),
            (json().body("grant_type=client_credentials"), 400, BAD, "not one JSON object"),
            (optimizely_form().without("authorization"), 401, WHO, "header is missing"),
            (
                optimizely_form().swap("grant", "client_id=a&grant"),
                400,
                BAD,
                "authenticates in the Authorization header",
            ),
            (
                optimizely_form().swap("credentials", "credentials&act_as="),
                400,
                BAD,
                "`act_as` is empty",
            ),
            (
                optimizely_form().set("authorization", basic(id, &encode(secret))),
                401,
                WHO,
                "wants `id:secret` bare",
            ),
            (optimizely_form().body(json().body), 400, BAD, "form"),
        ],
    )
    .await;
}

#[tokio::test]
async fn oracle_refuses() {
    let ask = || right(System::Oracle);
    let secret = oracle::CHANNEL_SECRET;
    let elsewhere = Ask { path: ask().path.replace(oracle::CHANNEL_ID, "OTHER"), ..ask() };
    refused(
        System::Oracle,
        vec![
            (elsewhere, 403, WHO, "no client has this identifier"),
            (ask().without("x-requested-with"), 400, BAD, "x-requested-with is not"),
            (ask().set("x-requested-with", "xmlhttprequest"), 400, BAD, "x-requested-with is not"),
            (ask().and("authorization", "Bearer x"), 400, BAD, "not allowed"),
            (ask().swap("{", r#"{"client_id":"a","#), 400, BAD, "`client_id` is not allowed"),
            (
                ask().swap("{", r#"{"grant_type":"client_credentials","#),
                400,
                BAD,
                "`grant_type` is not allowed",
            ),
            (
                ask().swap("channelSecret", "channel_secret"),
                400,
                BAD,
                "`channel_secret` is not allowed",
            ),
            (ask().body("{}"), 400, BAD, "`channelSecret` is missing"),
            (ask().swap(secret, &secret.replace('+', " ")), 403, WHO, "the secret is wrong"),
            (ask().swap(secret, &encode(secret)), 403, WHO, "the secret is wrong"),
            (ask().swap(secret, &format!(r"{secret}\n")), 403, WHO, "ends in white space"),
            (ask().set("content-type", FORM), 400, BAD, "is not read here"),
        ],
    )
    .await;
    let sim = start().await;
    let body = ask().body("{}").send(&sim).await.json();
    assert_eq!((&body["status"], &body["title"]), (&json!("400"), &json!("Bad Request")));
    assert!(body["detail"].as_str().unwrap().contains("channelSecret") && body["type"].is_string());
}

#[tokio::test]
async fn oauth2_refuses() {
    let (id, secret) = (oauth2::CLIENT_ID, oauth2::CLIENT_SECRET);
    let header = oauth2_basic;
    let body = || right(System::Oauth2);
    let scoped =
        |scope: &str| header().body(format!("grant_type=client_credentials&scope={scope}"));
    refused(
        System::Oauth2,
        vec![
            (header().body(body().body), 400, BAD, "authenticates in the Authorization header"),
            (header().without("authorization"), 401, WHO, "`client_id` is missing"),
            (header().set("authorization", basic(id, secret)), 401, WHO, "RFC 6749 §2.3.1"),
            (
                header().set("authorization", basic(&encode(id), "wrong")),
                401,
                WHO,
                "the secret is wrong",
            ),
            (header().set("authorization", basic("nobody", "x")), 401, WHO, "no client"),
            (header().set("authorization", "Digest x"), 401, WHO, "not of the scheme Basic"),
            (
                header().body("grant_type=authorization_code"),
                400,
                "unsupported_grant_type",
                "grant_type",
            ),
            (header().body("scope=a"), 400, BAD, "`grant_type` is missing"),
            (
                header().body("grant_type=client_credentials&act_as=a"),
                400,
                BAD,
                "`act_as` is not allowed",
            ),
            (scoped("a++b"), 400, "invalid_scope", "one space between"),
            (scoped("%22"), 400, "invalid_scope", "one space between"),
            (scoped(""), 400, BAD, "`scope` is empty"),
            (
                body().swap("client_id=", "client_secret=x&client_id="),
                400,
                BAD,
                "`client_secret` is there twice",
            ),
            (body().set("content-type", JSON), 400, BAD, "is not read here"),
        ],
    )
    .await;
}

#[tokio::test]
async fn credentials_can_be_several_and_can_be_rotated() {
    let sim = start().await;
    let with =
        |secret: &str| right(System::Oauth2).swap(&encode(oauth2::CLIENT_SECRET), &encode(secret));
    sim.set_clients(
        System::Oauth2,
        vec![Client::default_of(System::Oauth2), Client::new(oauth2::CLIENT_ID, "new+1")],
    );
    assert_eq!(right(System::Oauth2).send(&sim).await.status, 200);
    assert_eq!(with("new+1").send(&sim).await.status, 200);
    sim.set_clients(System::Oauth2, vec![Client::new(oauth2::CLIENT_ID, "new+1")]);
    assert_eq!(right(System::Oauth2).send(&sim).await.status, 401);
    assert_eq!(with("new+1").send(&sim).await.status, 200);
    sim.set_clients(System::Oauth2, Vec::new());
    assert_eq!(with("new+1").send(&sim).await.status, 401);
}

#[tokio::test]
async fn an_unknown_path_is_refused_and_logged() {
    let sim = start().await;
    let got = Ask { path: "/oauth2/tokens".into(), ..right(System::Oauth2) }.send(&sim).await;
    assert_eq!(got.status, 404);
    let entry = sim.requests().pop().unwrap();
    assert_eq!((entry.system, entry.path.as_str()), (None, "/oauth2/tokens"));
    assert!(entry.refusal.unwrap().contains("no system answers"));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_logged() {
    let sim = start().await;
    let bytes = right(System::Oauth2).body("x".repeat(2 * 1024 * 1024)).bytes();
    let mut stream = TcpStream::connect(sim.addr()).await.unwrap();
    // The simulator closes on unread bytes, so writing may fail and the answer may be lost; the
    // log is what counts.
    let _ = stream.write_all(&bytes).await;
    let entries = sim.wait_for(1, System::Oauth2, LONG).await.unwrap();
    assert_eq!(entries[0].status, Some(413));
}
