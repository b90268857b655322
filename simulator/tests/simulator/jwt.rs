//! Claims for JWTs.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

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
