//! Writing the token of a master copy to many namespaces. The master copy is read once; a copy is
//! never read.

use futures::stream::{self, StreamExt};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use super::ask::deposed;
use super::publish::{rendered, target_write, times, without_token};
use super::{Case, Edge, Engine, Otherwise};
use crate::api::ClusterOAuthClientToken;
use crate::decide::{CopyChange, CopyOutcome, CopyStep, Rivals, Snapshot};
use crate::error::{Error, Reason};
use crate::render::{Shape, Shown, read_back};

/// Copies under way at once, of all cluster tokens together: there are others who write too, and
/// they are not to wait behind thousands of copies.
const AT_ONCE: usize = 16;

/// The places of copies under way.
pub(super) struct Lanes(Semaphore);

impl Default for Lanes {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Lanes {
    /// Does all of it, each in a place of its own.
    async fn through<F: Future>(&self, work: Vec<F>) -> Vec<F::Output> {
        let placed = work.into_iter().map(|work| async {
            let _place = self.0.acquire().await;
            work.await
        });
        // No list of waiters that is longer than what could begin.
        stream::iter(placed.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await
    }
}

/// Copies to change.
pub struct Spread<'a> {
    /// Whose they are.
    pub token: &'a ClusterOAuthClientToken,
    /// The grant, whose target is the master copy.
    pub grant: &'a Case,
    /// How copies are to be filled, or why that cannot be said.
    pub shape: Result<Shape, Error>,
    /// What to do.
    pub steps: Vec<CopyStep>,
}

impl<E: Edge> Engine<E> {
    /// Changes copies, and tells what came of each. The error is that of reading the master copy.
    pub async fn spread(&self, spread: &Spread<'_>) -> Result<Vec<CopyOutcome>, Error> {
        let writes = |step: &CopyStep| matches!(step.change, CopyChange::Write(_));
        let shown = match spread.steps.iter().any(writes) {
            true => Some(self.master(spread.grant).await?),
            false => None,
        };
        let shown = shown.as_ref();
        let steps: Vec<_> =
            spread.steps.iter().map(|step| self.step(spread, step, shown)).collect();
        let outcomes = self.lanes.through(steps).await;
        let failed = outcomes.iter().filter(|outcome| outcome.error.is_some()).count();
        let name = spread.token.metadata.name.as_deref();
        info!(name, changed = outcomes.len() - failed, failed, "copies were brought up to date");
        Ok(outcomes)
    }

    /// The token that the master copy holds.
    async fn master(&self, grant: &Case) -> Result<Shown, Error> {
        let key = grant.target_key();
        let data = self.edge.read(&key, &grant.snapshot.owner()).await?.unwrap_or_default();
        let held = grant.snapshot.facts.held.as_ref();
        held.and_then(|held| read_back(&data, times(held), &held.outputs)).ok_or_else(|| {
            let message = format!("Secret {key} does not hold the token that was written to it");
            Error::new(Reason::ReadFailed, message)
        })
    }

    async fn step(
        &self,
        spread: &Spread<'_>,
        step: &CopyStep,
        shown: Option<&Shown>,
    ) -> CopyOutcome {
        let done = match &step.change {
            _ if !self.leads() => Err(deposed()),
            CopyChange::Write(_) | CopyChange::Withdraw(_) => {
                self.write_copy(spread, step, shown).await
            }
            CopyChange::Remove => self.edge.leave(&step.key, &spread.grant.snapshot.owner()).await,
        };
        if let Err(error) = &done {
            debug!(secret = %step.key, %error, "a copy could not be brought up to date");
        }
        let tried = step.tried(spread.token.metadata.generation);
        let editor = step.seen.as_ref().and_then(|meta| meta.editor.clone());
        CopyOutcome { key: step.key.clone(), tried, editor, error: done.err() }
    }

    async fn write_copy(
        &self,
        spread: &Spread<'_>,
        step: &CopyStep,
        shown: Option<&Shown>,
    ) -> Result<(), Error> {
        let grant = &spread.grant.snapshot;
        let snapshot = Snapshot {
            token: spread.token.pattern(&step.key.namespace),
            target: step.seen.as_deref().cloned(),
            rivals: Rivals::default(),
            ..grant.clone()
        };
        let inputs = grant.facts.attempted.clone().unwrap_or_default();
        let shape = spread.shape.clone();
        let case = Case { snapshot, materials: None, shape, news: CancellationToken::new() };
        let (held, rendered) = match (&step.change, shown) {
            (CopyChange::Write(held), Some(shown)) => {
                (held, (rendered(&case, shown)?, inputs, Otherwise::LookAgain))
            }
            (CopyChange::Withdraw(held), _) => {
                (held, (without_token(&case, held), inputs, Otherwise::LetBe))
            }
            _ => return Ok(()),
        };
        self.edge.write(target_write(&case, held, rendered)).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[tokio::test]
    async fn all_tokens_share_the_places() {
        let (lanes, now, most) = (Lanes::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |_| async {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::task::yield_now().await;
            now.fetch_sub(1, SeqCst)
        };
        let of_one = || (0..40).map(work).collect::<Vec<_>>();
        let (one, other) = tokio::join!(lanes.through(of_one()), lanes.through(of_one()));
        assert_eq!((one.len(), other.len(), most.into_inner()), (40, 40, AT_ONCE));
    }
}
