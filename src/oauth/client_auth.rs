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
    let mut add = |key: &str| -> Result<(), Error> {
        parameters.insert(key.to_owned(), credentials.get(key)?.expose_secret().into());
        Ok(())
    };
    for method in &endpoint.client_authentication {
        match method {
            ClientAuthentication::ClientSecretPost => {
                add("client_id")?;
                add("client_secret")?;
            }
            // RFC 6749 section 3.2.1: a public client says who it is.
            ClientAuthentication::None if endpoint.grant != Grant::None => add("client_id")?,
            ClientAuthentication::None | ClientAuthentication::ClientSecretBasic => {}
        }
    }
    Ok(())
}

fn form(value: &SecretString) -> String {
    byte_serialize(value.expose_secret().as_bytes()).collect()
}
