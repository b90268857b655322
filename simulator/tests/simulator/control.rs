//! The control API, the waiting calls, TLS.

use std::time::Duration;

use provider_simulator::{Behaviour, Fault, Options, Recorded, Simulator, StartError, System};
use serde_json::json;

use crate::client::{Ask, LONG, right};

async fn start() -> Simulator {
    Simulator::start(Options::default()).await.unwrap()
}

fn get(path: &str) -> Ask {
    Ask::new("GET", path)
}

#[tokio::test]
async fn the_log_over_http_says_what_the_library_says() {
    let sim = start().await;
    right(System::Oracle).and("x-mark", "a").send(&sim).await;
    right(System::Oauth2).without("content-type").send(&sim).await;

    let got = get("/_simulator/requests").send(&sim).await;
    let entries: Vec<Recorded> = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(entries.len(), 2);
    let first = &got.json()[0];
    assert_eq!(
        (&first["seq"], &first["system"], &first["outcome"]),
        (&json!(1), &json!("oracle"), &json!("issued"))
    );
    assert!(
        first["time"].as_str().unwrap().ends_with('Z')
            && first["time"].as_str().unwrap().len() == 24
    );
    assert_eq!(entries[0].header("x-mark"), Some("a"));
    assert_eq!(entries[0].body, right(System::Oracle).body);
    assert_eq!(entries[1].refusal.as_deref(), Some("Content-Type is missing"));

    let got = get("/_simulator/requests?system=oauth2").send(&sim).await;
    assert_eq!(got.json().as_array().unwrap().len(), 1);
    let got = get("/_simulator/requests?after=1").send(&sim).await;
    assert_eq!((got.json().as_array().unwrap().len(), &got.json()[0]["seq"]), (1, &json!(2)));
    assert_eq!(get("/_simulator/requests?after=x").send(&sim).await.status, 400);
    assert_eq!(Ask::new("DELETE", "/_simulator/requests").send(&sim).await.status, 204);
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn behaviour_and_credentials_can_be_put() {
    let sim = start().await;
    let put = |path: &str, body: &str| Ask::new("PUT", path).body(body);
    let faults = r#"{"lifetime": 5, "faults": [{"fault": "status", "status": 503}], "times": 1}"#;
    assert_eq!(put("/_simulator/behaviour/oauth2", faults).send(&sim).await.status, 204);
    assert_eq!(right(System::Oauth2).send(&sim).await.status, 503);
    assert_eq!(right(System::Oauth2).send(&sim).await.json()["expires_in"], 5);
    let got = get("/_simulator/behaviour/oauth2").send(&sim).await.json();
    assert_eq!((&got["lifetime"], &got["times"]), (&json!(5), &json!(0)));

    let clients = r#"[{"id": "a", "secret": "b"}]"#;
    assert_eq!(put("/_simulator/credentials/oauth2", clients).send(&sim).await.status, 204);
    assert_eq!(right(System::Oauth2).send(&sim).await.status, 401);

    for (path, body, status) in [
        ("/_simulator/behaviour/oauth3", "{}", 404),
        ("/_simulator/behaviour/oauth2", "{\"lifetme\": 1}", 400),
        ("/_simulator/credentials/oauth2", "{}", 400),
        ("/_simulator/requests", "", 404),
    ] {
        let got = put(path, body).send(&sim).await;
        assert_eq!(got.status, status, "{path}");
        assert!(got.json()["error"].is_string());
    }
}

#[tokio::test]
async fn tokens_can_be_introspected() {
    let sim = start().await;
    let token = right(System::Oauth2).send(&sim).await.token();
    let post = |body: String| Ask::new("POST", "/_simulator/introspect").body(body);
    for ask in [
        get(&format!("/_simulator/introspect?token={token}")),
        post(token.clone()),
        post(format!("token={token}")),
    ] {
        let got = ask.send(&sim).await.json();
        assert_eq!((&got["active"], &got["system"]), (&json!(true), &json!("oauth2")), "{got}");
        let record = sim.introspect(&token).unwrap();
        let exp = got["exp"].as_f64().unwrap();
        assert_eq!(format!("{exp:.3}"), record.expires_at.format("%s%.3f").to_string());
    }
    assert_eq!(post("made-up".into()).send(&sim).await.json(), json!({"active": false}));
    assert_eq!(get("/_simulator/introspect").send(&sim).await.status, 400);
    sim.set(System::Oauth2, Behaviour::living(0));
    let dead = right(System::Oauth2).send(&sim).await.token();
    assert_eq!(post(dead).send(&sim).await.json()["active"], false);
}

#[tokio::test]
async fn control_requests_stay_out_of_the_log() {
    let sim = start().await;
    assert_eq!(get("/_simulator/healthz").send(&sim).await.text(), "ok\n");
    get("/_simulator/requests").send(&sim).await;
    get("/_simulator/nothing").send(&sim).await;
    assert!(sim.requests().is_empty());
}

#[tokio::test]
async fn waiting_sees_what_came_before_and_what_comes_after() {
    let sim = start().await;
    let ask = right(System::Oauth2);
    ask.send(&sim).await;
    assert_eq!(sim.next_request(System::Oauth2, LONG).await.unwrap().seq, 1);
    let (next, all, _) = tokio::join!(
        sim.next_request(System::Oauth2, LONG),
        sim.wait_for(2, System::Oauth2, LONG),
        ask.send(&sim),
    );
    assert_eq!((next.unwrap().seq, all.unwrap().len()), (2, 2));
    let error = sim.next_request(System::Oauth2, Duration::from_millis(10)).await.unwrap_err();
    assert!(error.to_string().contains("oauth2"), "{error}");
    sim.clear();
    assert!(sim.wait_for(1, System::Oauth2, Duration::from_millis(10)).await.is_err());
    ask.send(&sim).await;
    assert_eq!(sim.next_request(System::Oauth2, LONG).await.unwrap().seq, 3);
}

#[tokio::test]
async fn tls_is_trusted_with_the_authority_and_not_without() {
    let sim = Simulator::start(Options::tls()).await.unwrap();
    let authority = reqwest::Certificate::from_pem(sim.ca_pem().unwrap().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    let ask = right(System::Oracle);
    for url in [
        sim.endpoint(System::Oracle),
        sim.endpoint(System::Oracle).replace("127.0.0.1", "localhost"),
    ] {
        assert!(url.starts_with("https://"));
        let mut request = client.post(url).body(ask.body.clone());
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        assert_eq!(request.send().await.unwrap().status(), 201);
    }
    sim.set(System::Oracle, Behaviour::failing(Fault::Drop));
    assert!(client.post(sim.endpoint(System::Oracle)).send().await.is_err());
    assert!(reqwest::get(sim.url("/_simulator/healthz")).await.is_err());
}

#[tokio::test]
async fn it_listens_on_loopback_only_and_frees_its_port() {
    let everywhere = Options { listen: "0.0.0.0:0".parse().unwrap(), ..Options::default() };
    assert!(matches!(Simulator::start(everywhere).await, Err(StartError::NotLoopback(_))));
    let sim = start().await;
    let listen = sim.addr();
    sim.stop().await;
    let again = Simulator::start(Options { listen, ..Options::default() }).await.unwrap();
    assert_eq!(right(System::Oauth2).send(&again).await.status, 200);
}
