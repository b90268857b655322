//! The token request, and the one that revokes a token.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::schema;

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
    /// What `spec.scopes` are joined with; a space by default (RFC 6749 section 3.3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    pub scope_separator: Option<String>,
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

/// How a token is revoked (RFC 7009). The client proves who it is as in the token request.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// The revocation endpoint; what discovery tells by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub url: Option<String>,
    /// How the parameters travel; `form` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Headers. Values are templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "headers_schema")]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[A-Za-z0-9!#$%&*+.^_`|~-]{1,128}$'))")
        .message("a header's name is a token (RFC 9110 section 5.1)"))]
    pub headers: BTreeMap<String, String>,
    /// Parameters, besides `token` and `token_type_hint`. `{{ revoked.token }}` is the token.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::json_object")]
    pub parameters: BTreeMap<String, Value>,
}

fn headers_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 4096}
    })
}
