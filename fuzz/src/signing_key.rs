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
         client_secret_jwt], assertion: {thumbprints: [x5t, 'x5t#S256']}}",
    )
});

/// What errors say of each key, which a key may hold as well.
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
];

fn ours() -> &'static str {
    static ALL: LazyLock<String> = LazyLock::new(|| {
        let each = ["private_key", "tls.crt", "tls.key"].into_iter().flat_map(|key| {
            let of_algorithms = ALGORITHMS.iter().flat_map(|algorithm| {
                [
                    format!("is no RSA key of 2048 bits or more, which {algorithm} needs"),
                    format!("is no EC key on the curve that {algorithm} needs"),
                ]
            });
            let all = OURS.iter().map(|what| (*what).to_owned()).chain(of_algorithms);
            all.map(move |what| format!("Secret web/client: key {key:?} {what}"))
        });
        each.collect::<Vec<_>>().join(" | ")
    });
    &ALL
}

/// Reads a key, and signs with it.
pub fn run(data: &[u8]) {
    let (letter, key) = data.split_first().unwrap_or((&b'A', b""));
    match letter {
        b'x' => {
            show(&[("tls.crt", key), ("tls.key", include_bytes!("../../tests/data/keys/rsa.pem"))]);
        }
        b'y' => show(&[
            ("tls.crt", include_bytes!("../../tests/data/keys/certificate.pem")),
            ("tls.key", key),
        ]),
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
            shared::assert_hidden(error.message(), key, ours());
        }
    }
}

fn show(values: &[(&str, &[u8])]) {
    let made = SHOWING.request(&Asking::default(), &supplies(values), &shared::occasion());
    if let Err(error) = made {
        let reasons = [Reason::CredentialsKeyMissing, Reason::InvalidCredentials];
        assert!(reasons.contains(&error.reason()), "{error:?}");
        for (_, value) in values {
            shared::assert_hidden(error.message(), value, ours());
        }
    }
}
