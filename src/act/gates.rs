//! One at a time, where a request uses up the credentials that it is made with.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::decide::SecretKey;

/// A gate for each credentials Secret that is used up by a request.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<SecretKey, Arc<Semaphore>>>);

impl Gates {
    /// Waits until nobody else works with these credentials. `None` never happens: gates are not
    /// closed.
    pub(super) async fn alone_with(&self, secret: &SecretKey) -> Option<OwnedSemaphorePermit> {
        self.gate(secret).acquire_owned().await.ok()
    }

    fn gate(&self, secret: &SecretKey) -> Arc<Semaphore> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Gates that nobody waits at are dropped, so that credentials may come and go.
        // A place that is taken holds its gate too.
        gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        Arc::clone(gates.entry(secret.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))))
    }
}
