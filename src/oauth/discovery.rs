//! What an issuer tells of itself (RFC 8414; OpenID Connect Discovery). Pure: which documents to
//! ask for, and what they say.

use secrecy::ExposeSecret;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::answer::Answer;
use super::endpoint::{Endpoint, Provenance};
use super::request::TokenRequest;
use crate::api::{ClientAuthentication, Method};
use crate::error::{Error, Reason};

/// Where metadata is, below the issuer's origin: in the order in which they are asked.
const WELL_KNOWN: [(&str, Placement); 2] = [
    ("/.well-known/oauth-authorization-server", Placement::BeforePath),
    ("/.well-known/openid-configuration", Placement::AfterPath),
];

/// Where the well-known path goes where the issuer has a path of its own (RFC 8414 section 3.1;
/// OpenID Connect Discovery section 4.1).
#[derive(Clone, Copy)]
enum Placement {
    BeforePath,
    AfterPath,
}

/// What an issuer tells of itself, as far as it matters here.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Metadata {
    issuer: String,
    #[serde(default, deserialize_with = "url_if_it_is_one")]
    token_endpoint: Option<Url>,
    #[serde(default, deserialize_with = "url_if_it_is_one")]
    revocation_endpoint: Option<Url>,
    #[serde(default, deserialize_with = "url_if_it_is_one")]
    jwks_uri: Option<Url>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    mtls_endpoint_aliases: Aliases,
}

/// One endpoint that cannot be read does not spoil the others.
fn url_if_it_is_one<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Url>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.and_then(|text| text.parse().ok()))
}

/// Endpoints for clients that show a certificate (RFC 8705 section 5).
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
struct Aliases {
    #[serde(default, deserialize_with = "url_if_it_is_one")]
    token_endpoint: Option<Url>,
    #[serde(default, deserialize_with = "url_if_it_is_one")]
    revocation_endpoint: Option<Url>,
}

/// Who to ask for metadata.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issuer {
    url: Url,
    provenance: Provenance,
    ca_bundle: Option<String>,
}

impl Issuer {
    pub(super) fn new(url: Url, provenance: Provenance, ca_bundle: Option<String>) -> Self {
        Self { url, provenance, ca_bundle }
    }

    /// The issuer's identifier.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The requests that tell its metadata, in the order in which to try them.
    pub fn requests(&self) -> impl Iterator<Item = TokenRequest> {
        WELL_KNOWN.into_iter().map(|(well_known, placement)| {
            let mut url = self.url.clone();
            let path = self.url.path().trim_end_matches('/');
            url.set_path(&match placement {
                Placement::BeforePath => format!("{well_known}{path}"),
                Placement::AfterPath => format!("{path}{well_known}"),
            });
            TokenRequest {
                method: Method::Get,
                url,
                headers: reqwest::header::HeaderMap::new(),
                body: None,
                provenance: self.provenance,
                ca_bundle: self.ca_bundle.clone(),
                identity: None,
            }
        })
    }

    /// Reads an answer; `None` where the issuer has no such document.
    pub fn read(&self, answer: &Answer) -> Result<Option<Metadata>, Error> {
        let host = self.url.host_str().unwrap_or_default();
        match answer.status {
            200 => {}
            status @ (408 | 425 | 429 | 500..) => {
                let message = format!("discovery: {host} answered HTTP {status}");
                return Err(Error::new(Reason::ProviderError, message));
            }
            _ => return Ok(None),
        }
        let metadata: Metadata = serde_json::from_slice(answer.body.expose_secret())
            .map_err(|_| invalid(format!("{host} tells no metadata of an issuer (RFC 8414)")))?;
        let own = self.url.as_str();
        // RFC 8414 section 3.3. A URL that was parsed has a slash where an origin stands alone.
        if metadata.issuer != own && format!("{}/", metadata.issuer) != own {
            return Err(invalid(format!("{host} tells the metadata of another issuer than {own}")));
        }
        Ok(Some(metadata))
    }

    /// Nothing was found at all.
    pub fn not_found(&self) -> Error {
        let own = &self.url;
        invalid(format!(
            "{own} has neither /.well-known/oauth-authorization-server nor \
             /.well-known/openid-configuration: set spec.request.url"
        ))
    }
}

impl Metadata {
    /// The keys that tokens of this issuer are signed with.
    pub fn jwks_uri(&self) -> Option<&Url> {
        self.jwks_uri.as_ref()
    }

    /// The token endpoint for an endpoint's client.
    pub(super) fn token_endpoint(&self, endpoint: &Endpoint) -> Result<&Url, Error> {
        let alias = self.mtls_endpoint_aliases.token_endpoint.as_ref();
        let alias = alias.filter(|_| endpoint.client.shows_certificate());
        let found = alias.or(self.token_endpoint.as_ref());
        found.ok_or_else(|| invalid(format!("{} tells no token_endpoint", self.issuer)))
    }

    /// The revocation endpoint for an endpoint's client.
    pub(super) fn revocation_endpoint(&self, endpoint: &Endpoint) -> Option<&Url> {
        let alias = self.mtls_endpoint_aliases.revocation_endpoint.as_ref();
        let alias = alias.filter(|_| endpoint.client.shows_certificate());
        alias.or(self.revocation_endpoint.as_ref())
    }

    /// Whether the client authenticates in a way that the issuer takes.
    pub(super) fn admits(&self, endpoint: &Endpoint) -> Result<(), Error> {
        // RFC 8414 section 2: what holds where nothing is told.
        let usual = [name(ClientAuthentication::ClientSecretBasic).to_owned()];
        let taken: &[String] =
            self.token_endpoint_auth_methods_supported.as_deref().unwrap_or(&usual);
        let missing = endpoint.client.authentication.iter().copied().find(|method| {
            !name(*method).is_empty() && !taken.iter().any(|taken| taken == name(*method))
        });
        let Some(missing) = missing else { return Ok(()) };
        let known: Vec<&str> =
            KNOWN.iter().map(|m| name(*m)).filter(|m| taken.iter().any(|t| t == m)).collect();
        let known = match known.is_empty() {
            true => "none that is known here".to_owned(),
            false => known.join(", "),
        };
        Err(invalid(format!(
            "clientAuthentication: {} does not take {}; it takes {known}",
            self.issuer,
            name(missing)
        )))
    }
}

const KNOWN: &[ClientAuthentication] = &[
    ClientAuthentication::ClientSecretBasic,
    ClientAuthentication::ClientSecretPost,
    ClientAuthentication::ClientSecretJwt,
    ClientAuthentication::PrivateKeyJwt,
    ClientAuthentication::TlsClientAuth,
    ClientAuthentication::SelfSignedTlsClientAuth,
];

/// The registered name of a method; empty where there is none, or where a server may well leave it
/// out.
fn name(method: ClientAuthentication) -> &'static str {
    match method {
        ClientAuthentication::ClientSecretBasic => "client_secret_basic",
        ClientAuthentication::ClientSecretPost => "client_secret_post",
        ClientAuthentication::ClientSecretJwt => "client_secret_jwt",
        ClientAuthentication::PrivateKeyJwt => "private_key_jwt",
        ClientAuthentication::TlsClientAuth => "tls_client_auth",
        ClientAuthentication::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
        ClientAuthentication::None
        | ClientAuthentication::Bearer
        | ClientAuthentication::FederatedJwt => "",
    }
}

fn invalid(message: String) -> Error {
    Error::new(Reason::DiscoveryFailed, message)
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
