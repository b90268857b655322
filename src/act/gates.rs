//! How many token requests may be under way at once, provider by provider: one that hangs delays
//! no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// Requests under way at once to one host.
const PER_PROVIDER: usize = 8;

/// A gate for each provider (scheme, host and port).
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Gates {
    /// Waits for a place. `None` never happens: gates are not closed.
    pub(super) async fn enter(&self, url: &Url) -> Option<OwnedSemaphorePermit> {
        self.gate(url).acquire_owned().await.ok()
    }

    fn gate(&self, url: &Url) -> Arc<Semaphore> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Gates that nobody waits at are dropped, so that providers may come and go.
        gates.retain(|_, gate| {
            Arc::strong_count(gate) > 1 || gate.available_permits() < PER_PROVIDER
        });
        let key = url.origin().ascii_serialization();
        Arc::clone(gates.entry(key).or_insert_with(|| Arc::new(Semaphore::new(PER_PROVIDER))))
    }
}
