//! Tokens that look like JWTs: `t` and the token, or `c` and its claims.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokenward::error::Reason;
use tokenward::oauth::{Asking, Endpoint, Issued, Supplies};

use super::shared;

const ISSUER: &str = "https://id.example/realm";
const AUDIENCE: &str = "api";

static ENDPOINT: LazyLock<Endpoint> = LazyLock::new(|| {
    shared::endpoint(
        "{request: {url: 'https://id.example'}, variables: {iss: 'https://id.example/realm'}, \
         response: {expiry: {kind: jwt, default: 5m}, expect: {tokenType: Bearer, \
         issuer: '{{ iss }}', audience: '{{ parameters.aud }}'}}}",
    )
});

fn read(token: &str) -> Option<Issued> {
    let body = json!({"access_token": token, "token_type": "bearer"});
    let asking = Asking {
        parameters: [("aud".to_owned(), AUDIENCE.to_owned())].into(),
        ..Asking::default()
    };
    let text = format!("200\ndate: Sat, 21 Nov 2026 20:24:00 GMT\n\n{body}");
    match ENDPOINT.read(&shared::answer(text.as_bytes()), &asking, &Supplies::default()) {
        Ok(issued) => Some(issued),
        Err(error) => {
            assert_eq!(error.reason(), Reason::InvalidResponse);
            shared::assert_ours(error.message(), (200, "/access_token"));
            None
        }
    }
}

/// Reads a token.
pub fn run(data: &[u8]) {
    let (kind, rest) = data.split_first().unwrap_or((&b't', b""));
    match kind {
        b'c' => claims(rest),
        _ => {
            if let Some(issued) = read(&String::from_utf8_lossy(rest)) {
                shared::assert_good(&issued);
            }
        }
    }
}

fn claims(claims: &[u8]) {
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
    let parsed: Option<Value> = serde_json::from_slice(claims).ok();
    let Some(issued) = read(&token) else {
        // Only a time that has passed makes it no token.
        let exp = parsed.as_ref().and_then(|claims| claims.get("exp")).cloned();
        let text = exp.as_ref().and_then(Value::as_str).map(str::trim).map(str::to_owned);
        let seconds = exp.and_then(|exp| exp.as_f64()).or_else(|| text?.parse().ok());
        let seconds = seconds.unwrap_or_else(|| panic!("{parsed:?} has no expiry"));
        assert!(seconds <= 1_795_292_642.0, "{seconds}");
        return;
    };
    shared::assert_good(&issued);
    let warns = |of: &str| issued.warnings.iter().any(|warning| warning.contains(of));
    let Some(parsed) = parsed else {
        assert!(issued.warnings.is_empty(), "{:?}", issued.warnings);
        return;
    };
    assert_eq!(warns("(iss)"), parsed.get("iss") != Some(&json!(ISSUER)), "{parsed}");
    let audience = parsed.get("aud");
    let meant = match audience.and_then(Value::as_array) {
        Some(several) => several.contains(&json!(AUDIENCE)),
        None => audience == Some(&json!(AUDIENCE)),
    };
    assert_eq!(warns("(aud)"), !meant, "{parsed}");
    assert!(issued.warnings.len() <= 2, "{:?}", issued.warnings);
}
