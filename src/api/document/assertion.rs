//! How a JWT is made (RFC 7519), be it an assertion (RFC 7523) or a token.

use std::collections::BTreeMap;

use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::schema;

/// How a JWT is made.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Assertion {
    /// How it is signed; `RS256` by default, `HS256` for `client_secret_jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    /// With what: a template, `{{ credentials.private_key }}` by default, in PEM (PKCS #8, PKCS #1
    /// or SEC 1). For the HS algorithms the secret itself, the client's by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub key: Option<String>,
    /// `kid`: a template; by default the credential `key_id` where there is one. `""` leaves it out.
    #[serde(default, rename = "keyID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub key_id: Option<String>,
    /// The certificate that `thumbprints` are of: a template, `{{ credentials.tls.crt }}` by
    /// default, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub certificate: Option<String>,
    /// Which thumbprints of the certificate the header holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2))]
    pub thumbprints: Option<Vec<Thumbprint>>,
    /// `typ`; `JWT` by default.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub type_: Option<String>,
    /// `aud`: a template; the token endpoint's URL by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub audience: Option<String>,
    /// How long it is valid; 60s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("lifetime lies between 1s and 24h"))]
    pub lifetime: Option<Duration>,
    /// How long before now it says that it was issued; 0s by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('1h')").message("backdate is at most 1h"))]
    pub backdate: Option<Duration>,
    /// Claims over the usual iss, sub, aud, iat, exp and jti. Strings are templates and are left
    /// out when they render empty; other JSON values keep their type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::json_object")]
    pub claims: BTreeMap<String, Value>,
}

/// How a JWT is signed (RFC 7518 section 3.1, RFC 8037 section 3.1).
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the registry")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    #[serde(rename = "EdDSA")]
    EdDsa,
    HS256,
    HS384,
    HS512,
}

impl Algorithm {
    /// Its registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
        }
    }
}

/// A certificate's thumbprint in a header (RFC 7515 sections 4.1.7 and 4.1.8).
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thumbprint {
    /// SHA-1.
    #[serde(rename = "x5t")]
    Sha1,
    /// SHA-256.
    #[serde(rename = "x5t#S256")]
    Sha256,
}
