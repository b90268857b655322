//! What makes one request differ from the next: time, chance, and where its endpoint is now.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::discovery::Metadata;

/// Random bytes of an occasion.
pub const ENTROPY: usize = 48;

/// One try at asking.
#[derive(Clone, Debug)]
pub struct Occasion {
    /// When, by the provider's clock as far as it is known.
    pub now: DateTime<Utc>,
    /// Never the same twice: what must be unique is made from it.
    pub entropy: [u8; ENTROPY],
    /// What the issuer tells of itself, where the document leaves the endpoints to it.
    pub metadata: Option<Arc<Metadata>>,
}

/// Ids for one request.
#[derive(Clone, Debug)]
pub(super) struct Ids {
    pub(super) request: String,
    pub(super) assertion: String,
    pub(super) client_assertion: String,
}

impl Occasion {
    pub(super) fn ids(&self) -> Ids {
        let id = |index: usize| {
            let bytes = self.entropy.as_chunks::<16>().0.get(index).copied().unwrap_or_default();
            uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
        };
        Ids { request: id(0), assertion: id(1), client_assertion: id(2) }
    }
}
