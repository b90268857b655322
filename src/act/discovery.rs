//! What issuers tell of themselves, asked for once and remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex as AsyncMutex;
use tracing::warn;

use super::witness::Witness;
use crate::clock::Clock;
use crate::error::{Class, Error};
use crate::oauth::{Issuer, Metadata, Transport};

/// How long metadata is taken for granted.
const FRESH: TimeDelta = TimeDelta::hours(1);
/// How long it is made do with where the issuer does not answer.
const STALE: TimeDelta = TimeDelta::hours(24);

/// Remembers metadata.
pub(super) struct Discovery {
    transport: Arc<Transport>,
    clock: Clock,
    known: Mutex<HashMap<Issuer, Slot>>,
}

/// One issuer's; whoever asks for it holds the lock, so that others wait and need not ask.
type Slot = Arc<AsyncMutex<Option<Known>>>;

#[derive(Clone)]
struct Known {
    metadata: Arc<Metadata>,
    asked_at: DateTime<Utc>,
}

impl Discovery {
    pub(super) fn new(transport: Arc<Transport>, clock: Clock) -> Self {
        Self { transport, clock, known: Mutex::default() }
    }

    /// An issuer's metadata.
    pub(super) async fn metadata(
        &self,
        issuer: &Issuer,
        witness: Option<&dyn Witness>,
    ) -> Result<Arc<Metadata>, Error> {
        let slot = self.slot(issuer);
        let mut slot = slot.lock().await;
        let age = slot.as_ref().map(|known| self.clock.now() - known.asked_at);
        if let (Some(known), Some(age)) = (slot.as_ref(), age)
            && age < FRESH
        {
            return Ok(Arc::clone(&known.metadata));
        }
        match (self.ask(issuer, witness).await, slot.as_ref(), age) {
            (Ok(metadata), ..) => {
                let metadata = Arc::new(metadata);
                let asked_at = self.clock.now();
                *slot = Some(Known { metadata: Arc::clone(&metadata), asked_at });
                Ok(metadata)
            }
            (Err(error), Some(known), Some(age))
                if age < STALE && error.class() != Class::Permanent =>
            {
                warn!(issuer = issuer.url().host_str(), %error, "its former metadata is made do with");
                Ok(Arc::clone(&known.metadata))
            }
            (Err(error), ..) => Err(error),
        }
    }

    /// Asks again the next time: what was told may not hold any more.
    pub(super) fn doubt(&self, issuer: &Issuer) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(issuer);
    }

    async fn ask(&self, issuer: &Issuer, witness: Option<&dyn Witness>) -> Result<Metadata, Error> {
        for request in issuer.requests() {
            let url = request.url().clone();
            let answer = self.transport.send(request).await;
            if let Some(witness) = witness {
                witness.discovery(&url, answer.as_ref());
            }
            let answer = answer?;
            if let Some(metadata) = issuer.read(&answer)? {
                return Ok(metadata);
            }
        }
        Err(issuer.not_found())
    }

    fn slot(&self, issuer: &Issuer) -> Slot {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(issuer.clone()).or_default())
    }
}
