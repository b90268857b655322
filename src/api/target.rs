//! Where a token goes, and in which shape.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use super::workload::{WorkloadRef, restart_schema};

/// Where the token goes.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The Secret to write, in the same namespace; the token's own name by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
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

impl Target {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
