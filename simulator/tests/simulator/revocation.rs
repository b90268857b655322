//! The revocation endpoint, and what is known of a token afterwards.

use provider_simulator::systems::oauth2::{CLIENT_ID, REFRESH_TOKEN};
use provider_simulator::{
    Authentication, Behaviour, Client, Endpoint, Fault, KeyKind, KeyPair, Outcome, Policy,
    Recorded, Simulator, Standing, System,
};
use serde_json::json;

use crate::client::{Ask, Got, LONG, encode, form, oauth2_basic, right};
use crate::oauth::{admitting, claims};

fn revoke(token: &str) -> Ask {
    let pairs = [("token", token), ("token_type_hint", "access_token")];
    Ask { path: "/oauth2/revoke".into(), ..oauth2_basic() }.body(form(&pairs))
}

async fn logged(sim: &Simulator, ask: &Ask) -> (Got, Recorded) {
    let got = ask.send(sim).await;
    (got, sim.requests_beside(Endpoint::Revocation).pop().unwrap())
}

async fn introspect(sim: &Simulator, token: &str) -> serde_json::Value {
    Ask::new("POST", "/_simulator/introspect").body(token).send(sim).await.json()
}

#[tokio::test]
async fn a_revoked_token_is_known_by_its_serial() {
    let sim = admitting(Policy::default()).await;
    let token = right(System::Oauth2).send(&sim).await.token();
    let record = sim.introspect(&token).unwrap();
    let known = introspect(&sim, &token).await;
    assert_eq!((&known["active"], &known["standing"]), (&json!(true), &json!("active")));

    let (got, entry) = logged(&sim, &revoke(&token)).await;
    assert_eq!((got.status, got.body.len()), (200, 0));
    assert_eq!((entry.outcome, entry.judged.revoked), (Outcome::Revoked, Some(record.serial)));
    assert_eq!(entry.judged.authentication, Some(Authentication::ClientSecretBasic));
    assert_eq!(entry.system, None);
    assert_eq!(sim.requests_of(System::Oauth2).len(), 1);

    let revoked = sim.introspect(&token).unwrap();
    assert_eq!(revoked.standing_at(sim.now()), Standing::Revoked);
    assert!(record.active_at(revoked.revoked_at.unwrap()) && !sim.is_active(&token));
    let known = introspect(&sim, &token).await;
    assert_eq!((&known["active"], &known["standing"]), (&json!(false), &json!("revoked")));
    assert_eq!((&known["client_id"], &known["serial"]), (&json!(CLIENT_ID), &json!(record.serial)));

    let all = sim.revocations();
    assert_eq!((all.len(), all[0].serial, all[0].refresh_token), (1, record.serial, false));
    assert_eq!(Some(all[0].time), revoked.revoked_at);
    let listed = Ask::new("GET", "/_simulator/revocations").send(&sim).await;
    assert_eq!(listed.json()[0]["serial"], record.serial);
    assert!(!listed.text().contains(&token));
    // A second time is no error, and no second revocation.
    assert_eq!(revoke(&token).send(&sim).await.status, 200);
    assert_eq!(sim.revocations().len(), 1);
}

#[tokio::test]
async fn a_token_that_was_never_given_out_is_no_error() {
    let sim = admitting(Policy::default()).await;
    let (got, entry) = logged(&sim, &revoke("made-up")).await;
    assert_eq!((got.status, entry.outcome, entry.judged.revoked), (200, Outcome::Revoked, None));
    assert!(sim.revocations().is_empty());
}

#[tokio::test]
async fn with_a_refresh_token_goes_what_came_of_it() {
    let sim = admitting(Policy::default()).await;
    let body = form(&[("grant_type", "refresh_token"), ("refresh_token", REFRESH_TOKEN)]);
    let got = oauth2_basic().body(body).send(&sim).await;
    let successor = got.json()["refresh_token"].as_str().unwrap().to_owned();
    let (_, entry) = logged(&sim, &revoke(&successor)).await;
    assert_eq!(entry.judged.revoked, sim.refresh_tokens().last().map(|token| token.serial));
    assert!(sim.refresh_tokens().iter().all(|token| token.revoked_at.is_some()));
    assert!(!sim.is_active(&got.token()));
    let kinds: Vec<_> = sim.revocations().iter().map(|one| one.refresh_token).collect();
    assert_eq!(kinds.iter().filter(|refresh| **refresh).count(), 2);
    assert_eq!(kinds.len(), 3);
    let body = form(&[("grant_type", "refresh_token"), ("refresh_token", &successor)]);
    assert_eq!(oauth2_basic().body(body).send(&sim).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_wrong_revocation_is_refused_and_revokes_nothing() {
    let sim = admitting(Policy::default()).await;
    sim.add_client(System::Oauth2, Client::new("other", "other"));
    let token = right(System::Oauth2).send(&sim).await.token();
    let other = format!("{}&client_id=other&client_secret=other", revoke(&token).body);
    let cases = [
        (revoke(&token).without("authorization"), 401, "invalid_client", "`client_id` is missing"),
        (
            revoke(&token).without("authorization").body(other),
            400,
            "invalid_grant",
            "belongs to another client",
        ),
        (
            revoke(&token).set("authorization", "Basic eDp5"),
            401,
            "invalid_client",
            "no client has this identifier",
        ),
        (revoke(&token).swap("token=", "tokens="), 400, "invalid_request", "`tokens` is not"),
        (revoke(""), 400, "invalid_request", "`token` is empty"),
        (
            revoke(&token).swap("token=", "grant_type=a&token="),
            400,
            "invalid_request",
            "`grant_type` is not allowed",
        ),
        (Ask { method: "GET", ..revoke(&token) }, 405, "invalid_request", "the method is GET"),
    ];
    for (ask, status, error, reason) in cases {
        let (got, entry) = logged(&sim, &ask).await;
        assert_eq!((got.status, &got.json()["error"]), (status, &json!(error)), "{reason}");
        assert!(entry.refusal.unwrap().contains(reason), "{reason}");
        assert_eq!((entry.outcome, entry.judged.revoked), (Outcome::Refused, None), "{reason}");
    }
    assert!(sim.is_active(&token) && sim.revocations().is_empty());
}

#[tokio::test]
async fn the_client_may_authenticate_as_for_a_token() {
    let pair = KeyPair::generate(KeyKind::P256).unwrap();
    let sim = admitting(Policy::default().with_keys("signer", pair.keys())).await;
    let asserted = |token: &str| {
        let said = claims("signer", "http://sim/oauth2/revoke");
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let assertion = pair.sign(&said, None).unwrap();
        revoke(token).without("authorization").body(form(&[
            ("token", token),
            ("client_assertion_type", kind),
            ("client_assertion", &assertion),
        ]))
    };
    let (one, _) = sim.give("signer", 60).unwrap();
    let (two, _) = sim.give("signer", 60).unwrap();
    let (got, entry) = logged(&sim, &asserted(&one)).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(entry.judged.authentication, Some(Authentication::PrivateKeyJwt));
    let itself = revoke(&two).set("authorization", format!("Bearer {two}"));
    assert_eq!(itself.send(&sim).await.status, 200);
    assert!(!sim.is_active(&one) && !sim.is_active(&two));
}

#[tokio::test]
async fn a_revocation_can_fail_and_hang_while_tokens_are_given() {
    let sim = admitting(Policy::default()).await;
    let token = right(System::Oauth2).send(&sim).await.token();
    sim.set_beside(Endpoint::Revocation, Behaviour::failing(Fault::error(503, "busy")).for_next(1));
    let (got, entry) = logged(&sim, &revoke(&token)).await;
    assert_eq!((got.status, entry.outcome), (503, Outcome::Fault("status".into())));
    assert!(sim.is_active(&token));

    let fault = r#"{"faults": [{"fault": "hang"}], "times": 1}"#;
    let put = Ask::new("PUT", "/_simulator/behaviour/revocation").body(fault);
    assert_eq!(put.send(&sim).await.status, 204);
    let stream = revoke(&token).open(&sim).await;
    let entries = sim.wait_beside(2, Endpoint::Revocation, LONG).await.unwrap();
    assert_eq!((entries[1].status, entries[1].judged.revoked), (None, None));
    drop(stream);
    assert_eq!(right(System::Oauth2).send(&sim).await.status, 200);
    let get = Ask::new("GET", "/_simulator/behaviour/revocation").send(&sim).await.json();
    assert_eq!(get["times"], 0);
    assert_eq!(revoke(&token).send(&sim).await.status, 200);
    assert!(!sim.is_active(&token));
}

#[tokio::test]
async fn tokens_can_be_given_listed_and_revoked_over_http() {
    let sim = admitting(Policy::default()).await;
    let wanted = r#"{"clientId": "renewing", "lifetime": 60}"#;
    let given = Ask::new("POST", "/_simulator/tokens").body(wanted).send(&sim).await.json();
    let token = given["token"].as_str().unwrap();
    assert!(sim.is_active(token));
    let listed = Ask::new("GET", "/_simulator/tokens").send(&sim).await;
    assert_eq!(listed.json()[0]["clientId"], "renewing");
    assert!(!listed.text().contains(token));
    let delete =
        |serial: &str| Ask::new("DELETE", &format!("/_simulator/tokens/{}", encode(serial)));
    assert_eq!(delete(&given["serial"].to_string()).send(&sim).await.status, 204);
    assert!(!sim.is_active(token));
    assert_eq!(delete("99").send(&sim).await.status, 404);
    assert_eq!(delete("x").send(&sim).await.status, 404);
}
