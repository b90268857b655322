//! `OAuthProvider`: how one token endpoint is spoken to, for its own namespace.

#![allow(clippy::duplicated_attributes, reason = "several columns are alike in type")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ProviderDocument;

/// The spec of an `OAuthProvider` is a provider document and nothing else.
#[derive(CustomResource, JsonSchema, Deserialize, Serialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "tokenward.dev",
    version = "v1alpha1",
    kind = "OAuthProvider",
    plural = "oauthproviders",
    shortname = "oap",
    category = "tokenward",
    namespaced,
    status = "ProviderStatus",
    derive = "PartialEq",
    doc = "OAuthProvider tells how a token endpoint is spoken to. It is usable in its own namespace only.",
    selectable = ".spec.preset",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(name = "Preset", type_ = "string", json_path = ".spec.preset"),
    printcolumn(name = "Tokens", type_ = "integer", json_path = ".status.tokens"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
pub struct OAuthProviderSpec {
    /// The document.
    #[serde(flatten)]
    pub document: ProviderDocument,
}

/// What is known of a provider.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ProviderStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: the document is complete and can be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::token::conditions_schema")]
    pub conditions: Vec<Condition>,
    /// How many tokens refer to it. Written at most once a minute.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub tokens: i32,
}
