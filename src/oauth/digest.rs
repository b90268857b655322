//! Keyed digests of what a token is asked with.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretBox, SecretString};

use super::credentials::{CredentialValues, Credentials};
use super::endpoint::Endpoint;
use super::request::Asking;
use crate::error::Error;

/// Bytes of an HMAC key.
pub const KEY_LENGTH: usize = 32;

/// Makes digests (HMAC-SHA-256) with one key. A digest is written `KEYID.DIGEST`, so that one
/// made with an unknown key is recognised and computed again, never taken for a change.
pub struct Digester {
    id: String,
    key: hmac::Key,
}

impl Digester {
    /// A digester for a key; its id is derived from it.
    pub fn new(key: &SecretBox<[u8; KEY_LENGTH]>) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose_secret());
        let id = encode(hmac::sign(&key, b"tokenward key id").as_ref(), 6);
        Self { id, key }
    }

    /// Of the request's shape: the document, parameters and scopes, without credentials.
    pub fn shape(&self, endpoint: &Endpoint, asking: &Asking) -> String {
        self.digest(&[b"shape", &canonical(endpoint, asking)])
    }

    /// Of everything that shapes the request, all credential values that it uses included.
    ///
    /// What a provider renews itself is left out: a new refresh token, another token, a
    /// ServiceAccount's token.
    pub fn inputs(
        &self,
        endpoint: &Endpoint,
        asking: &Asking,
        (credentials, secret_keys): (&Credentials, &[String]),
    ) -> Result<String, Error> {
        let mut message = self.message();
        message.field(b"inputs").field(&canonical(endpoint, asking));
        for key in endpoint.needs().keys(secret_keys, credentials) {
            message.field(key.as_bytes()).field(credentials.get(key)?.expose_secret().as_bytes());
        }
        Ok(message.finish())
    }

    /// Of one credential, to tell whether it was replaced.
    pub fn credential(&self, value: &SecretString) -> String {
        self.digest(&[b"credential", value.expose_secret().as_bytes()])
    }

    /// Of the values of a Secret that has no version of its own.
    pub fn values(&self, values: &CredentialValues) -> String {
        let mut message = self.message();
        message.field(b"values");
        for (key, value) in values {
            message.field(key.as_bytes()).field(value.expose_secret());
        }
        message.finish()
    }

    /// Of a token, to tell whether a provider handed back the same one.
    pub fn token(&self, token: &SecretString) -> String {
        self.digest(&[b"token", token.expose_secret().as_bytes()])
    }

    /// Of an account at a provider: where, and whose.
    pub fn account(&self, origin: &str, whose: &str) -> String {
        self.digest(&[b"account", origin.as_bytes(), whose.as_bytes()])
    }

    fn digest(&self, fields: &[&[u8]]) -> String {
        let mut message = self.message();
        for field in fields {
            message.field(field);
        }
        message.finish()
    }

    fn message(&self) -> Message<'_> {
        Message { id: &self.id, context: hmac::Context::with_key(&self.key) }
    }
}

impl std::fmt::Debug for Digester {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Digester").field("id", &self.id).finish_non_exhaustive()
    }
}

struct Message<'a> {
    id: &'a str,
    context: hmac::Context,
}

impl Message<'_> {
    /// Adds a field, its length first: `ab`+`c` must differ from `a`+`bc`.
    fn field(&mut self, field: &[u8]) -> &mut Self {
        self.context.update(&field.len().to_be_bytes());
        self.context.update(field);
        self
    }

    fn finish(self) -> String {
        format!("{}.{}", self.id, encode(self.context.sign().as_ref(), 32))
    }
}

fn encode(bytes: &[u8], length: usize) -> String {
    URL_SAFE_NO_PAD.encode(bytes.get(..length).unwrap_or(bytes))
}

fn canonical(endpoint: &Endpoint, asking: &Asking) -> Vec<u8> {
    // Maps are sorted and nothing here fails to serialise.
    let own = (endpoint.shape(), &asking.parameters, &asking.scopes);
    match asking.sources.is_null() {
        true => serde_json::to_vec(&own),
        false => serde_json::to_vec(&(own, &asking.sources)),
    }
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digester(byte: u8) -> Digester {
        Digester::new(&SecretBox::new(Box::new([byte; KEY_LENGTH])))
    }

    #[test]
    fn a_digest_tells_which_key_it_was_made_with() {
        let token = SecretString::from("t");
        let id = |digest: String| digest.split('.').next().unwrap().to_owned();
        assert_eq!(id(digester(1).token(&token)), id(digester(1).token(&"other".into())));
        assert_ne!(id(digester(1).token(&token)), id(digester(2).token(&token)));
    }

    #[test]
    fn where_one_field_ends_matters() {
        let digester = digester(1);
        assert_ne!(digester.digest(&[b"ab", b"c"]), digester.digest(&[b"a", b"bc"]));
    }
}
