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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::oauth::testing::credentials;

    macro_rules! key {
        ($name:literal) => {
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/", $name, ".pem"))
        };
    }

    fn identity(values: &[(&str, &str)]) -> Result<Identity, Error> {
        let credentials = credentials(values);
        Identity::of(&Supplies { credentials, ..Supplies::default() })
    }

    #[test]
    fn one_is_told_from_another() {
        let (crt, rsa) = (("tls.crt", key!("certificate")), ("tls.key", key!("rsa")));
        let plain = identity(&[crt, rsa]).unwrap();
        assert_eq!(plain.fingerprint, identity(&[crt, rsa]).unwrap().fingerprint);
        assert_eq!(plain.ca, None);
        let pem = plain.pem.expose_secret();
        assert!(pem.contains("END CERTIFICATE-----\n-----BEGIN PRIVATE KEY"), "two blocks");
        let others = [
            identity(&[crt, ("tls.key", key!("es256"))]).unwrap(),
            identity(&[crt, rsa, ("ca.crt", key!("certificate"))]).unwrap(),
        ];
        assert_eq!(others[1].ca.as_deref(), Some(key!("certificate")));
        for other in &others {
            assert_ne!(plain.fingerprint, other.fingerprint);
        }
    }

    #[rstest]
    #[case::no_certificate("s3cr3t", key!("rsa"), "key \"tls.crt\" is no certificate in PEM")]
    #[case::no_key(key!("certificate"), "s3cr3t", "key \"tls.key\" is no private key in PEM")]
    #[case::swapped(key!("rsa"), key!("certificate"), "key \"tls.crt\" is no certificate in PEM")]
    fn what_is_none_is_named_and_not_shown(
        #[case] certificate: &str,
        #[case] key: &str,
        #[case] says: &str,
    ) {
        let error = identity(&[("tls.crt", certificate), ("tls.key", key)]).err().unwrap();
        assert_eq!(error.reason(), Reason::InvalidCredentials);
        assert_eq!(error.message(), format!("Secret web/client: {says}"));
    }

    #[test]
    fn a_missing_key_is_missed() {
        let error = identity(&[("tls.crt", key!("certificate"))]).err().unwrap();
        assert_eq!(error.reason(), Reason::CredentialsKeyMissing);
    }
}
