//! What follows a write for readers that do not watch the target: pods are nudged, workloads
//! restarted.

use chrono::{DateTime, Utc};
use tracing::{info, warn};

use super::{Case, Edge, Engine};
use crate::api::annotations::whole_seconds;
use crate::api::{WorkloadRef, keys};
use crate::decide::{FetchOrder, HeldToken, Outcome, Renewal, Restarts, SecretKey};

/// A restart that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Restart<'a> {
    /// What to restart.
    pub workload: &'a WorkloadRef,
    /// The target that it reads.
    pub target: &'a SecretKey,
    /// When the token in the target took another's place.
    pub changed_at: DateTime<Utc>,
    /// Now.
    pub now: DateTime<Utc>,
}

impl<E: Edge> Engine<E> {
    /// Restarts the workloads that the spec names, those that were not restarted since.
    pub(super) async fn restart(&self, case: &Case, changed_at: DateTime<Utc>) -> Outcome {
        let target = case.target_key();
        let now = self.clock.now();
        let (mut remarks, mut later, mut failed) = (Vec::new(), None::<DateTime<Utc>>, None);
        for workload in &case.snapshot.token.spec.target.restart {
            let wanted = Restart { workload, target: &target, changed_at, now };
            match self.edge.restart(wanted).await {
                Ok(Restarts::Done(None)) => info!(%target, %workload, "it reads the new token"),
                Ok(Restarts::Done(Some(remark))) => remarks.push(remark),
                Ok(Restarts::Later(at)) => later = Some(later.map_or(at, |other| other.min(at))),
                Ok(Restarts::Failed(error, _)) | Err(error) => {
                    warn!(%target, %workload, %error, "it could not be restarted");
                    failed = Some(error);
                }
            }
        }
        let restarts = match (failed, later) {
            (Some(error), later) => Restarts::Failed(error, later),
            (None, Some(at)) => Restarts::Later(at),
            (None, None) => Restarts::Done((!remarks.is_empty()).then(|| remarks.join("; "))),
        };
        Outcome::Restarted { changed_at, restarts }
    }

    /// An order that knows the token that is there. Over a restart that is forgotten; where
    /// workloads are restarted it is looked up, so that none is for a token that was prolonged.
    pub(super) async fn recognise(&self, case: &Case, order: FetchOrder) -> FetchOrder {
        let restarts = !case.snapshot.token.spec.target.restart.is_empty();
        let unknown = |held: &HeldToken| held.fingerprint.is_none();
        let Some(held) = order.held.clone().filter(|held| restarts && unknown(held)) else {
            return order;
        };
        let place = case.secret_key(&held.secret_name);
        let data = self.edge.read(&place, &case.snapshot.owner()).await;
        let token = data.ok().flatten().and_then(|mut data| data.remove(keys::ACCESS_TOKEN));
        let fingerprint = token.map(|token| self.digester.token(&token));
        FetchOrder { held: Some(HeldToken { fingerprint, ..held }), ..order }
    }

    /// When the token that is about to be written takes another's place, where workloads are
    /// restarted for that.
    pub(super) fn changed_at(
        &self,
        case: &Case,
        order: &FetchOrder,
        renewal: Renewal,
    ) -> Option<DateTime<Utc>> {
        if case.snapshot.token.spec.target.restart.is_empty() {
            return None;
        }
        let former = order.held.as_ref()?;
        match renewal {
            Renewal::Same | Renewal::Prolonged => former.changed_at,
            Renewal::Longer | Renewal::NoLonger => Some(whole_seconds(self.clock.now())),
        }
    }

    /// Nudges the pods that mount a target, where the spec asks for that; tells what hindered it.
    pub(super) async fn nudge(&self, case: &Case) -> Option<String> {
        if !case.snapshot.token.spec.target.nudge {
            return None;
        }
        let target = case.target_key();
        let error = self.edge.nudge(&target, self.clock.now()).await.err()?;
        warn!(%target, %error, "its pods were not nudged");
        Some(error.message().to_owned())
    }
}
