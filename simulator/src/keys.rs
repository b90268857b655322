//! Public keys, and JWTs held against them. The verifier is a library's, so that it shares nothing
//! with the signer that it tests.

use jsonwebtoken::dangerous::insecure_decode;
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, Header, TokenData, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::judged::SeenJwt;

/// Public keys. As JSON a JWK set, in which a text in the place of a key is PEM.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Keys {
    /// The keys.
    pub keys: Vec<Key>,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Key {
    /// PEM (`BEGIN PUBLIC KEY`); fits every `kid`.
    Pem(String),
    /// A JWK; with a `kid` it fits no other.
    Jwk(Box<Jwk>),
}

impl Keys {
    /// One key, as PEM.
    pub fn pem(pem: impl Into<String>) -> Self {
        Self { keys: vec![Key::Pem(pem.into())] }
    }

    /// A JWK set as an issuer publishes it.
    pub fn jwks(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Whether one of the keys made the signature.
    pub(crate) fn verify(&self, jwt: &Jwt<'_>) -> Result<(), String> {
        let header = &jwt.header;
        if header.alg.family() == AlgorithmFamily::Hmac {
            return Err(format!("the alg {:?} is none of a public key", header.alg));
        }
        let mut fitting = self.keys.iter().filter(|key| key.fits(header)).peekable();
        if fitting.peek().is_none() {
            return Err("no known key has the kid and alg of the header".to_owned());
        }
        match fitting.filter_map(|key| key.decoding(header)).any(|key| jwt.signed_with(&key)) {
            true => Ok(()),
            false => Err("the signature is wrong".to_owned()),
        }
    }
}

impl Key {
    fn fits(&self, header: &Header) -> bool {
        let Self::Jwk(jwk) = self else { return true };
        let same_algorithm = |algorithm: KeyAlgorithm| {
            serde_json::to_value(algorithm).ok() == serde_json::to_value(header.alg).ok()
        };
        jwk.common.key_algorithm.is_none_or(same_algorithm)
            && match (&jwk.common.key_id, &header.kid) {
                (Some(known), Some(given)) => known == given,
                _ => true,
            }
    }

    fn decoding(&self, header: &Header) -> Option<DecodingKey> {
        match (self, header.alg.family()) {
            (Self::Jwk(jwk), _) => DecodingKey::from_jwk(jwk),
            (Self::Pem(pem), AlgorithmFamily::Rsa) => DecodingKey::from_rsa_pem(pem.as_bytes()),
            (Self::Pem(pem), AlgorithmFamily::Ec) => DecodingKey::from_ec_pem(pem.as_bytes()),
            (Self::Pem(pem), AlgorithmFamily::Ed) => DecodingKey::from_ed_pem(pem.as_bytes()),
            (Self::Pem(_), AlgorithmFamily::Hmac) => return None,
        }
        .ok()
    }
}

/// A JWT; that it could be read says nothing of its signature.
#[derive(Debug)]
pub(crate) struct Jwt<'a> {
    text: &'a str,
    header: Header,
    claims: Map<String, Value>,
}

impl<'a> Jwt<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, String> {
        let TokenData { header, claims } =
            insecure_decode(text).map_err(|error| format!("this is no JWT: {error}"))?;
        Ok(Self { text, header, claims })
    }

    /// Whether the alg is one of shared secrets.
    pub(crate) fn has_mac(&self) -> bool {
        self.header.alg.family() == AlgorithmFamily::Hmac
    }

    /// Whether the MAC was made with this secret.
    pub(crate) fn made_with(&self, secret: &str) -> bool {
        self.has_mac() && self.signed_with(&DecodingKey::from_secret(secret.as_bytes()))
    }

    fn signed_with(&self, key: &DecodingKey) -> bool {
        // The claims are held against the simulator's clock, which the library does not know.
        let mut signature_only = Validation::new(self.header.alg);
        signature_only.validate_exp = false;
        signature_only.validate_aud = false;
        signature_only.required_spec_claims.clear();
        jsonwebtoken::decode::<Map<String, Value>>(self.text, key, &signature_only).is_ok()
    }

    /// A claim that is a text.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// A claim that is a time, in whole seconds.
    pub(crate) fn seconds(&self, claim: &str) -> Result<Option<i64>, String> {
        let whole = |value: &Value| value.as_i64().or_else(|| value.as_f64().map(whole_seconds));
        self.claims
            .get(claim)
            .map(|value| whole(value).ok_or_else(|| format!("{claim} is no number")))
            .transpose()
    }

    /// Whether `aud`, a text or a list, holds one of these.
    pub(crate) fn is_for(&self, audiences: &[String]) -> bool {
        let one =
            |value: &Value| value.as_str().is_some_and(|aud| audiences.iter().any(|a| a == aud));
        match self.claims.get("aud") {
            Some(Value::Array(list)) => list.iter().any(one),
            Some(value) => one(value),
            None => false,
        }
    }

    /// What the log may hold of it.
    pub(crate) fn seen(&self) -> SeenJwt {
        SeenJwt {
            algorithm: format!("{:?}", self.header.alg),
            key_id: self.header.kid.clone(),
            issuer: self.text("iss").map(str::to_owned),
            subject: self.text("sub").map(str::to_owned),
            jti: self.text("jti").map(str::to_owned),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
fn whole_seconds(seconds: f64) -> i64 {
    seconds.floor() as i64
}
