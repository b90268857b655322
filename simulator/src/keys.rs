//! Public keys, and JWTs held against them. The verifier is a library's, so that it shares nothing
//! with the signer that it tests.

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation};
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
    /// PEM (`BEGIN PUBLIC KEY`); fits every `kid`. Only this one verifies ES512.
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
        if jwt.has_mac() {
            return Err(format!("the alg {} is none of a public key", jwt.head.alg));
        }
        let mut fitting = self.keys.iter().filter(|key| key.fits(&jwt.head)).peekable();
        if fitting.peek().is_none() {
            return Err("no known key has the kid and alg of the header".to_owned());
        }
        match fitting.any(|key| key.signed(jwt)) {
            true => Ok(()),
            false => Err("the signature is wrong".to_owned()),
        }
    }
}

impl Key {
    fn fits(&self, head: &Head) -> bool {
        let Self::Jwk(jwk) = self else { return true };
        let same_algorithm = |algorithm: KeyAlgorithm| {
            serde_json::to_value(algorithm).is_ok_and(|name| name == head.alg)
        };
        jwk.common.key_algorithm.is_none_or(same_algorithm)
            && match (&jwk.common.key_id, &head.kid) {
                (Some(known), Some(given)) => known == given,
                _ => true,
            }
    }

    fn signed(&self, jwt: &Jwt<'_>) -> bool {
        match (self, jwt.algorithm) {
            (_, Signed::With(algorithm)) => {
                self.decoding(algorithm).is_some_and(|key| jwt.signed_with(algorithm, &key))
            }
            (Self::Pem(pem), Signed::Es512) => es512(pem, jwt.text).is_some(),
            (Self::Jwk(_), Signed::Es512) => false,
        }
    }

    fn decoding(&self, algorithm: Algorithm) -> Option<DecodingKey> {
        match (self, algorithm.family()) {
            (Self::Jwk(jwk), _) => DecodingKey::from_jwk(jwk),
            (Self::Pem(pem), AlgorithmFamily::Rsa) => DecodingKey::from_rsa_pem(pem.as_bytes()),
            (Self::Pem(pem), AlgorithmFamily::Ec) => DecodingKey::from_ec_pem(pem.as_bytes()),
            (Self::Pem(pem), AlgorithmFamily::Ed) => DecodingKey::from_ed_pem(pem.as_bytes()),
            (Self::Pem(_), AlgorithmFamily::Hmac) => return None,
        }
        .ok()
    }
}

/// The one algorithm that jsonwebtoken does not know (RFC 7518 §3.4).
fn es512(pem: &str, jwt: &str) -> Option<()> {
    let spki: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, BASE64_STANDARD.decode(spki).ok()?);
    let (message, signature) = jwt.rsplit_once('.')?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
    key.verify(message.as_bytes(), &signature).ok()
}

/// A JWT; that it could be read says nothing of its signature.
#[derive(Debug)]
pub(crate) struct Jwt<'a> {
    text: &'a str,
    head: Head,
    algorithm: Signed,
    claims: Map<String, Value>,
}

/// What of the header counts.
#[derive(Debug, Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Signed {
    With(Algorithm),
    Es512,
}

impl<'a> Jwt<'a> {
    pub(crate) fn read(text: &'a str) -> Result<Self, String> {
        let (first, _) = text.split_once('.').ok_or("this is no JWT: it has no parts")?;
        let head: Head = BASE64_URL_SAFE_NO_PAD
            .decode(first)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or("this is no JWT: its header cannot be read")?;
        let algorithm = match head.alg.as_str() {
            "ES512" => Signed::Es512,
            name => name.parse().map(Signed::With).map_err(|_| "the alg is none that is known")?,
        };
        let claims = insecure_decode_claims(text)
            .map_err(|error| format!("this is no JWT: its claims cannot be read: {error}"))?;
        Ok(Self { text, head, algorithm, claims })
    }

    /// Whether the alg is one of shared secrets.
    pub(crate) fn has_mac(&self) -> bool {
        self.mac().is_some()
    }

    fn mac(&self) -> Option<Algorithm> {
        match self.algorithm {
            Signed::With(algorithm) if algorithm.family() == AlgorithmFamily::Hmac => {
                Some(algorithm)
            }
            Signed::With(_) | Signed::Es512 => None,
        }
    }

    /// Whether the MAC was made with this secret.
    pub(crate) fn made_with(&self, secret: &str) -> bool {
        let key = DecodingKey::from_secret(secret.as_bytes());
        self.mac().is_some_and(|algorithm| self.signed_with(algorithm, &key))
    }

    fn signed_with(&self, algorithm: Algorithm, key: &DecodingKey) -> bool {
        // The claims are held against the simulator's clock, which the library does not know.
        let mut signature_only = Validation::new(algorithm);
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
            algorithm: self.head.alg.clone(),
            key_id: self.head.kid.clone(),
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
