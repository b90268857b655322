//! Where a token goes, and in which shape.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::formats::Formats;
use super::schema;
use super::workload::{WorkloadRef, restart_schema};

/// Where the token goes. The keys `access_token`, `token_type` and `expires_at`, and the outputs
/// of the provider's document, are there whatever else is.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.formats) || !has(self.formats.dockerConfigJson) || !has(self.formats.basicAuth)")
        .message("formats.dockerConfigJson and formats.basicAuth want Secrets of different types: use a token for each"),
    validation = Rule::new("!has(self.formats) || (has(self.formats.basicAuth) ? 1 : 0) + (has(self.formats.argoCD) ? 1 : 0) + (has(self.formats.fluxGit) && has(self.formats.fluxGit.username) ? 1 : 0) < 2")
        .message("formats.basicAuth, formats.argoCD and formats.fluxGit with a username want the same keys, username and password: use a token for each"),
    validation = Rule::new("!has(self.type) || !has(self.formats) || ((!has(self.formats.dockerConfigJson) || self.type == 'kubernetes.io/dockerconfigjson') && (!has(self.formats.basicAuth) || self.type == 'kubernetes.io/basic-auth'))")
        .message("type contradicts formats.dockerConfigJson (kubernetes.io/dockerconfigjson) or formats.basicAuth (kubernetes.io/basic-auth): leave type out"),
)]
pub struct Target {
    /// The Secret to write, in the same namespace; the token's own name by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    #[x_kube(validation = Rule::new("!self.endsWith('.coct.tokenward.dev')")
        .message("names that end in .coct.tokenward.dev are those of master copies: choose another one"))]
    pub secret_name: Option<String>,
    /// `Owner`: the Secret is tokenward's, made by it or taken over with its consent (annotation
    /// `tokenward.dev/allow`). `Merge`: the token's keys go into a Secret that somebody else made
    /// and that consents.
    #[serde(default)]
    pub creation_policy: CreationPolicy,
    /// What becomes of the Secret (with `Merge`: of the token's keys in it) when the token is
    /// deleted or goes elsewhere: `Delete` or `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Workloads of the same namespace that are restarted when the token changed, for those that
    /// read it only when they start. Their pod template has to refer to the target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "restart_schema")]
    pub restart: Vec<WorkloadRef>,
    /// Annotates the pods that mount the target whenever it changed, so that kubelet brings their
    /// files up to date at once and not within a minute or so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nudge: bool,
    /// The Secret's type; what `formats` wants by default, else `Opaque`. A Secret whose type
    /// changes is deleted and made anew.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "type_schema")]
    #[x_kube(validation = Rule::new("!(self in ['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token', 'helm.sh/release.v1'])")
        .message("a Secret of this type gives power beyond its data: tokenward does not write it"))]
    pub type_: Option<String>,
    /// Ready-made renderings of the token.
    #[serde(default, skip_serializing_if = "Formats::is_empty")]
    pub formats: Formats,
    /// Renderings of one's own.
    #[serde(default, skip_serializing_if = "TargetTemplate::is_empty")]
    pub template: TargetTemplate,
}

/// Whose the target Secret is.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CreationPolicy {
    /// tokenward's.
    #[default]
    Owner,
    /// Somebody else's: only the token's keys in it are tokenward's.
    Merge,
}

/// What becomes of a target that its token leaves.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// It goes.
    #[default]
    Delete,
    /// It stays as it is.
    Retain,
}

/// Keys, labels and annotations, each a template (Jinja) of `access_token`, `token_type`,
/// `expires_at`, `issued_at`, `refresh_at`, `name`, `namespace`, `secretName` and `outputs.NAME`.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TargetTemplate {
    /// Values by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts_schema")]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[-._a-zA-Z0-9]{1,253}$') && k != '.' && !k.startsWith('..'))")
        .message("a key of a Secret holds letters, digits, - _ and . only, at most 253, and does not begin with .."),
        validation = Rule::new("!('access_token' in self) && !('token_type' in self) && !('expires_at' in self)")
        .message("access_token, token_type and expires_at are there anyway: choose other keys"))]
    pub data: BTreeMap<String, String>,
    /// Labels of the Secret. None of Kubernetes' own or tokenward's, and none with the token in
    /// it, for whoever may see the Secret's name sees them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts_schema")]
    #[x_kube(validation = Rule::new(r"self.all(k, !k.matches('^([^/]*[.])?(kubernetes[.]io|k8s[.]io|tokenward[.]dev)/'))")
        .message("labels under kubernetes.io/, k8s.io/ and tokenward.dev/ cannot be set"))]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Secret, with the same limits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts_schema")]
    #[x_kube(validation = Rule::new(r"self.all(k, !k.matches('^([^/]*[.])?(kubernetes[.]io|k8s[.]io|tokenward[.]dev)/'))")
        .message("annotations under kubernetes.io/, k8s.io/ and tokenward.dev/ cannot be set"))]
    pub annotations: BTreeMap<String, String>,
}

impl Target {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Formats {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl TargetTemplate {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn type_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "minLength": 1, "maxLength": 253})
}

fn texts_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 8192}
    })
}
