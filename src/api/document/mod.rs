//! A provider document: how one token endpoint is spoken to, as data.
//!
//! No field is required and none has a schema default: a document may overlay a preset, and a
//! default that the API server filled in would override it. Defaults and completeness belong to
//! [`crate::catalogue`], after the merge.

use std::collections::BTreeMap;

mod assertion;
mod errors;
mod request;
mod response;

pub use assertion::{Algorithm, Assertion, Thumbprint};
pub use errors::{ErrorRule, Errors, HeaderMatch, RetryAfter, RetryAfterKind, RuleClass};
pub use request::{Encoding, Method, Request, Revocation};
pub use response::{
    Expectation, Expiry, ExpiryKind, IssuedAt, IssuedAtKind, Output, Response, SuccessCondition,
};

use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// How one token endpoint is spoken to.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProviderDocument {
    /// The catalogue document that this one extends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub preset: Option<String>,
    /// Values of the document's variables, used as `{{ NAME }}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "variables_schema")]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[A-Za-z_][A-Za-z0-9_]{0,63}$'))")
        .message("a variable's name starts with a letter or _ and holds letters, digits and _ only, at most 64"))]
    pub variables: BTreeMap<String, String>,
    /// The grant (RFC 6749 section 4). It sets the parameters that its RFC sets, and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// The issuer, whose metadata (RFC 8414, OpenID Connect Discovery) tells the endpoints that
    /// the document does not. A template of variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub issuer: Option<String>,
    /// The token request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// Where the client's id comes from: a template, `{{ credentials.client_id }}` by default.
    #[serde(default, rename = "clientID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub client_id: Option<String>,
    /// Where its secret comes from: a template, `{{ credentials.client_secret }}` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub client_secret: Option<String>,
    /// How the client proves who it is; all of the list at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "client_authentication_schema")]
    #[x_kube(validation = Rule::new("self.size() == 1 || !('none' in self)").message("none excludes every other client authentication"))]
    pub client_authentication: Option<Vec<ClientAuthentication>>,
    /// How id and secret are encoded in a Basic header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_encoding: Option<BasicEncoding>,
    /// What client authentication `bearer` sends: a template, `{{ assertion.jwt }}` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub bearer_token: Option<String>,
    /// A key of the credentials Secret that holds a JSON object, as the key files of Google and
    /// Zitadel: its strings and numbers are credentials too. The Secret's own keys win.
    #[serde(default, rename = "credentialsJSON", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub credentials_json: Option<String>,
    /// How a JWT is made: what the grant hands in, what the client proves itself with, or, with
    /// grant `local`, the token itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertion: Option<Assertion>,
    /// How the JWT is made that the client proves itself with, where that differs from `assertion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_assertion: Option<Assertion>,
    /// How a token is revoked (RFC 7009).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
    /// How the answer is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// How a refusal is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Errors>,
    /// How often the provider may be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Certificates (PEM) to trust for this provider, beside the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536), regex(pattern = r"^\s*-----BEGIN CERTIFICATE-----"))]
    pub ca_bundle: Option<String>,
}

/// A grant type.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// RFC 6749 section 4.4.
    ClientCredentials,
    /// RFC 6749 section 6, with the credential `refresh_token` at first and then with what the
    /// provider handed out since.
    RefreshToken,
    /// RFC 7523 section 2.1.
    JwtBearer,
    /// RFC 8693.
    TokenExchange,
    /// RFC 6749 section 4.3.
    Password,
    /// Not an OAuth grant: only what the document spells out is sent.
    None,
    /// Nothing is asked: the token is a JWT that is signed here.
    Local,
}

/// A way for the client to prove who it is, by its name in RFC 7591.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// A public client: `client_id` alone, where the grant is an OAuth grant.
    None,
    /// An `Authorization: Basic` header.
    ClientSecretBasic,
    /// `client_id` and `client_secret` among the parameters.
    ClientSecretPost,
    /// A JWT that is signed with the client's secret (OpenID Connect Core section 9).
    ClientSecretJwt,
    /// A JWT that is signed with the client's private key (RFC 7523 section 2.2).
    PrivateKeyJwt,
    /// A certificate that a CA vouches for (RFC 8705 section 2.1).
    TlsClientAuth,
    /// A certificate that the provider was told of (RFC 8705 section 2.2).
    SelfSignedTlsClientAuth,
    /// An `Authorization: Bearer` header (RFC 6750 section 2.1).
    Bearer,
    /// A JWT that somebody else signed, as a Kubernetes ServiceAccount token (RFC 7523
    /// section 2.2).
    FederatedJwt,
}

/// How id and secret are encoded in a Basic header.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum BasicEncoding {
    /// Each form-urlencoded first (RFC 6749 section 2.3.1).
    Form,
    /// The bare `id:secret`.
    Raw,
    /// Each in Base64 first.
    Base64,
}

/// How often the provider may be asked.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// The least time between a success and the next request; 30s by default, or half the token's
    /// life where that is shorter, but not under 5s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("minInterval lies between 1s and 24h"))]
    pub min_interval: Option<Duration>,
    /// The longest time between two requests: for refresh tokens that end when they are not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m')").message("maxInterval is at least 1m"))]
    pub max_interval: Option<Duration>,
    /// How long the provider takes a refresh token once more that was used already, in case its
    /// answer was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message("refreshTokenReuse is at least 1s"))]
    pub refresh_token_reuse: Option<Duration>,
    /// The provider hands out the same token until so much of its life is left: to ask sooner gains
    /// nothing. `0s`: until it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub same_token_until: Option<Duration>,
    /// How many requests may be made in any stretch of time of such a length, as `{1h: 10, 24h:
    /// 1000}`, by all tokens that share origin and credentials. From 10s on the count outlives a
    /// restart. `1s: 50` unless something else is said; 0 takes a limit away.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "requests_per_schema")]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^([0-9]{1,9}(ms|s|m|h))+$') && duration(k) >= duration('1s') && duration(k) <= duration('768h'))")
        .message("requestsPer maps durations between 1s and 768h, as 24h, to numbers"))]
    pub requests_per: BTreeMap<String, u32>,
}

fn variables_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 2048}
    })
}

fn requests_per_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 8,
        "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 1_000_000}
    })
}

fn client_authentication_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 4,
        "items": {"type": "string", "maxLength": 64, "enum": [
            "none", "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt",
            "tls_client_auth", "self_signed_tls_client_auth", "bearer", "federated_jwt",
        ]},
        "x-kubernetes-list-type": "set"
    })
}
