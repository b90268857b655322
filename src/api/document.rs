//! A provider document: how one token endpoint is spoken to, as data.
//!
//! No field is required and none has a schema default: a document may overlay a preset, and a
//! default that the API server filled in would override it. Defaults and completeness belong to
//! [`crate::catalogue`], after the merge.

use std::collections::BTreeMap;

use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// The token request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// How the client proves who it is; all of the list at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "client_authentication_schema")]
    #[x_kube(validation = Rule::new("self.size() == 1 || !('none' in self)").message("none excludes every other client authentication"))]
    pub client_authentication: Option<Vec<ClientAuthentication>>,
    /// How id and secret are encoded in a Basic header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_encoding: Option<BasicEncoding>,
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
    /// Not an OAuth grant: only what the document spells out is sent.
    None,
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
}

/// How id and secret are encoded in a Basic header.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum BasicEncoding {
    /// Each form-urlencoded first (RFC 6749 section 2.3.1).
    Form,
    /// The bare `id:secret`.
    Raw,
}

/// The token request.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// The token endpoint. Scheme, host and port come from literals and variables only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub url: Option<String>,
    /// POST by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// How the parameters travel; `form` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Headers. Values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "headers_schema")]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[A-Za-z0-9!#$%&*+.^_`|~-]{1,128}$'))")
        .message("a header's name is a token (RFC 9110 section 5.1)"))]
    pub headers: BTreeMap<String, String>,
    /// Parameters. Strings are templates and are left out when they render empty; other JSON
    /// values keep their type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::json_object")]
    pub parameters: BTreeMap<String, Value>,
}

/// HTTP methods of token endpoints.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// The usual one.
    Post,
    /// For endpoints that are not OAuth.
    Get,
}

/// How parameters travel.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Encoding {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`.
    Json,
    /// In the URL's query.
    Query,
    /// Not at all.
    None,
}

/// How the answer is read.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// Statuses that mean success; `[200]` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "success_schema")]
    pub success_status: Option<Vec<u16>>,
    /// Where the token is: the first non-empty string wins. `[/access_token]` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pointers")]
    pub token: Option<Vec<String>>,
    /// Where the token's type is. `[/token_type]` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pointers")]
    pub token_type: Option<Vec<String>>,
    /// Where the granted scope is. `[/scope]` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pointers")]
    pub scope: Option<Vec<String>>,
    /// How long the token lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Expiry>,
}

/// How the token's life is told.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.kind) || self.kind != 'none' || !has(self.at)")
    .message("expiry.kind none reads nothing: leave at out"))]
pub struct Expiry {
    /// What the value is; `seconds` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ExpiryKind>,
    /// Where it is: the first that is there wins. `[/expires_in]` by default; for `jwt` the token
    /// itself is read where this is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pointers")]
    pub at: Option<Vec<String>>,
    /// The life of a token whose answer does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub default: Option<Duration>,
}

/// What an expiry value is.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ExpiryKind {
    /// Seconds from now: a number or a string that holds one.
    Seconds,
    /// Seconds since 1970.
    EpochSeconds,
    /// A timestamp (RFC 3339).
    Rfc3339,
    /// The `exp` claim of a JWT (RFC 7519 section 4.1.4). Its signature is not checked.
    Jwt,
    /// Not told: `default` holds.
    None,
}

/// How a refusal is read.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Errors {
    /// Where the error code is. `[/error]` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pointers")]
    pub code: Option<Vec<String>>,
    /// Where the text for people is. It feeds `rules` and is never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pointers")]
    pub message: Option<Vec<String>>,
    /// What a refusal means, where the usual reading is wrong. The first that matches wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub rules: Option<Vec<ErrorRule>>,
}

/// One rule. All that it names must match.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.status) || has(self.code) || has(self.message)")
    .message("a rule names at least one of status, code and message"))]
pub struct ErrorRule {
    /// HTTP statuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(range(min = 100, max = 599)))]
    pub status: Option<Vec<u16>>,
    /// Error codes. They are shown to people, beside the registered ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        inner(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_.:/-]+$"))
    )]
    pub code: Option<Vec<String>>,
    /// A part of the message, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub message: Option<String>,
    /// What it means.
    pub class: RuleClass,
}

/// What a refusal means.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum RuleClass {
    /// Nothing changes until a person acts.
    Permanent,
    /// Worth another try.
    Transient,
    /// Too many requests.
    Throttled,
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
}

fn variables_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 2048}
    })
}

fn headers_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 4096}
    })
}

fn client_authentication_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 4,
        "items": {"type": "string", "maxLength": 64, "enum": ["none", "client_secret_basic", "client_secret_post"]},
        "x-kubernetes-list-type": "set"
    })
}

fn success_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 16,
        "items": {"type": "integer", "minimum": 200, "maximum": 299},
        "x-kubernetes-list-type": "set"
    })
}
