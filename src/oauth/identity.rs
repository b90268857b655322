//! The certificate that a client shows (RFC 8705).

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretString};

use super::supplies::Supplies;
use crate::error::{Error, Reason};

/// A client's certificate and key, and the CA that comes with them, as a TLS Secret holds them.
#[derive(Clone)]
pub(super) struct Identity {
    /// Certificate chain and key, in PEM.
    pub(super) pem: Arc<SecretString>,
    /// `ca.crt`: trusted beside what the document trusts.
    pub(super) ca: Option<String>,
    /// Tells one from another, and nothing of what it is.
    pub(super) fingerprint: [u8; 32],
}

impl Identity {
    /// Takes it from the credentials `tls.crt`, `tls.key` and `ca.crt`.
    pub(super) fn of(supplies: &Supplies) -> Result<Self, Error> {
        let certificate = supplies.credential("tls.crt")?.expose_secret();
        let key = supplies.credential("tls.key")?.expose_secret();
        let source = supplies.credentials.source();
        let refuse = |key: &str, what: &str| {
            let message = format!("Secret {source}: key {key:?} is {what}");
            Error::new(Reason::InvalidCredentials, message)
        };
        if CertificateDer::from_pem_slice(certificate.as_bytes()).is_err() {
            return Err(refuse("tls.crt", "no certificate in PEM"));
        }
        if PrivateKeyDer::from_pem_slice(key.as_bytes()).is_err() {
            return Err(refuse("tls.key", "no private key in PEM"));
        }
        let ca = supplies.credentials.has("ca.crt").then(|| supplies.credential("ca.crt"));
        let ca = ca.transpose()?.map(|ca| ca.expose_secret().to_owned());
        let pem = format!("{}\n{}", certificate.trim_end(), key);
        let text = format!("{pem}{}", ca.as_deref().unwrap_or_default());
        let mut fingerprint = [0; 32];
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        fingerprint.copy_from_slice(hash.as_ref());
        Ok(Self { pem: Arc::new(pem.into()), ca, fingerprint })
    }
}
