//! The metadata, right and wrong, and the policy over HTTP.

use provider_simulator::{
    Behaviour, Discovery, Documents, Endpoint, Fault, KeyKind, KeyPair, Outcome, Policy, Refresh,
    Rotation, Simulator, System, TrustedIssuer,
};
use serde_json::{Value, json};

use crate::client::{Ask, LONG, oauth2_basic, right};
use crate::oauth::{AUDIENCE, admitting, claims};

const OAUTH: &str = "/.well-known/oauth-authorization-server/oauth2";
const OPENID: &str = "/oauth2/.well-known/openid-configuration";

fn get(path: &str) -> Ask {
    Ask::new("GET", path)
}

async fn described(sim: &Simulator, discovery: Discovery) -> Value {
    sim.set_policy(Policy::default().describing(discovery));
    get(OAUTH).send(sim).await.json()
}

#[tokio::test]
async fn both_documents_describe_the_endpoints_that_are_there() {
    let sim = admitting(Policy::default()).await;
    for path in [OAUTH, OPENID] {
        let got = get(path).send(&sim).await;
        assert_eq!((got.status, got.header("content-type")), (200, Some("application/json")));
        let body = got.json();
        assert_eq!(body["issuer"], "http://sim/oauth2");
        assert_eq!(body["token_endpoint"], "http://sim/oauth2/token");
        assert_eq!(body["revocation_endpoint"], "http://sim/oauth2/revoke");
        assert!(body["grant_types_supported"].as_array().unwrap().contains(&json!("password")));
        let methods = body["token_endpoint_auth_methods_supported"].as_array().unwrap();
        assert!(methods.contains(&json!("private_key_jwt")), "{methods:?}");
    }
    let entries = sim.wait_beside(2, Endpoint::Discovery, LONG).await.unwrap();
    assert!(entries.iter().all(|entry| entry.outcome == Outcome::Described));
    assert!(sim.requests_of(System::Oauth2).is_empty());
    assert_eq!(sim.issuer(), format!("{}/oauth2", sim.url("")));
    let got = Ask::new("POST", OPENID).send(&sim).await;
    assert_eq!((got.status, got.header("allow")), (405, Some("GET")));
}

#[tokio::test]
async fn a_client_finds_the_endpoint_at_the_address_that_it_asked() {
    let sim = admitting(Policy::default()).await;
    let url = format!("{}/.well-known/openid-configuration", sim.issuer());
    let body: Value =
        serde_json::from_str(&reqwest::get(url).await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(body["issuer"], sim.issuer());
    assert_eq!(body["token_endpoint"], sim.endpoint(System::Oauth2));
}

#[tokio::test]
async fn documents_can_be_absent() {
    let sim = admitting(Policy::default()).await;
    for (documents, oauth, openid) in [
        (Documents::Both, 200, 200),
        (Documents::Oauth, 200, 404),
        (Documents::Openid, 404, 200),
        (Documents::Absent, 404, 404),
    ] {
        let discovery = Discovery { documents, ..Discovery::default() };
        sim.set_policy(Policy::default().describing(discovery));
        let statuses = [get(OAUTH).send(&sim).await.status, get(OPENID).send(&sim).await.status];
        assert_eq!(statuses, [oauth, openid], "{documents:?}");
    }
    assert_eq!(sim.requests_beside(Endpoint::Discovery).len(), 8);
}

#[tokio::test]
async fn the_issuer_and_the_methods_can_be_others() {
    let sim = admitting(Policy::default()).await;
    let wrong = Discovery { issuer: Some("https://evil.example".into()), ..Discovery::default() };
    assert_eq!(described(&sim, wrong).await["issuer"], "https://evil.example");
    let methods = Some(vec!["tls_client_auth".to_owned()]);
    let body = described(&sim, Discovery { auth_methods: methods, ..Discovery::default() }).await;
    assert_eq!(body["token_endpoint_auth_methods_supported"], json!(["tls_client_auth"]));
    let body = described(&sim, Discovery { auth_methods: None, ..Discovery::default() }).await;
    assert_eq!(body.get("token_endpoint_auth_methods_supported"), None);
    let realm = Discovery { issuer_path: "/realms/a".into(), ..Discovery::default() };
    sim.set_policy(Policy::default().describing(realm));
    assert_eq!(get(OPENID).send(&sim).await.status, 404);
    let body = get("/realms/a/.well-known/openid-configuration").send(&sim).await.json();
    assert_eq!(body["issuer"], "http://sim/realms/a");
}

#[tokio::test]
async fn a_token_endpoint_that_moved_is_at_its_new_place_only() {
    let sim = admitting(Policy::default()).await;
    let moved = Discovery { token_path: "/oauth2/v2/token".into(), ..Discovery::default() };
    let body = described(&sim, moved).await;
    assert_eq!(body["token_endpoint"], "http://sim/oauth2/v2/token");
    assert_eq!(right(System::Oauth2).send(&sim).await.status, 404);
    let there = Ask { path: "/oauth2/v2/token".into(), ..oauth2_basic() };
    assert_eq!(there.send(&sim).await.status, 200);
    assert_eq!(sim.requests_of(System::Oauth2).len(), 1);
    let elsewhere = Some("https://elsewhere.example/token".to_owned());
    let body =
        described(&sim, Discovery { token_endpoint: elsewhere, ..Discovery::default() }).await;
    assert_eq!(body["token_endpoint"], "https://elsewhere.example/token");
    assert_eq!(right(System::Oauth2).send(&sim).await.status, 200);
}

#[tokio::test]
async fn discovery_has_faults_of_its_own() {
    let sim = admitting(Policy::default()).await;
    sim.set_beside(Endpoint::Discovery, Behaviour::failing(Fault::Html).for_next(1));
    let got = get(OPENID).send(&sim).await;
    assert_eq!(got.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(sim.requests_beside(Endpoint::Discovery)[0].faults, ["html"]);
    assert_eq!(right(System::Oauth2).send(&sim).await.status, 200);
    assert_eq!(get(OPENID).send(&sim).await.json()["issuer"], "http://sim/oauth2");
}

#[tokio::test]
async fn the_policy_goes_over_http_as_it_is() {
    let pair = KeyPair::generate(KeyKind::P256).unwrap();
    let policy = Policy::default()
        .with_keys("signer", pair.keys())
        .refreshing(Refresh::rotating(Rotation::Never))
        .trusting(TrustedIssuer {
            issuer: "https://issuer.example".into(),
            audience: "tokens".into(),
            jwks: pair.jwks("k").unwrap(),
        });
    let sim = admitting(Policy::default()).await;
    let put = |body: String| Ask::new("PUT", "/_simulator/policy").body(body);
    assert_eq!(put(serde_json::to_string(&policy).unwrap()).send(&sim).await.status, 204);
    assert_eq!(sim.policy(), policy);
    let read: Policy =
        serde_json::from_slice(&get("/_simulator/policy").send(&sim).await.body).unwrap();
    assert_eq!(read, policy);

    let text = json!({
        "keys": {"signer": pair.keys()},
        "refresh": {"seeds": [], "rotation": {"eachUse": {"grace": 5, "onReuse": "revokeFamily"}}},
        "discovery": {"documents": "absent"},
    });
    assert_eq!(put(text.to_string()).send(&sim).await.status, 204);
    let signed = pair.sign(&claims("signer", AUDIENCE), None).unwrap();
    let bearer = Ask { headers: Vec::new(), ..oauth2_basic() }
        .and("authorization", format!("Bearer {signed}"))
        .and("content-type", crate::client::FORM)
        .body("");
    assert_eq!(bearer.send(&sim).await.status, 200);
    for body in ["{\"key\": {}}", "{\"refresh\": {\"rotation\": \"sometimes\"}}", ""] {
        assert_eq!(put(body.to_owned()).send(&sim).await.status, 400, "{body}");
    }
}
