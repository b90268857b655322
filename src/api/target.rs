//! Where a token goes, and in which shape.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

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
    pub(super) fn is_empty(&self) -> bool {
        self.secret_name.is_none()
    }
}
