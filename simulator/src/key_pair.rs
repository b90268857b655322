//! Key pairs for tests: of clients that sign, and of issuers that are trusted.

use std::fmt;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize,
};
use serde::Serialize;

use crate::keys::{Key, Keys};

/// A private key with its public one.
#[derive(Clone)]
pub struct KeyPair {
    kind: KeyKind,
    private_pem: String,
    public_pem: String,
}

/// The kind of a key, and with what it signs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// 2048 bits, RS256.
    Rsa,
    /// ES256.
    P256,
    /// ES384.
    P384,
    /// `EdDSA`.
    Ed25519,
}

/// A key could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyPairError {
    /// It could not be made.
    #[error("cannot make a key: {0}")]
    Make(#[from] rcgen::Error),
    /// It could not be used.
    #[error("cannot use the key: {0}")]
    Use(#[from] jsonwebtoken::errors::Error),
}

impl KeyPair {
    /// A new one.
    pub fn generate(kind: KeyKind) -> Result<Self, KeyPairError> {
        let pair = match kind {
            KeyKind::Rsa => rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
            KeyKind::P256 => rcgen::KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            KeyKind::P384 => rcgen::KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
            KeyKind::Ed25519 => rcgen::KeyPair::generate_for(&PKCS_ED25519),
        }?;
        Ok(Self { kind, private_pem: pair.serialize_pem(), public_pem: pair.public_key_pem() })
    }

    /// The private key (PKCS#8, PEM), for the credentials of a client.
    pub fn private_pem(&self) -> &str {
        &self.private_pem
    }

    /// The public key, for a [`Policy`](crate::Policy).
    pub fn keys(&self) -> Keys {
        Keys::pem(&self.public_pem)
    }

    /// The public key as an issuer publishes it (not for Ed25519).
    pub fn jwks(&self, key_id: &str) -> Result<Keys, KeyPairError> {
        let mut jwk = Jwk::from_encoding_key(&self.encoding()?, self.algorithm())?;
        jwk.common.key_id = Some(key_id.to_owned());
        Ok(Keys { keys: vec![Key::Jwk(Box::new(jwk))] })
    }

    /// A JWT of these claims.
    pub fn sign(
        &self,
        claims: &impl Serialize,
        key_id: Option<&str>,
    ) -> Result<String, KeyPairError> {
        let mut header = Header::new(self.algorithm());
        header.kid = key_id.map(str::to_owned);
        Ok(jsonwebtoken::encode(&header, claims, &self.encoding()?)?)
    }

    const fn algorithm(&self) -> Algorithm {
        match self.kind {
            KeyKind::Rsa => Algorithm::RS256,
            KeyKind::P256 => Algorithm::ES256,
            KeyKind::P384 => Algorithm::ES384,
            KeyKind::Ed25519 => Algorithm::EdDSA,
        }
    }

    fn encoding(&self) -> Result<EncodingKey, KeyPairError> {
        let pem = self.private_pem.as_bytes();
        Ok(match self.kind {
            KeyKind::Rsa => EncodingKey::from_rsa_pem(pem),
            KeyKind::P256 | KeyKind::P384 => EncodingKey::from_ec_pem(pem),
            KeyKind::Ed25519 => EncodingKey::from_ed_pem(pem),
        }?)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("kind", &self.kind).finish_non_exhaustive()
    }
}
