//! Reading the claims of a JWT (RFC 7519) whose signature is nobody's business here: the token
//! came from its issuer over TLS, and only its own expiry is read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The claims of a token, where it is a JWT.
pub(super) fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_read_without_a_look_at_the_signature() {
        // {"exp":1,"sub":"?>"} with and without padding; `-` and `_` of base64url.
        assert_eq!(claims("e30.eyJleHAiOjF9.x"), Some(json!({"exp": 1})));
        assert_eq!(claims("e30.eyJleHAiOjEwfQ==.x"), Some(json!({"exp": 10})));
        assert_eq!(claims("e30.eyJzIjoiw78_PiJ9."), Some(json!({"s": "ÿ?>"})));
    }

    #[rstest]
    #[case("")]
    #[case("opaque")]
    #[case("a.b")]
    #[case("..")]
    #[case("a.!!!.c")]
    #[case("a.bm90IGpzb24.c")]
    fn what_is_no_jwt_has_no_claims(#[case] token: &str) {
        assert_eq!(claims(token), None);
    }

    proptest! {
        #[test]
        fn no_token_panics(token in any::<String>()) {
            let _ = claims(&token);
        }
    }
}
