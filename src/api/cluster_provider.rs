//! `ClusterOAuthProvider`: a provider that a platform team shares with namespaces of its choice,
//! with or without a client of the platform's own.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CredentialsRef, ProviderDocument, ProviderStatus};

/// A provider document, who may use it, and (optionally) the platform's own client.
#[derive(CustomResource, KubeSchema, Deserialize, Serialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "tokenward.dev",
    version = "v1alpha1",
    kind = "ClusterOAuthProvider",
    plural = "clusteroauthproviders",
    shortname = "coap",
    category = "tokenward",
    status = "ProviderStatus",
    derive = "PartialEq",
    doc = "ClusterOAuthProvider tells how a token endpoint is spoken to, for the namespaces that it admits (none by default).",
    selectable = ".spec.preset",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Preset", type_ = "string", json_path = ".spec.preset"),
    printcolumn(name = "Tokens", type_ = "integer", json_path = ".status.tokens"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, priority = 1),
    validation = Rule::new("!has(self.spec.usage) || !has(self.spec.usage.ownCredentials) || self.spec.usage.ownCredentials != 'Forbid' || has(self.spec.credentialsSecretRef)")
        .message("usage.ownCredentials Forbid needs spec.credentialsSecretRef: otherwise no token could have any credentials"),
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterOAuthProviderSpec {
    /// The document.
    #[serde(flatten)]
    pub document: ProviderDocument,
    /// The platform's own client: a Secret in the operator's cluster resource namespace, and
    /// nowhere else. Tokens without credentials of their own use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<CredentialsRef>,
    /// Who may use this provider, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// Who may use a cluster provider, and what a token may set when it uses the platform's client.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Namespaces that may refer to this provider: none where this is left out, all with `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Scopes that a token may ask for with the platform's client; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 256)))]
    pub scopes: Vec<String>,
    /// Parameters that a token may set with the platform's client; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    pub parameters: Vec<String>,
    /// Whether a token may bring credentials of its own; `Allow` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_credentials: Option<OwnCredentials>,
}

/// Whether tokens may bring credentials of their own.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnCredentials {
    /// They may.
    Allow,
    /// They may not.
    Forbid,
}

impl Usage {
    /// Whether the selector picks a namespace with these labels; an error where it cannot be read.
    pub fn admits(&self, labels: &BTreeMap<String, String>) -> Result<bool, String> {
        Ok(self.selector()?.is_some_and(|selector| selector.matches(labels)))
    }

    /// The selector: `None` where there is none, and so no namespace is admitted; an error where
    /// it cannot be read, and so nobody knows which ones are.
    pub fn selector(&self) -> Result<Option<Selector>, String> {
        self.namespace_selector.as_ref().map(super::selector::read).transpose()
    }
}
