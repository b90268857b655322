//! The flow on a cluster: snapshot, decide, act, record. Glue only.

mod census;
mod fan_out;
mod office;
mod queue;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::stream;
use kube::runtime::reflector::ObjectRef;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

use self::office::{LEADER, Office, STANDBY};
use self::queue::{Again, Worker, drive};
use crate::act::{Case, ClusterEdge, Engine, Tools, outline};
use crate::api::annotations::Owner;
use crate::api::{Delivery, OAuthClientToken};
use crate::clock::Clock;
use crate::decide::{
    Facts, Holder, Means, Outcome, SecretKey, Snapshot, TargetMeta, holder, is_held,
};
use crate::error::{Error, Reason};
use crate::flow::{Station, settle, uid};
use crate::oauth::{Digester, Transport};
use crate::record::{CensusCollector, CopyLedger, Ledger, Metrics, Recorder, Transition, Written};
use crate::render::{Shape, target_keys};
use crate::runtime::{Access, Candidacy, Readiness};
use crate::watch::{
    Caches, Known, Materials, Resolved, Trigger, Triggered, Triggers, WatchSettings, materials,
    means, shape,
};

/// Until it is gone on with what did not come to an end.
const PAUSE: Duration = Duration::from_secs(2);

/// The gate that opens once the caches are filled.
const CACHES: &str = "caches";

/// Where the process tells how it is.
#[derive(Clone, Debug)]
pub struct Instruments {
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is looked up.
    pub census: Arc<CensusCollector>,
    /// What is waited for.
    pub readiness: Readiness,
}

impl Instruments {
    /// Those of a process that begins now.
    pub fn new(clock: &Clock) -> Self {
        let metrics = Arc::new(Metrics::new(clock.now()));
        let census = Arc::new(CensusCollector::new(Arc::clone(&metrics), clock.clone()));
        let readiness = Readiness::default();
        readiness.close(CACHES, "they are being filled");
        Self { metrics, census, readiness }
    }
}

/// Everything that a reconciliation needs.
struct Context {
    caches: Arc<Caches>,
    engine: Engine<ClusterEdge>,
    ledger: Arc<Ledger>,
    copies: Arc<CopyLedger>,
    recorder: Arc<Recorder>,
    triggers: Triggers,
    transport: Arc<Transport>,
    digester: Arc<Digester>,
    clock: Clock,
    resumed_at: DateTime<Utc>,
    metrics: Arc<Metrics>,
}

/// What a case is about.
struct Subject {
    /// A token, or what stands for the grant of a cluster token.
    token: Arc<OAuthClientToken>,
    /// Whose its target is.
    owner: Owner,
    /// What tells of news of it.
    trigger: Trigger,
}

/// On which cluster a process works, on what of it, and how it comes to act.
pub struct Place {
    /// The cluster.
    pub access: Access,
    /// What is watched.
    pub watch: WatchSettings,
    /// Whether others may act instead.
    pub candidacy: Candidacy,
}

/// Keeps tokens fresh whenever this process leads, until `tools.stopping` is cancelled; then ends
/// when what was fetched is written. Who does not lead watches all the same.
pub async fn run(place: Place, tools: Tools, instruments: Instruments) {
    let Place { access, watch, candidacy } = place;
    let stopping = tools.stopping.clone();
    let office = tokio::select! {
        office = Office::furnish((access, watch), tools, instruments) => office,
        () = stopping.cancelled() => return,
    };
    if matches!(candidacy, Candidacy::Elected(_)) {
        office.instruments.readiness.open_with(LEADER, STANDBY);
    }
    candidacy.serve(&stopping, |over| office.term(over)).await;
    office.leave().await;
}

/// Reconciles what is triggered until the process is asked to end. How many at once is bounded where
/// it costs something, by provider and for the API server, so that one that hangs holds up no other.
async fn work_on(
    context: &Arc<Context>,
    Triggered { tokens, copies }: Triggered,
    stopping: &CancellationToken,
) {
    let tokens = UnboundedReceiverStream::new(tokens);
    let copies = fan_out::gathered(UnboundedReceiverStream::new(copies));
    let worker = Worker {
        work: |trigger| reconcile(trigger, Arc::clone(context)),
        random: || context.engine.chance.number(),
    };
    drive(stream::select(tokens, copies), worker, stopping).await;
}

async fn reconcile(trigger: Trigger, context: Arc<Context>) -> Again {
    match &trigger {
        Trigger::Token { namespace, name } => {
            let find = || context.caches.token(namespace, name).filter(|token| !is_leaving(token));
            let _attention = context.triggers.attend(trigger.clone());
            settle(&*context, find).await
        }
        Trigger::Grant(name) => {
            let token = context.caches.cluster_tokens().get(&ObjectRef::new(name));
            let Some(token) = token else { return Ok(None) };
            Box::pin(fan_out::reconcile_grant(token, context)).await
        }
        Trigger::Copies(name) => {
            let token = context.caches.cluster_tokens().get(&ObjectRef::new(name));
            let Some(token) = token else { return Ok(None) };
            Box::pin(fan_out::reconcile_copies(token, context)).await
        }
    }
}

/// Whether a token is deleted and nothing is to be done before it goes.
fn is_leaving(token: &OAuthClientToken) -> bool {
    token.metadata.deletion_timestamp.is_some() && !is_held(token)
}

impl Station for Context {
    type Edge = ClusterEdge;

    fn engine(&self) -> &Engine<ClusterEdge> {
        &self.engine
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn case(&self, token: &Arc<OAuthClientToken>) -> Result<Case, Error> {
        let trigger = Trigger::of(token);
        self.caches.secrets.refer(&trigger, self.caches.secrets_of(token));
        let subject = Subject { token: Arc::clone(token), owner: token.owner(), trigger };
        self.assemble(subject, self.caches.resolve(token)).await
    }

    fn witness(&self, case: &Case, outcome: &Outcome) {
        self.metrics.learn(&case.snapshot, outcome, self.clock.now());
    }

    async fn record(
        &self,
        token: &OAuthClientToken,
        change: Transition<'_>,
    ) -> Result<Written, Error> {
        self.recorder.record(token, change).await
    }
}

impl Context {
    /// Everything that is known of a token now.
    async fn assemble(
        &self,
        Subject { token, owner, trigger }: Subject,
        resolved: Result<Resolved, Error>,
    ) -> Result<Case, Error> {
        // Whatever comes from here on is not in it.
        let news = self.triggers.news(&trigger);
        let resolved = match resolved {
            Ok(resolved) => self.confirm(resolved).await?,
            Err(error) => Err(error),
        };
        let materials = resolved.and_then(|found| materials(&token.spec, found, &self.transport));
        let means = match &materials {
            Ok(materials) => self.means(materials).await?,
            Err(error) => Err(error.clone()),
        };
        let endpoint = materials.as_ref().ok().map(|materials| &*materials.endpoint);
        let shape = shape(&token.spec, endpoint);
        let rivals = self.caches.rivals(&token);
        let held_back = self.engine.holds_back(&token, materials.as_ref().ok());
        let mut snapshot = Snapshot {
            token,
            owner,
            facts: Facts::default(),
            means,
            shape: outline(&shape),
            target: None,
            rivals,
            keys: keys(materials.as_ref().ok(), shape.as_ref().ok()),
            holds: true,
            held_back,
            delivery: Delivery::Volume,
            resumed_at: self.resumed_at,
        };
        let target = SecretKey {
            namespace: snapshot.namespace().to_owned(),
            name: snapshot.secret_name().to_owned(),
        };
        let found = self.look(&target).await?;
        snapshot.target = found.map(|meta| Arc::unwrap_or_clone(meta).seen_by(&snapshot.owner()));
        snapshot.facts = self.facts(&snapshot);
        Ok(Case { snapshot, materials: materials.ok(), shape, news })
    }

    /// What is remembered, or what a former process left behind.
    fn facts(&self, snapshot: &Snapshot) -> Facts {
        let uid = uid(&snapshot.token);
        self.ledger.facts(uid).unwrap_or_else(|| {
            let status = self.ledger.status(uid).or_else(|| snapshot.token.status.clone());
            let status = status.unwrap_or_default();
            let owner = snapshot.owner();
            let own = snapshot
                .target
                .as_ref()
                .filter(|meta| holder(meta, &owner) == Holder::Us || !meta.owned_keys.is_empty());
            let facts = Facts::restore(&status, own, snapshot.secret_name());
            self.ledger.open_once(uid, facts, &status)
        })
    }

    /// What a decision needs to know of the materials, or that the credentials are missing. The
    /// outer error is the API server's.
    async fn means(&self, materials: &Materials) -> Result<Result<Means, Error>, Error> {
        let Some(credentials) = &materials.credentials else {
            return Ok(Ok(means(materials, "", &self.digester)));
        };
        Ok(match self.look(&credentials.secret).await? {
            Some(meta) => {
                let version = format!("{}:{}", meta.uid, meta.resource_version);
                Ok(means(materials, &version, &self.digester))
            }
            None => Err(credentials_not_found(&credentials.secret)),
        })
    }

    /// Makes sure that every token that this one is made from is good. The outer error is the API
    /// server's.
    async fn confirm(&self, resolved: Resolved) -> Result<Result<Resolved, Error>, Error> {
        let mut parents = Vec::new();
        for parent in resolved.parents {
            let meta = self.look(&parent.target).await?;
            match parent.confirm(meta.as_deref(), self.clock.now()) {
                Ok(parent) => parents.push(parent),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(Ok(Resolved { parents, ..resolved }))
    }

    /// A Secret's metadata. A name that the index knows nothing of is looked up once.
    async fn look(&self, key: &SecretKey) -> Result<Option<Arc<TargetMeta>>, Error> {
        match self.caches.secrets.known(key) {
            Known::Absent(_) => Ok(None),
            Known::Present(meta) => Ok(Some(meta)),
            Known::Nothing => Ok(self.engine.edge.look(key).await?.map(Arc::new)),
        }
    }
}

/// The keys that a token may need in its target, as far as they are known.
fn keys(materials: Option<&Materials>, shape: Option<&Shape>) -> BTreeSet<String> {
    let (Some(materials), Some(shape)) = (materials, shape) else { return BTreeSet::new() };
    let declared = shape.outline().keys;
    let outputs = materials.endpoint.output_names();
    target_keys(outputs.chain(declared.iter().map(String::as_str)))
}

fn credentials_not_found(key: &SecretKey) -> Error {
    let message = format!("credentials Secret {key} does not exist");
    Error::new(Reason::CredentialsNotFound, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::FetchOrder;

    /// Of the tokens of a provider that hangs, or of many that are new, each has one of these.
    #[test]
    fn a_token_that_waits_for_its_turn_takes_little() {
        fn size<I, F>(_: impl Fn(I) -> F) -> usize {
            size_of::<F>()
        }
        let reconciling = size(|(trigger, context)| reconcile(trigger, context));
        let queueing = size(|(engine, case, order): (&Engine<ClusterEdge>, &Case, &FetchOrder)| {
            engine.queue(case, order)
        });
        assert!(reconciling <= 1 << 10 && queueing <= 1 << 10, "{reconciling} {queueing}");
        let telling = size(|(context, change): (&Context, (&OAuthClientToken, Transition<'_>))| {
            context.record(change.0, change.1)
        });
        assert!(telling <= 1 << 10, "{telling}");
    }
}
