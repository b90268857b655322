//! Words for what a person reads.

use std::fmt::Write;

use chrono::TimeDelta;

use crate::api::ClientAuthentication;
use crate::error::{Class, Error, Reason};

/// How a client proves who it is.
pub(super) fn authentication(method: ClientAuthentication) -> &'static str {
    match method {
        ClientAuthentication::None => "not at all (none)",
        ClientAuthentication::ClientSecretBasic => {
            "with its secret, in the Authorization header (client_secret_basic)"
        }
        ClientAuthentication::ClientSecretPost => {
            "with its secret, among the parameters (client_secret_post)"
        }
        ClientAuthentication::ClientSecretJwt => {
            "with a JWT that its secret signed (client_secret_jwt)"
        }
        ClientAuthentication::PrivateKeyJwt => {
            "with a JWT that its private key signed (private_key_jwt)"
        }
        ClientAuthentication::TlsClientAuth => "with a certificate of a CA (tls_client_auth)",
        ClientAuthentication::SelfSignedTlsClientAuth => {
            "with a certificate that the provider was told of (self_signed_tls_client_auth)"
        }
        ClientAuthentication::Bearer => "with a bearer token (bearer)",
        ClientAuthentication::FederatedJwt => "with the token of a ServiceAccount (federated_jwt)",
    }
}

/// What tokenward would do about an error.
pub(super) fn class(error: &Error) -> String {
    match (error.class(), error.retry_after()) {
        (Class::Permanent, _) if is_of_inputs(error.reason()) => {
            "permanent: tokenward would show Stalled and wait for a person; it asks when an input \
             changes"
                .to_owned()
        }
        (Class::Permanent, _) => "permanent: tokenward would show Stalled and wait for a person; it \
                                  asks again after 1, 2, 4 … 60 min, and at once when an input changes"
            .to_owned(),
        (Class::Transient, None) => {
            "transient: tokenward would try again, after 5 s at first and 5 min at most".to_owned()
        }
        (Class::Transient | Class::Throttled, Some(wait)) => format!(
            "the provider wants silence: tokenward would try again after {}",
            TimeDelta::from_std(wait).map_or_else(|_| "a while".to_owned(), span)
        ),
        (Class::Throttled, None) => {
            "the provider wants silence: tokenward would try again later".to_owned()
        }
        (Class::Ambiguous, _) => "unclear: the request may have had its effect although nobody \
                                  saw the answer; tokenward would try again with what it has"
            .to_owned(),
        (Class::Waiting, _) => {
            "waiting: tokenward would go on as soon as what is missing is there".to_owned()
        }
    }
}

/// Whether nothing is asked before an input changes.
fn is_of_inputs(reason: Reason) -> bool {
    matches!(reason, Reason::InvalidCredentials | Reason::InvalidProvider | Reason::InvalidSpec)
}

/// A time as people say it: `1h5m`, `2m20s`, `36500d`.
pub(super) fn span(time: TimeDelta) -> String {
    let total = time.num_seconds();
    let parts = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let mut left = total;
    let mut text = String::new();
    for (seconds, unit) in parts {
        let count = left / seconds;
        left %= seconds;
        if count > 0 {
            // Nothing can fail in a String.
            let _ = write!(text, "{count}{unit}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0s")]
    #[case(140, "2m20s")]
    #[case(3600, "1h")]
    #[case(90_061, "1d1h1m1s")]
    fn times_are_told_as_people_do(#[case] seconds: i64, #[case] words: &str) {
        assert_eq!(span(TimeDelta::seconds(seconds)), words);
    }
}
