//! How an answer is read.

use std::collections::BTreeMap;

use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::schema;

/// How the answer is read.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// Statuses that mean success; `[200]` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "success_schema")]
    pub success_status: Option<Vec<u16>>,
    /// What else must hold of an answer that means success; all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub success: Option<Vec<SuccessCondition>>,
    /// Where the token is: the first non-empty string wins. `[/access_token]` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::places")]
    pub token: Option<Vec<String>>,
    /// Where the token's type is. `[/token_type]` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::places")]
    pub token_type: Option<Vec<String>>,
    /// Where the granted scope is. `[/scope]` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::places")]
    pub scope: Option<Vec<String>>,
    /// Where a new refresh token is (grant `refresh_token`). `[/refresh_token]` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::places")]
    pub refresh_token: Option<Vec<String>>,
    /// Where the refresh token's own life is, in seconds: its end is warned of a week before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::places")]
    pub refresh_token_expires_in: Option<Vec<String>>,
    /// Values that stand where a refresh token is and are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 256)))]
    pub ignored_refresh_tokens: Option<Vec<String>>,
    /// How long the token lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Expiry>,
    /// What else the target gets, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "outputs_schema")]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[-._a-zA-Z0-9]{1,253}$') && !(k in ['access_token', 'token_type', 'expires_at']))")
        .message("an output's name is a key of a Secret other than access_token, token_type and expires_at"))]
    pub outputs: BTreeMap<String, Output>,
    /// What the token ought to be. What is otherwise is warned about, and no failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,
}

/// Something that must hold of a successful answer.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SuccessCondition {
    /// Where the value is.
    #[schemars(schema_with = "schema::place")]
    pub at: String,
    /// What it may be, as text: `"0"` is the number 0 as well.
    #[schemars(length(min = 1, max = 16), inner(length(max = 256)))]
    pub one_of: Vec<String>,
    /// Whether it may be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_be_absent: bool,
}

/// A further key of the target.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.at) != has(self.value)").message("an output has either at or value"))]
pub struct Output {
    /// Where its value is in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::places")]
    pub at: Option<Vec<String>>,
    /// Its value: a template of variables and of `{{ outputs.NAME }}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub value: Option<String>,
    /// Whether an answer without it is a failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

/// What a token ought to be. Values are templates of variables and parameters.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// Its type, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub token_type: Option<String>,
    /// The issuer of a token that is a JWT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: Option<String>,
    /// The audience of a token that is a JWT, or one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub audience: Option<String>,
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
    #[schemars(schema_with = "schema::places")]
    pub at: Option<Vec<String>>,
    /// When the token was issued. With it `seconds` and `milliseconds` count from then and not
    /// from now: for providers that hand out a token again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<IssuedAt>,
    /// Whether 0 means that the token never expires.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub zero_means_never: bool,
    /// The life of a token whose answer does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub default: Option<Duration>,
    /// The longest life that is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub max: Option<Duration>,
}

/// When a token was issued.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IssuedAt {
    /// What the value is.
    pub kind: IssuedAtKind,
    /// Where it is.
    #[schemars(schema_with = "schema::places")]
    pub at: Vec<String>,
}

/// What the time of issue is written as.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum IssuedAtKind {
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMilliseconds,
    /// A timestamp (RFC 3339).
    Rfc3339,
}

/// What an expiry value is.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ExpiryKind {
    /// Seconds from now: a number or a string that holds one.
    Seconds,
    /// Milliseconds from now, likewise.
    Milliseconds,
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMilliseconds,
    /// A timestamp (RFC 3339).
    Rfc3339,
    /// A day, as 2026-11-21, at whose beginning in UTC the token expires.
    Date,
    /// The `exp` claim of a JWT (RFC 7519 section 4.1.4). Its signature is not checked.
    Jwt,
    /// Not told: `default` holds.
    None,
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

fn outputs_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": generator.subschema_for::<Output>()
    })
}
