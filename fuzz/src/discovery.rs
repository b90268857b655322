//! What issuers tell of themselves: an answer.

use std::sync::{Arc, LazyLock};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokenward::error::Reason;
use tokenward::oauth::{Endpoint, Metadata, Occasion};

use super::shared;

const ISSUER: &str = "https://id.example/realm";

/// All that an error says.
const SAYS: [&str; 3] = [
    "id.example tells no metadata of an issuer (RFC 8414)",
    "id.example tells the metadata of another issuer than https://id.example/realm",
    "discovery: id.example answered HTTP STATUS",
];

static ENDPOINTS: LazyLock<Vec<Endpoint>> = LazyLock::new(|| {
    ["client_secret_basic", "client_secret_jwt", "private_key_jwt", "tls_client_auth"]
        .map(|method| {
            let algorithm = if method == "client_secret_jwt" { "HS256" } else { "ES256" };
            format!(
                "{{issuer: '{ISSUER}', assertion: {{algorithm: {algorithm}}}, \
                 clientAuthentication: [{method}]}}"
            )
        })
        .iter()
        .map(|spec| shared::endpoint(spec))
        .collect()
});

/// Reads an answer, and asks where it says to.
pub fn run(data: &[u8]) {
    let answer = shared::answer(data);
    let issuer = ENDPOINTS[0].discovery().unwrap_or_else(|| panic!("asks no issuer"));
    match issuer.read(&answer) {
        Ok(Some(metadata)) => told(answer.body.expose_secret(), &Arc::new(metadata)),
        Ok(None) => assert_ne!(answer.status, 200),
        Err(error) => {
            let says = error.message().replace(&answer.status.to_string(), "STATUS");
            assert!(SAYS.contains(&says.as_str()), "{error}");
        }
    }
}

fn told(body: &[u8], metadata: &Arc<Metadata>) {
    // What nobody reads of it may be no text at all, as a lone surrogate.
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
    assert_eq!(body["issuer"], ISSUER);
    let known = |value: &Value| {
        let url: url::Url = value.as_str()?.parse().ok()?;
        Some(url.origin().ascii_serialization())
    };
    let origins =
        |endpoint: &str| [&body[endpoint], &body["mtls_endpoint_aliases"][endpoint]].map(known);
    for endpoint in ENDPOINTS.iter() {
        let occasion = Occasion { metadata: Some(metadata.clone()), ..shared::occasion() };
        let (asking, supplies) = (shared::asking(endpoint), shared::supplies(endpoint));
        match endpoint.request(&asking, &supplies, &occasion) {
            Ok(request) => {
                let origin = Some(shared::origin(&request));
                assert!(origins("token_endpoint").contains(&origin), "{request:?}");
            }
            Err(error) => assert_eq!(error.reason(), Reason::DiscoveryFailed, "{error}"),
        }
        let token = SecretString::from(shared::SECRET);
        let revocation = endpoint.revocation(&token, &asking, (&supplies, &occasion));
        if let Some(request) = revocation.unwrap_or_else(|error| panic!("{error}")) {
            let origin = Some(shared::origin(&request));
            assert!(origins("revocation_endpoint").contains(&origin), "{request:?}");
        }
    }
}
