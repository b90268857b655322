//! What a process has whether it leads or not, and what it does while it leads: a term begins with
//! what the caches and the statuses tell, as after a restart, for others may have acted before.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::select;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{CACHES, Context, Instruments, PAUSE, work_on};
use crate::act::{ClusterEdge, Engine, Renewals, Tools, Witness};
use crate::api::{ClusterOAuthClientToken, OAuthClientToken};
use crate::flow::uid;
use crate::record::{Census, CopyLedger, Ledger, ProviderRecorder, Recorder};
use crate::runtime::Access;
use crate::watch::{Caches, Listener, Triggers, WatchSettings};

/// The gate that tells whether this process leads. Who stands by is ready, too.
pub(super) const LEADER: &str = "leader";
pub(super) const STANDBY: &str = "standby";

/// What is still to be told of tokens at the end of a term holds up nobody for longer.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where a process works.
pub(super) struct Office {
    access: Access,
    home: String,
    caches: Arc<Caches>,
    triggers: Triggers,
    memory: Memory,
    tools: Tools,
    pub(super) instruments: Instruments,
    /// Of all terms: what was renewed and could not be kept is nowhere else.
    renewals: Arc<Renewals>,
    /// Tries to keep that, from the first term on that left some of it.
    keeping: Mutex<Option<JoinHandle<()>>>,
}

/// What is remembered of what this process did.
#[derive(Clone)]
struct Memory {
    ledger: Arc<Ledger>,
    copies: Arc<CopyLedger>,
    recorder: Arc<Recorder>,
    /// A provider may have a status to be written.
    providers: Arc<Notify>,
}

impl Listener for Memory {
    fn token_status(&self, token: &OAuthClientToken) {
        let version = token.metadata.resource_version.as_ref().and_then(|v| v.parse().ok());
        self.ledger.see(uid(token), token.status.as_ref(), version);
    }

    fn token_gone(&self, token: &OAuthClientToken) {
        self.ledger.forget(uid(token));
        self.recorder.forget(token);
    }

    fn cluster_token_gone(&self, token: &ClusterOAuthClientToken) {
        let uid = token.metadata.uid.as_deref().unwrap_or_default();
        self.ledger.forget(uid);
        self.copies.forget(uid);
        self.recorder.forget(token);
    }

    fn provider_changed(&self) {
        self.providers.notify_one();
    }
}

impl Office {
    /// Fills the caches.
    pub(super) async fn furnish(
        (access, watch): (Access, WatchSettings),
        tools: Tools,
        instruments: Instruments,
    ) -> Self {
        let memory = Memory {
            ledger: Arc::default(),
            copies: Arc::default(),
            recorder: Arc::new(Recorder::new(&access, tools.lead.clone())),
            providers: Arc::default(),
        };
        let home = watch.cluster_resource_namespace.clone();
        let triggers = Triggers::default();
        let listener = Arc::new(memory.clone());
        let caches = Caches::start(&access.client, watch, triggers.clone(), listener).await;
        info!(tokens = caches.tokens().len(), "caches are filled");
        instruments.readiness.open(CACHES);
        let renewals = Arc::new(Renewals::new(&tools.chance));
        Self {
            access,
            home,
            caches,
            triggers,
            memory,
            tools,
            instruments,
            renewals,
            keeping: Mutex::default(),
        }
    }

    /// Acts until `over` is cancelled, and what was begun by then has ended.
    pub(super) async fn term(&self, over: CancellationToken) {
        self.memory.ledger.clear();
        self.memory.copies.clear();
        self.tell_leading(true);
        let context = self.context(over.clone());
        let census = &self.instruments.census;
        census.look_at(Some(Arc::clone(&context) as Arc<dyn Census>));
        let triggered = self.triggers.listen();
        self.caches.send_all(&self.triggers);
        let client = self.access.client.clone();
        let providers = Arc::clone(&self.memory.providers);
        let lead = self.tools.lead.clone();
        let providers = ProviderRecorder::new((client, lead), context.clock.clone(), providers);
        let providers = tokio::spawn(providers.run(Arc::clone(&self.caches)));
        let work = Box::pin(work_on(&context, triggered, &over));
        work_until(&over, work, || {
            self.tell_leading(false);
            providers.abort();
        })
        .await;
        census.look_at(None);
        self.memory.recorder.file_events(LAST_WORDS).await;
        self.keep_what_is_left(context).await;
    }

    fn context(&self, over: CancellationToken) -> Arc<Context> {
        let tools = self.tools.clone();
        let secrets = Arc::clone(&self.caches.secrets);
        let edge = ClusterEdge::new(self.access.clone(), secrets);
        let edge = edge.at_home_in(&self.home).under(tools.lead.clone());
        let metrics = Arc::clone(&self.instruments.metrics);
        let witness = Arc::clone(&metrics) as Arc<dyn Witness>;
        let (transport, digester) = (Arc::clone(&tools.transport), Arc::clone(&tools.digester));
        let clock = tools.clock.clone();
        let engine = Engine::new(edge, tools).watched_by(witness);
        Arc::new(Context {
            caches: Arc::clone(&self.caches),
            ledger: Arc::clone(&self.memory.ledger),
            copies: Arc::clone(&self.memory.copies),
            recorder: Arc::clone(&self.memory.recorder),
            triggers: self.triggers.clone(),
            transport,
            digester,
            resumed_at: clock.now(),
            clock,
            engine: engine.for_a_term(over, Arc::clone(&self.renewals)),
            metrics,
        })
    }

    fn tell_leading(&self, leads: bool) {
        let Instruments { metrics, readiness, .. } = &self.instruments;
        metrics.note_leading(leads, self.tools.clock.now());
        if readiness.has(LEADER) {
            readiness.open_with(LEADER, if leads { "leading" } else { STANDBY });
        }
    }

    /// What a provider renewed and could not be kept is in this process and nowhere else: it is
    /// tried for as long as the process lives.
    async fn keep_what_is_left(&self, context: Arc<Context>) {
        let stopping = self.tools.stopping.clone();
        if context.engine.catch_up_with_all().await || stopping.is_cancelled() {
            return;
        }
        let mut keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        keeping.get_or_insert_with(|| {
            tokio::spawn(async move {
                while !stopping.is_cancelled() {
                    select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        () = stopping.cancelled() => {}
                    }
                    context.engine.catch_up_with_all().await;
                }
            })
        });
    }

    /// Ends once nothing is left that is worth another try.
    pub(super) async fn leave(self) {
        let keeping = self.keeping.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(keeping) = keeping {
            // It does not panic, and nobody aborts it.
            let _ = keeping.await;
        }
    }
}

/// Waits for the end of this work, which begins nothing more once `over` is cancelled: that is told
/// at once, and in any case.
async fn work_until(over: &CancellationToken, work: impl Future<Output = ()>, tell: impl FnOnce()) {
    let told = async {
        over.cancelled().await;
        tell();
    };
    tokio::join!(work, told);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_term_is_told_also_where_its_work_ends_in_the_same_moment() {
        // Whichever of the two is looked at first.
        for _ in 0..64 {
            let (over, mut told) = (CancellationToken::new(), false);
            over.cancel();
            work_until(&over, over.cancelled(), || told = true).await;
            assert!(told);
        }
    }
}
