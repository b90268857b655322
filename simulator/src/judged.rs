//! What a request was judged by, as the log tells it: identifiers and numbers, never a secret.

use serde::{Deserialize, Serialize};

/// What a request was judged by. Of a system other than `oauth2` only the client and the serial of
/// the token are told; a refused request has what was known when it was refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Judged {
    /// The grant that was asked for.
    pub grant: Option<GrantType>,
    /// How the client authenticated, or tried to.
    pub authentication: Option<Authentication>,
    /// The client.
    pub client_id: Option<String>,
    /// Which of the client's secrets fitted: its [`fingerprint`](crate::Client::fingerprint).
    pub secret: Option<String>,
    /// The JWT that the client authenticated with.
    pub client_assertion: Option<SeenJwt>,
    /// The JWT that the grant rests on.
    pub assertion: Option<SeenJwt>,
    /// On whose behalf: a user name, the subject of an assertion or of the parent token.
    pub subject: Option<String>,
    /// The access token that the grant or the client's authentication rests on, by its serial.
    pub parent: Option<u64>,
    /// The refresh token that was presented, by its serial.
    pub refresh_token: Option<u64>,
    /// The access token that was given, by its serial.
    pub issued: Option<u64>,
    /// The refresh token that was given, by its serial.
    pub issued_refresh_token: Option<u64>,
    /// The token that was revoked, by its serial; `None` for a token that was never given out.
    pub revoked: Option<u64>,
    /// The access token that was used at `/resource`, let in or not, by its serial; `None` for a token
    /// that was never given out.
    pub used: Option<u64>,
}

/// What a JWT says of itself; its signature stays out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeenJwt {
    /// `alg`
    pub algorithm: String,
    /// `kid`
    pub key_id: Option<String>,
    /// `iss`
    pub issuer: Option<String>,
    /// `sub`
    pub subject: Option<String>,
    /// `jti`
    pub jti: Option<String>,
}

/// What a token is asked for with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// RFC 6749 §4.4.
    ClientCredentials,
    /// RFC 6749 §6.
    RefreshToken,
    /// RFC 6749 §4.3.
    Password,
    /// RFC 7523 §2.1.
    JwtBearer,
    /// RFC 8693.
    TokenExchange,
    /// No `grant_type`: a bearer token for a newer one.
    Renewal,
}

impl GrantType {
    /// Those that a `grant_type` names.
    pub(crate) const NAMED: [Self; 5] = [
        Self::ClientCredentials,
        Self::RefreshToken,
        Self::Password,
        Self::JwtBearer,
        Self::TokenExchange,
    ];

    /// The value of `grant_type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::RefreshToken => "refresh_token",
            Self::Password => "password",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::Renewal => "",
        }
    }
}

/// How a client shows who it is; the names are those of RFC 7591 where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// Identifier and secret in the header.
    ClientSecretBasic,
    /// Identifier and secret in the body.
    ClientSecretPost,
    /// A JWT under a MAC made with the secret.
    ClientSecretJwt,
    /// A JWT signed with the client's key.
    PrivateKeyJwt,
    /// A JWT of a trusted issuer that stands for the client.
    FederatedJwt,
    /// A bearer token in the header.
    Bearer,
    /// The identifier at most.
    None,
}
