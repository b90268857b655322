//! How many token requests may be under way at once, provider by provider: one that hangs delays
//! no other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::decide::SecretKey;

/// Requests under way at once to one host.
const PER_PROVIDER: usize = 8;

/// A gate for each provider (scheme, host and port), and one for each credentials Secret that is
/// used up by a request.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Gates {
    /// Waits for a place. `None` never happens: gates are not closed.
    pub(super) async fn enter(&self, url: &Url) -> Option<OwnedSemaphorePermit> {
        let gate = self.gate(url.origin().ascii_serialization(), PER_PROVIDER);
        gate.acquire_owned().await.ok()
    }

    /// Waits until nobody else works with credentials that each request renews.
    pub(super) async fn alone_with(&self, secret: &SecretKey) -> Option<OwnedSemaphorePermit> {
        self.gate(format!("Secret {secret}"), 1).acquire_owned().await.ok()
    }

    fn gate(&self, key: String, places: usize) -> Arc<Semaphore> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Gates that nobody waits at are dropped, so that providers may come and go.
        // A place that is taken holds its gate too.
        gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        Arc::clone(gates.entry(key).or_insert_with(|| Arc::new(Semaphore::new(places))))
    }
}
