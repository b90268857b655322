//! What issuers tell of themselves, asked for once and remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex as AsyncMutex;
use tracing::warn;

use super::witness::Witness;
use crate::clock::Clock;
use crate::error::Error;
use crate::oauth::{Issuer, Metadata, Transport};

/// How long metadata is taken for granted.
const FRESH: TimeDelta = TimeDelta::hours(1);
/// How long it is made do with where the issuer does not tell it any more.
const STALE: TimeDelta = TimeDelta::hours(24);
/// An issuer is asked again no sooner than this.
const PAUSE: TimeDelta = TimeDelta::seconds(10);
/// Issuers that are remembered.
const MOST_ISSUERS: usize = 1024;

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
    told_at: DateTime<Utc>,
    /// When to ask again.
    due_at: DateTime<Utc>,
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
        let now = self.clock.now();
        if let Some(known) = slot.as_ref().filter(|known| known.due_at > now) {
            return Ok(Arc::clone(&known.metadata));
        }
        match (self.ask(issuer, witness).await, slot.as_mut()) {
            (Ok(metadata), _) => {
                let metadata = Arc::new(metadata);
                let known =
                    Known { metadata: Arc::clone(&metadata), told_at: now, due_at: now + FRESH };
                *slot = Some(known);
                Ok(metadata)
            }
            (Err(error), Some(known)) if now - known.told_at < STALE => {
                warn!(issuer = issuer.url().host_str(), %error, "its former metadata is made do with");
                known.due_at = now + PAUSE;
                Ok(Arc::clone(&known.metadata))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// What was told may not hold any more: the issuer is asked again the next time. Where it does
    /// not answer then, it is made do with all the same.
    pub(super) async fn doubt(&self, issuer: &Issuer) {
        if let Some(known) = self.slot(issuer).lock().await.as_mut() {
            known.due_at = known.told_at;
        }
    }

    /// Asks at each place in turn. What is wrong at one is told only where no other has it.
    async fn ask(&self, issuer: &Issuer, witness: Option<&dyn Witness>) -> Result<Metadata, Error> {
        let mut wrong = None;
        for request in issuer.requests() {
            let url = request.url().clone();
            let answer = self.transport.send(request).await;
            if let Some(witness) = witness {
                witness.discovery(&url, answer.as_ref());
            }
            match issuer.read(&answer?) {
                Ok(Some(metadata)) => return Ok(metadata),
                Ok(None) => {}
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        Err(wrong.unwrap_or_else(|| issuer.not_found()))
    }

    fn slot(&self, issuer: &Issuer) -> Slot {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_ISSUERS && !known.contains_key(issuer) {
            known.clear();
        }
        Arc::clone(known.entry(issuer.clone()).or_default())
    }
}
