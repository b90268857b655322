//! What the tests of the system `oauth2` share.

use std::sync::atomic::{AtomicU64, Ordering};

use provider_simulator::{Options, Outcome, Policy, Recorded, Simulator, System};
use serde_json::{Value, json};

use crate::client::{Ask, Got};

/// The token endpoint as [`Ask`](crate::client::Ask) names it in `Host`.
pub(crate) const AUDIENCE: &str = "http://sim/oauth2/token";

/// What a client says of itself for a minute, with a fresh `jti`.
pub(crate) fn claims(client_id: &str, audience: &str) -> Value {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = chrono::Utc::now().timestamp();
    json!({
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": now,
        "exp": now + 60,
        "jti": format!("jti-{}", COUNT.fetch_add(1, Ordering::Relaxed)),
    })
}

pub(crate) async fn admitting(policy: Policy) -> Simulator {
    Simulator::start(Options::default().admitting(policy)).await.unwrap()
}

/// Sends it, and gives the answer and what the log says.
pub(crate) async fn logged(sim: &Simulator, ask: &Ask) -> (Got, Recorded) {
    let got = ask.send(sim).await;
    (got, sim.requests_of(System::Oauth2).pop().unwrap())
}

pub(crate) async fn refused(sim: &Simulator, ask: &Ask, error: &str, reason: &str) -> Recorded {
    let (got, entry) = logged(sim, ask).await;
    let label = format!("{}: {}", ask.body, got.text());
    let status = if error == "invalid_client" { 401 } else { 400 };
    assert_eq!((got.status, &got.json()["error"]), (status, &json!(error)), "{label}");
    assert!(entry.refusal.as_ref().unwrap().contains(reason), "{label}, not {reason}");
    assert_eq!((&entry.outcome, entry.judged.issued), (&Outcome::Refused, None), "{label}");
    entry
}
