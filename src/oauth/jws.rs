//! Signing (RFC 7515, RFC 7518). One library does all algorithms, ES512 among them, which no JWT
//! crate of its own has: what is left is to write down three parts.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Map, Value};

use crate::api::Algorithm;

/// A key that signs.
pub(super) enum SigningKey {
    Rsa(RsaKeyPair, &'static dyn signature::RsaEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Hmac(Box<hmac::Key>),
}

impl SigningKey {
    /// Reads a key: PEM, or for the HS algorithms the secret itself. The error says what it is not,
    /// in words that fit behind "is".
    pub(super) fn read(algorithm: Algorithm, text: &str) -> Result<Self, String> {
        if let Some(hash) = hmac_hash(algorithm) {
            return Ok(Self::Hmac(Box::new(hmac::Key::new(hash, text.as_bytes()))));
        }
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| no_key(text))?;
        if let Some(encoding) = rsa_encoding(algorithm) {
            return rsa(&key).map(|pair| Self::Rsa(pair, encoding)).ok_or_else(|| {
                format!("no RSA key of 2048 bits or more, which {} needs", algorithm.as_str())
            });
        }
        if let Some(curve) = curve(algorithm) {
            return ecdsa(&key, curve).map(Self::Ecdsa).ok_or_else(|| {
                format!("no EC key on the curve that {} needs", algorithm.as_str())
            });
        }
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_der());
        pair.map(Self::Ed25519).map_err(|_| "no Ed25519 key, which EdDSA needs here".to_owned())
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Self::Ecdsa(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Self::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Self::Hmac(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
        }
    }

    /// A JWS in compact form (RFC 7515 section 3.1).
    pub(super) fn compact(
        &self,
        header: Map<String, Value>,
        claims: Map<String, Value>,
    ) -> Option<String> {
        let part =
            |part: Map<String, Value>| URL_SAFE_NO_PAD.encode(Value::Object(part).to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.sign(signed.as_bytes())?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// SHA-256 of the public key (`SubjectPublicKeyInfo`), in Base64; nothing for a mere secret.
    pub(super) fn fingerprint(&self) -> Option<String> {
        let der = self.public_key()?;
        Some(STANDARD.encode(digest::digest(&digest::SHA256, der.as_ref())))
    }

    /// Whether a certificate (DER) is of this key: it holds the `SubjectPublicKeyInfo` as it is.
    pub(super) fn is_of(&self, certificate: &[u8]) -> bool {
        self.public_key().is_some_and(|der| {
            let der: &[u8] = der.as_ref();
            certificate.windows(der.len()).any(|window| window == der)
        })
    }

    fn public_key(&self) -> Option<PublicKeyX509Der<'_>> {
        match self {
            Self::Rsa(pair, _) => pair.public_key().as_der().ok(),
            Self::Ecdsa(pair) => pair.public_key().as_der().ok(),
            Self::Ed25519(pair) => pair.public_key().as_der().ok(),
            Self::Hmac(_) => None,
        }
    }
}

fn hmac_hash(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn rsa_encoding(algorithm: Algorithm) -> Option<&'static dyn signature::RsaEncoding> {
    Some(match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_SHA512,
        _ => return None,
    })
}

fn curve(algorithm: Algorithm) -> Option<&'static EcdsaSigningAlgorithm> {
    match algorithm {
        Algorithm::ES256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::ES384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        Algorithm::ES512 => Some(&ECDSA_P521_SHA512_FIXED_SIGNING),
        _ => None,
    }
}

fn rsa(key: &PrivateKeyDer<'_>) -> Option<RsaKeyPair> {
    match key {
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok(),
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
        _ => None,
    }
}

fn ecdsa(key: &PrivateKeyDer<'_>, curve: &'static EcdsaSigningAlgorithm) -> Option<EcdsaKeyPair> {
    match key {
        PrivateKeyDer::Sec1(der) => {
            EcdsaKeyPair::from_private_key_der(curve, der.secret_sec1_der()).ok()
        }
        PrivateKeyDer::Pkcs8(der) => EcdsaKeyPair::from_pkcs8(curve, der.secret_pkcs8_der()).ok(),
        _ => None,
    }
}

/// What stands where a private key ought to, told by its first line, which is no secret.
fn no_key(text: &str) -> String {
    let what = [
        ("ENCRYPTED", "a key that is encrypted: decrypt it (openssl pkcs8 -in KEY)"),
        (
            "BEGIN OPENSSH PRIVATE KEY",
            "a key in OpenSSH's own format: convert it (ssh-keygen -p -m PKCS8 -f KEY)",
        ),
        ("BEGIN CERTIFICATE", "a certificate, where its private key is needed"),
        ("BEGIN PUBLIC KEY", "a public key, where the private key is needed"),
    ];
    let known = what.iter().find(|(mark, _)| text.contains(mark)).map(|(_, words)| *words);
    known
        .unwrap_or("no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----")
        .to_owned()
}

#[cfg(test)]
#[path = "jws_tests.rs"]
mod tests;
