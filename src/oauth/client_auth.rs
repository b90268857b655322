//! Client authentication (RFC 6749 section 2.3): what it adds to a request.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use super::credentials::Credentials;
use super::endpoint::Endpoint;
use crate::api::{BasicEncoding, ClientAuthentication, Grant};
use crate::error::{Error, Reason};

/// What a client that has a secret is known by.
const PAIR: &[&str] = &["client_id", "client_secret"];

/// The Basic header, where the document wants one.
pub(super) fn basic(
    endpoint: &Endpoint,
    credentials: &Credentials,
) -> Result<Option<HeaderValue>, Error> {
    if !endpoint.client_authentication.contains(&ClientAuthentication::ClientSecretBasic) {
        return Ok(None);
    }
    let (id, secret) = (credentials.get("client_id")?, credentials.get("client_secret")?);
    let pair = match endpoint.basic_encoding {
        BasicEncoding::Form => format!("{}:{}", form(id), form(secret)),
        // RFC 7617 section 2: the id would end at its first colon.
        BasicEncoding::Raw if id.expose_secret().contains(':') => {
            let message = format!(
                "Secret {}: client_id holds a colon, which basicEncoding raw cannot carry",
                credentials.source()
            );
            return Err(Error::new(Reason::InvalidCredentials, message));
        }
        BasicEncoding::Raw => format!("{}:{}", id.expose_secret(), secret.expose_secret()),
    };
    let value = format!("Basic {}", STANDARD.encode(pair));
    // Base64 is always a fit value.
    Ok(HeaderValue::from_str(&value).ok().map(|mut header| {
        header.set_sensitive(true);
        header
    }))
}

/// The parameters that authenticate the client.
pub(super) fn parameters(
    endpoint: &Endpoint,
    credentials: &Credentials,
    parameters: &mut BTreeMap<String, Value>,
) -> Result<(), Error> {
    for key in posted(endpoint) {
        parameters.insert(key.to_owned(), credentials.get(key)?.expose_secret().into());
    }
    Ok(())
}

/// The keys of the credentials Secret that client authentication takes from it.
pub(super) fn keys(endpoint: &Endpoint) -> impl Iterator<Item = &'static str> {
    let basic = endpoint.client_authentication.contains(&ClientAuthentication::ClientSecretBasic);
    basic.then_some(PAIR).into_iter().flatten().copied().chain(posted(endpoint))
}

/// The parameters that it adds, which have the names of their keys. What the document spells out
/// itself is not added.
pub(super) fn posted(endpoint: &Endpoint) -> impl Iterator<Item = &'static str> {
    let keys = |method: &ClientAuthentication| match method {
        ClientAuthentication::ClientSecretPost => PAIR,
        // RFC 6749 section 3.2.1: a public client says who it is.
        ClientAuthentication::None if endpoint.grant != Grant::None => &["client_id"],
        ClientAuthentication::None | ClientAuthentication::ClientSecretBasic => &[],
    };
    let keys = endpoint.client_authentication.iter().flat_map(keys).copied();
    keys.filter(|key| !endpoint.parameters.contains_key(*key))
}

fn form(value: &SecretString) -> String {
    byte_serialize(value.expose_secret().as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::oauth::testing::{HARD, credentials, endpoint};

    fn header(encoding: &str, id: &str, secret: &str) -> Result<String, Error> {
        let endpoint = endpoint(&format!(
            "{{request: {{url: 'https://id.example'}}, basicEncoding: {encoding}}}"
        ));
        let credentials = credentials(&[("client_id", id), ("client_secret", secret)]);
        let header = basic(&endpoint, &credentials)?.unwrap();
        assert!(header.is_sensitive());
        let pair = STANDARD.decode(header.to_str().unwrap().strip_prefix("Basic ").unwrap());
        Ok(String::from_utf8(pair.unwrap()).unwrap())
    }

    // RFC 6749 section 2.3.1 and appendix B.
    #[rstest]
    #[case::form("form", " %&+£€", "x", "+%25%26%2B%C2%A3%E2%82%AC:x")]
    #[case::form_colon("form", "a:b", "c:d", "a%3Ab:c%3Ad")]
    #[case::raw("raw", "a b", "c:d%&+/=\"\\é", "a b:c:d%&+/=\"\\é")]
    fn the_pair_is_encoded_as_asked(
        #[case] encoding: &str,
        #[case] id: &str,
        #[case] secret: &str,
        #[case] pair: &str,
    ) {
        assert_eq!(header(encoding, id, secret).unwrap(), pair);
    }

    #[test]
    fn a_colon_in_a_raw_id_is_refused_without_showing_it() {
        let error = header("raw", "a:bcdefgh", HARD).unwrap_err();
        assert_eq!(error.reason(), Reason::InvalidCredentials);
        assert!(error.message().contains("client_id holds a colon"), "{error}");
        assert!(!error.message().contains("bcdefgh"), "{error}");
    }
}
