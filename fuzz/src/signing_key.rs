//! Keys that sign: a letter for the algorithm, then the key as its Secret holds it.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokenward::error::Reason;
use tokenward::oauth::{Asking, Endpoint, Supplies};

use super::shared;

const ALGORITHMS: [&str; 8] =
    ["RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS512"];

static ENDPOINTS: LazyLock<Vec<(&str, Endpoint)>> = LazyLock::new(|| {
    ALGORITHMS
        .iter()
        .map(|algorithm| {
            let spec = format!(
                "{{grant: local, assertion: {{algorithm: {algorithm}, audience: a, key: '{{{{ \
                 credentials.private_key }}}}', claims: {{kid: '{{{{ key.sha256 }}}}'}}}}}}"
            );
            (*algorithm, shared::endpoint(&spec))
        })
        .collect()
});

/// Shows a certificate, whose thumbprints it tells too.
static SHOWING: LazyLock<Endpoint> = LazyLock::new(|| {
    shared::endpoint(
        "{request: {url: 'https://id.example'}, clientAuthentication: [tls_client_auth, \
         private_key_jwt], assertion: {key: '{{ credentials.tls.key }}', thumbprints: [x5t, \
         'x5t#S256']}}",
    )
});

const KEY: &[u8] = include_bytes!("../../tests/data/keys/rsa.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../tests/data/keys/certificate.pem");

/// All that an error says of a key.
const OURS: &[&str] = &[
    "is not UTF-8 text",
    "is empty",
    "is no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----",
    "is no private key in PEM",
    "is no certificate in PEM",
    "is no Ed25519 key, which EdDSA needs here",
    "is a key that is encrypted: decrypt it (openssl pkcs8 -in KEY)",
    "is a key in OpenSSH's own format: convert it (ssh-keygen -p -m PKCS8 -f KEY)",
    "is a certificate, where its private key is needed",
    "is a public key, where the private key is needed",
    "does not sign",
    "is a certificate of another key than the one that signs",
];

/// An error is made of our words and of nothing that stands in a key.
fn assert_ours(message: &str) {
    let keys = ["private_key", "tls.crt", "tls.key"];
    let what = keys
        .iter()
        .find_map(|key| message.strip_prefix(&format!("Secret web/client: key {key:?} ")));
    let of_algorithm = |what: &str| {
        ALGORITHMS.iter().any(|algorithm| {
            what == format!("is no RSA key of 2048 bits or more, which {algorithm} needs")
                || what == format!("is no EC key on the curve that {algorithm} needs")
        })
    };
    assert!(what.is_some_and(|what| OURS.contains(&what) || of_algorithm(what)), "{message:?}");
}

/// Reads a key, and signs with it.
pub fn run(data: &[u8]) {
    let (letter, key) = data.split_first().unwrap_or((&b'A', b""));
    match letter {
        b'x' => show(&[("tls.crt", key), ("tls.key", KEY)]),
        b'y' => show(&[("tls.crt", CERTIFICATE), ("tls.key", key)]),
        letter => sign(usize::from(letter.wrapping_sub(b'A')) % ALGORITHMS.len(), key),
    }
}

fn supplies(values: &[(&str, &[u8])]) -> Supplies {
    let client: [(&str, &[u8]); 2] = [("client_id", b"c"), ("client_secret", b"s")];
    let credentials = shared::credentials(client.into_iter().chain(values.iter().copied()));
    Supplies { credentials, ..Supplies::default() }
}

fn sign(index: usize, key: &[u8]) {
    let (algorithm, endpoint) = &ENDPOINTS[index];
    let supplies = supplies(&[("private_key", key)]);
    match endpoint.sign(&Asking::default(), (&supplies, &shared::occasion())) {
        Ok(issued) => {
            shared::assert_good(&issued);
            let jwt = issued.access_token.expose_secret();
            let parts: Vec<Vec<u8>> =
                jwt.split('.').filter_map(|part| URL_SAFE_NO_PAD.decode(part).ok()).collect();
            assert_eq!(parts.len(), 3, "{jwt}");
            let header: Value = serde_json::from_slice(&parts[0]).unwrap_or_default();
            assert_eq!(header["alg"], **algorithm);
            assert!(!parts[2].is_empty());
        }
        Err(error) => {
            let missing = key.is_empty() && error.reason() == Reason::CredentialsKeyMissing;
            assert!(missing || error.reason() == Reason::InvalidCredentials, "{error:?}");
            assert_ours(error.message());
        }
    }
}

fn show(values: &[(&str, &[u8])]) {
    let made = SHOWING.request(&Asking::default(), &supplies(values), &shared::occasion());
    if let Err(error) = made {
        let reasons = [Reason::CredentialsKeyMissing, Reason::InvalidCredentials];
        assert!(reasons.contains(&error.reason()), "{error:?}");
        assert_ours(error.message());
    }
}
