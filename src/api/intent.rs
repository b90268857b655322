//! What is noted before a credential is used up.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Somebody is about to use up a credential that each use renews. It is written beside what is kept
/// of that, under the annotation `tokenward.dev/intent`, before the request is sent, and taken away
/// with the write that keeps the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// The process.
    pub holder: String,
    /// The `OAuthClientToken` that it is for: `NAMESPACE/NAME`.
    pub token: String,
    /// Digest of what is used up.
    pub spends: String,
    /// When the same was sent for the first time without an answer being known since.
    pub since: DateTime<Utc>,
    /// When this was noted.
    pub at: DateTime<Utc>,
    /// Until then its holder may be waiting for the answer, or keeping it.
    pub until: DateTime<Utc>,
    /// How often the same was sent before without an answer being known.
    pub unanswered: u32,
}
