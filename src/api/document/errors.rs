//! How a refusal is read.

use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::schema;

/// How a refusal is read.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Errors {
    /// Where the error code is. `[/error]` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::places")]
    pub code: Option<Vec<String>>,
    /// Where the text for people is. It feeds `rules` and is never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::places")]
    pub message: Option<Vec<String>>,
    /// What a refusal means, where the usual reading is wrong. The first that matches wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub rules: Option<Vec<ErrorRule>>,
    /// Where the provider says how long it wants to be left alone; the header Retry-After by
    /// default. The first that is there wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8))]
    pub retry_after: Option<Vec<RetryAfter>>,
}

/// Where a wish for silence is.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RetryAfter {
    /// Where.
    #[schemars(schema_with = "schema::place")]
    pub at: String,
    /// What it is; `auto` by default.
    #[serde(default)]
    pub kind: RetryAfterKind,
}

/// What a wish for silence is written as.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum RetryAfterKind {
    /// Seconds or an HTTP date (RFC 9110 section 10.2.3).
    #[default]
    Auto,
    /// Seconds, with or without a fraction.
    Seconds,
    /// Seconds since 1970.
    EpochSeconds,
}

/// One rule. All that it names must match.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.status) || has(self.code) || has(self.message) || has(self.header)")
    .message("a rule names at least one of status, code, message and header"))]
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
    /// A header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderMatch>,
    /// What it means.
    pub class: RuleClass,
    /// How long to wait at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    pub wait: Option<Duration>,
}

/// A header that is there, or has a certain value.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HeaderMatch {
    /// Its name.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9!#$%&*+.^_`|~-]+$"))]
    pub name: String,
    /// Its whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub value: Option<String>,
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
    /// Permanent, and the client's secret or key is to blame: where there are several, the next
    /// one is tried.
    InvalidClient,
}
