//! What to do about each thing that can be wrong, in words.

use super::said::Topic;
use super::symptoms::Symptoms;
use crate::api::ClientAuthentication;

macro_rules! some {
    ($words:expr $(,)?) => {
        Some(String::from($words))
    };
}
pub(super) use some;

/// What to do about a topic, where it can be one.
pub(super) fn on(topic: Topic, it: &Symptoms) -> Option<String> {
    match topic {
        Topic::UnknownClient => some!(
            "the provider does not know this client id: compare it with the provider's console, \
             and mind the tenant or region in request.url",
        ),
        Topic::WrongSecret if it.sends_secret() || it.signs => Some(wrong_secret(it)),
        Topic::ExpiredSecret => some!("make a new client secret at the provider and store it"),
        Topic::Method => Some(method(it)),
        Topic::Clock if it.signs => some!(
            "what was signed here is out of date for the provider: compare the clocks, and \
             assertion.lifetime with what the provider allows",
        ),
        Topic::Audience if it.signs => Some(audience(it)),
        Topic::KeyId if it.signs => Some(key_id(it)),
        Topic::Signature if it.signs => Some(signature(it)),
        Topic::Subject if it.signs => some!(
            "set assertion.claims.iss and .sub to what the provider expects; it is the client id \
             by default",
        ),
        Topic::Scope => Some(scope(it)),
        Topic::Grant => grant(it),
        Topic::Parameter => some!(
            "compare request.parameters with the provider's documentation: one is missing, too \
             many or misspelt",
        ),
        Topic::Encoding => Some(encoding()),
        Topic::Throttled => some!("wait, and ask less often: see limits.minInterval"),
        _ => None,
    }
}

pub(super) fn wrong_secret(it: &Symptoms) -> String {
    match it.secrets {
        0 | 1 => String::from(
            "the client id or the secret is not (or no longer) the provider's: copy both once \
             more, or make a new secret there",
        ),
        several => format!(
            "none of the {several} secrets is the provider's (any more): make a new one there"
        ),
    }
}

pub(super) fn method(it: &Symptoms) -> String {
    use ClientAuthentication::{ClientSecretBasic, ClientSecretPost};
    let (other, how) = match (it.uses(ClientSecretBasic), it.uses(ClientSecretPost)) {
        (true, true) => return String::from("try one clientAuthentication alone, not both"),
        (true, false) => ("client_secret_post", "the credentials in the body"),
        (false, _) => ("client_secret_basic", "the credentials in the Authorization header"),
    };
    format!(
        "the client proves itself in a way that is not this provider's: clientAuthentication \
         {other} ({how}) is worth a look"
    )
}

fn audience(it: &Symptoms) -> String {
    let sent = it.audience.as_ref().map(|sent| format!(" (sent: {sent})"));
    format!(
        "set assertion.audience to what the provider expects{}: its token URL, its issuer or a \
         name of its own",
        sent.unwrap_or_default()
    )
}

fn key_id(it: &Symptoms) -> String {
    match it.key_id {
        true => String::from(
            "the provider has no key of this `kid`: set the credential key_id (assertion.keyID) to \
             the id that the provider shows for the key",
        ),
        false => String::from(
            "the assertion names no key: set assertion.keyID, or the credential key_id, to the id \
             that the provider shows for the key",
        ),
    }
}

pub(super) fn signature(it: &Symptoms) -> String {
    match it.uses(ClientAuthentication::ClientSecretJwt) {
        true => String::from(
            "the secret that signs is not the provider's, or assertion.algorithm is not",
        ),
        false => String::from(
            "the provider holds another public key than the one of this private key: upload the \
             public key (or certificate) of this pair, and check assertion.algorithm",
        ),
    }
}

pub(super) fn scope(it: &Symptoms) -> String {
    match it.scopes {
        true => String::from(
            "ask for scopes that this client was granted: compare spec.scopes with the provider's \
             console",
        ),
        false => String::from("name a scope in spec.scopes: this provider wants one"),
    }
}

pub(super) fn grant(it: &Symptoms) -> Option<String> {
    let name = serde_json::to_value(it.grant).ok()?;
    Some(format!(
        "let the client use the grant {} at the provider (client credentials are often called \
         \"service account\" or \"machine to machine\"), or set another grant",
        name.as_str()?
    ))
}

pub(super) fn encoding() -> String {
    String::from(
        "the body is not written as the provider reads it: check request.encoding (form or json)",
    )
}
