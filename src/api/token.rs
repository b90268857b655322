//! `OAuthClientToken`: "I want this token, in this Secret".

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::annotations::Owner;
use super::schema;

/// What a workload asks for: a token of a provider, kept fresh in a Secret.
#[derive(CustomResource, KubeSchema, Deserialize, Serialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tokenward.dev",
    version = "v1alpha1",
    kind = "OAuthClientToken",
    plural = "oauthclienttokens",
    shortname = "oct",
    category = "tokenward",
    namespaced,
    status = "OAuthClientTokenStatus",
    derive = "PartialEq",
    doc = "OAuthClientToken keeps an OAuth 2.0 access token fresh in a Secret.",
    selectable = ".spec.providerRef.kind",
    selectable = ".spec.providerRef.name",
    selectable = ".spec.target.secretName",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Provider", type_ = "string", json_path = ".spec.providerRef.name"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.token.expiresAt"),
    printcolumn(name = "Refresh", type_ = "string", json_path = ".status.token.refreshAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Fresh")].reason"#, priority = 1),
    validation = Rule::new("!has(self.spec.credentialsSecretRef) || self.spec.credentialsSecretRef.name != (has(self.spec.target) && has(self.spec.target.secretName) ? self.spec.target.secretName : self.metadata.name)")
        .message("the target Secret must not be the credentials Secret: set spec.target.secretName to another name"),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.credentialsSecretRef) || self.providerRef.kind == 'ClusterOAuthProvider'")
    .message("credentialsSecretRef is required unless providerRef.kind is ClusterOAuthProvider"))]
pub struct OAuthClientTokenSpec {
    /// The provider that issues the token.
    pub provider_ref: ProviderRef,
    /// The Secret, in the same namespace, that holds the client's credentials. Optional with a
    /// ClusterOAuthProvider that brings its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretRef>,
    /// Scopes to ask for (RFC 6749 section 3.3). None by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "scopes_schema")]
    pub scopes: Vec<String>,
    /// Values for the places where the provider's document says `{{ parameters.NAME }}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "parameters_schema")]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[A-Za-z_][A-Za-z0-9_.-]{0,63}$'))")
        .message("a parameter's name starts with a letter or _ and holds letters, digits, _ . and - only, at most 64"))]
    pub parameters: BTreeMap<String, String>,
    /// Where the token goes.
    #[serde(default, skip_serializing_if = "Target::is_empty")]
    pub target: Target,
    /// Stops all work on this token and keeps its Secret.
    #[serde(default)]
    pub suspend: bool,
}

impl OAuthClientToken {
    /// The Secret that the token goes to.
    pub fn secret_name(&self) -> &str {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        self.spec.target.secret_name.as_deref().unwrap_or(name)
    }

    /// The token, as the owner annotation of its target names it.
    pub fn owner(&self) -> Owner {
        let meta = &self.metadata;
        Owner {
            kind: "OAuthClientToken".to_owned(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
        }
    }
}

fn scopes_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": r"^[\x21\x23-\x5B\x5D-\x7E]+$"},
        "x-kubernetes-list-type": "set"
    })
}

fn parameters_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 4096}
    })
}

/// Which provider issues the token.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProviderRef {
    /// `OAuthProvider` (in the same namespace) or `ClusterOAuthProvider`.
    #[serde(default)]
    pub kind: ProviderKind,
    /// The provider's name.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
}

/// The kinds of provider.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProviderKind {
    /// Namespaced.
    #[default]
    OAuthProvider,
    /// Cluster-scoped.
    ClusterOAuthProvider,
}

impl ProviderKind {
    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OAuthProvider => "OAuthProvider",
            Self::ClusterOAuthProvider => "ClusterOAuthProvider",
        }
    }
}

/// A Secret, by name. Its namespace is never a choice of the one who writes this.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The Secret's name.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
}

/// Where the token goes.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The Secret to write, in the same namespace; the token's own name by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub secret_name: Option<String>,
}

impl Target {
    fn is_empty(&self) -> bool {
        self.secret_name.is_none()
    }
}

/// What is known of a token. Never a token, a secret or text of a provider's answer.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OAuthClientTokenStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready: the target holds an unexpired token. Fresh: no refresh is overdue. Stalled: nothing
    /// changes until a person acts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The token that was last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenState>,
    /// The Secret that the token was last written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// Attempts that failed since the last success.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub consecutive_failures: i32,
    /// When the provider was last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// When it is asked next, if nothing changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// The provider asked for silence until then (Retry-After).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_until: Option<DateTime<Utc>>,
    /// The value of `tokenward.dev/refresh-requested-at` that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_refresh_request: Option<String>,
    /// Digests of what the last attempt was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<InputsStatus>,
}

/// Times and kind of a token.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TokenState {
    /// When it was asked for.
    pub issued_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// When the next one is asked for.
    pub refresh_at: DateTime<Utc>,
    /// As the provider says (RFC 6749 section 7.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<String>,
    /// As the provider says, where it says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// Keyed digests (HMAC-SHA-256) of what a token is asked with.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct InputsStatus {
    /// Of everything that shaped the last attempt, credentials included.
    pub digest: String,
    /// Where `digest` was last found to hold: the request's shape and the credentials' version.
    /// While it is the same, the credentials need not be read.
    pub seen: String,
}

pub(super) fn conditions_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let mut schema = generator.subschema_for::<Vec<Condition>>();
    schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".to_owned(), serde_json::json!(["type"]));
    schema
}
