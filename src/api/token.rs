//! `OAuthClientToken`: "I want this token, in this Secret".

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::annotations::Owner;
use super::refresh::{OnExpiry, Refresh};
use super::schema;
use super::target::Target;

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
    validation = Rule::new("!self.metadata.name.endsWith('.coct.tokenward.dev')")
        .message("names that end in .coct.tokenward.dev are those of master copies: choose another one"),
    validation = Rule::new("!has(self.spec.credentialsSecretRef) || self.spec.credentialsSecretRef.name != (has(self.spec.target) && has(self.spec.target.secretName) ? self.spec.target.secretName : self.metadata.name)")
        .message("the target Secret must not be the credentials Secret: set spec.target.secretName to another name"),
)]
#[serde(rename_all = "camelCase")]
pub struct OAuthClientTokenSpec {
    /// The provider that issues the token.
    pub provider_ref: ProviderRef,
    /// The Secret, in the same namespace, that holds the client's credentials. Optional with a
    /// ClusterOAuthProvider that brings its own, and with a provider that needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<CredentialsRef>,
    /// A ServiceAccount, in the same namespace, whose short-lived token stands where the provider's
    /// document says `{{ serviceAccount.token }}`: a client without any stored secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountRef>,
    /// Tokens, in the same namespace, that stand where the provider's document says
    /// `{{ tokens.NAME }}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "token_refs_schema")]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[A-Za-z_][A-Za-z0-9_-]{0,63}$'))")
        .message("the name of a token starts with a letter or _ and holds letters, digits, _ and - only, at most 64"))]
    pub token_refs: BTreeMap<String, TokenRef>,
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
    /// When the next token is asked for.
    #[serde(default, skip_serializing_if = "Refresh::is_empty")]
    pub refresh: Refresh,
    /// What happens to a token that expired because no other could be had: `Keep`, it stays where it
    /// is (the default), or `Remove`, its keys leave the target, so that no workload reads it.
    #[serde(default)]
    #[schemars(schema_with = "on_expiry_schema")]
    pub on_expiry: OnExpiry,
    /// When tokens are revoked (RFC 7009): `Rotation`, the former one once nobody can hold it any
    /// more, and `Deletion`, the last one with this resource. Never by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "revoke_schema")]
    pub revoke: Vec<RevokeOn>,
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

pub(super) fn scopes_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": r"^[\x21\x23-\x5B\x5D-\x7E]+$"},
        "x-kubernetes-list-type": "set"
    })
}

fn token_refs_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 8,
        "additionalProperties": generator.subschema_for::<TokenRef>()
    })
}

fn revoke_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 2,
        "items": {"type": "string", "enum": ["Rotation", "Deletion"]},
        "x-kubernetes-list-type": "set"
    })
}

pub(super) fn on_expiry_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "enum": ["Keep", "Remove"], "default": "Keep"})
}

fn secret_keys_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 8,
        "items": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": r"^[-._a-zA-Z0-9]+$"},
        "x-kubernetes-list-type": "set"
    })
}

fn audiences_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 8,
        "items": {"type": "string", "minLength": 1, "maxLength": 2048},
        "x-kubernetes-list-type": "set"
    })
}

pub(super) fn parameters_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
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

impl ProviderRef {
    /// What the provider is called that a token of this namespace means: `NAMESPACE/NAME`, or `NAME`
    /// where it has no namespace.
    pub fn full_name(&self, namespace: &str) -> String {
        match self.kind {
            ProviderKind::OAuthProvider => format!("{namespace}/{}", self.name),
            ProviderKind::ClusterOAuthProvider => self.name.clone(),
        }
    }
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

/// The Secret that holds a client's credentials. Its namespace is never a choice of the one who
/// writes this.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsRef {
    /// The Secret's name.
    #[schemars(schema_with = "schema::object_name")]
    #[x_kube(validation = Rule::new("!self.endsWith('.coct.tokenward.dev')")
        .message("names that end in .coct.tokenward.dev are those of master copies, which hold no credentials: name another Secret"))]
    pub name: String,
    /// The keys that hold the client's secret, in the order in which they are tried, so that a
    /// rotation has no gap; `client_secret` alone by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "secret_keys_schema")]
    pub secret_keys: Vec<String>,
}

/// A ServiceAccount and the token that is asked for it (TokenRequest).
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountRef {
    /// The ServiceAccount's name.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
    /// Whom the token is for. The API server's own audiences are refused.
    #[schemars(schema_with = "audiences_schema")]
    pub audiences: Vec<String>,
    /// How long it is valid; 600 by default, which is the least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 600, max = 86400))]
    pub expiration_seconds: Option<i64>,
}

/// A token of the same namespace.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TokenRef {
    /// The name of the OAuthClientToken.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
}

/// What makes a token be revoked.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeOn {
    /// Another took its place.
    Rotation,
    /// Its resource is deleted.
    Deletion,
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
    /// Secrets that the token was written to before and that are still to be cleared of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_secret_names: Vec<String>,
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
    /// The key of the credentials Secret whose secret the provider last took, where
    /// `credentialsSecretRef.secretKeys` names several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_key: Option<String>,
    /// How many seconds the former token had left when the provider last gave a new one, where it
    /// hands out the same one until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub same_token_until_seconds: Option<i64>,
    /// The change of the token for which workloads were last restarted, as far as that was possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarted_for: Option<DateTime<Utc>>,
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
    /// The names of the further keys that the target holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
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
