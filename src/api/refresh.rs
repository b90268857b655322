//! When a token is refreshed, and what happens to one that could not be.

use chrono::TimeDelta;
use kube::KubeSchema;
use kube::core::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// When the next token is asked for.
#[derive(Deserialize, Serialize, KubeSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Refresh {
    /// How the token reaches its readers: `Volume`, a mounted Secret, which kubelet refreshes about
    /// once a minute (the default), or `Watch`, readers that are told at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "delivery_schema")]
    pub delivery: Option<Delivery>,
    /// How long before its end a token is replaced. By default what delivery, further tries and
    /// clocks want, between a fifth and half of its life; never more than four fifths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('8760h')")
        .message("lead lies between 1s and 8760h"))]
    pub lead: Option<Duration>,
}

impl Refresh {
    /// How long before its end a token is replaced, where the spec says so.
    pub fn lead(&self) -> Option<TimeDelta> {
        TimeDelta::from_std(self.lead?.into()).ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a token reaches its readers.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A mounted Secret volume, which kubelet refreshes about once a minute.
    Volume,
    /// Readers that are told at once.
    Watch,
}

/// What happens to a token that expired in its target.
#[derive(Deserialize, Serialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExpiry {
    /// It stays where it is.
    #[default]
    Keep,
    /// Its keys leave the target.
    Remove,
}

fn delivery_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "string", "enum": ["Volume", "Watch"]})
}
