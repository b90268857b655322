//! The flow on a cluster: snapshot, decide, act, record. Glue only.

mod census;
mod fan_out;
mod office;
mod pauses;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt};
use kube::Resource;
use kube::runtime::Controller;
use kube::runtime::controller::{self, Action, Config};
use kube::runtime::reflector::{ObjectRef, Store};
use serde::de::DeserializeOwned;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use self::office::{LEADER, Office, STANDBY};
use self::pauses::Pauses;
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
use crate::record::{CensusCollector, CopyLedger, Ledger, Metrics, Recorder, Transition};
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

/// Reconciles every kind that there is.
async fn work_on(
    context: &Arc<Context>,
    Triggered { tokens, grants, copies }: Triggered,
    (cluster_kinds, stopping): (bool, CancellationToken),
) {
    let caches = Arc::clone(&context.caches);
    let work = (Arc::clone(context), stopping);
    let tokens = UnboundedReceiverStream::new(tokens);
    let tokens = drive((caches.tokens().clone(), tokens), reconcile, work.clone());
    if !cluster_kinds {
        return tokens.await;
    }
    let reader = caches.cluster_tokens();
    let grants = UnboundedReceiverStream::new(grants);
    let copies = fan_out::gathered(UnboundedReceiverStream::new(copies));
    let grants = drive((reader.clone(), grants), fan_out::reconcile_grant, work.clone());
    let copies = drive((reader.clone(), copies), fan_out::reconcile_copies, work);
    tokio::join!(tokens, grants, copies);
}

/// Reconciles what is triggered until the process is asked to end.
async fn drive<K, F>(
    (reader, triggered): (Store<K>, impl Stream<Item = ObjectRef<K>> + Send + 'static),
    reconcile: fn(Arc<K>, Arc<Context>) -> F,
    (context, stopping): (Arc<Context>, CancellationToken),
) where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let pauses = Arc::new(Pauses::default());
    let failed = Arc::clone(&pauses);
    // Triggers come from our own watches. Concurrency is bounded where it costs something: by
    // provider and for the API server, so that one that hangs holds up no other.
    Controller::for_stream(futures::stream::pending(), reader)
        .reconcile_on(triggered)
        .with_config(Config::default())
        .graceful_shutdown_on(stopping.cancelled_owned())
        .run(
            reconcile,
            move |object, _: &Error, context: Arc<Context>| {
                let object = ObjectRef::from_obj(&*object).to_string();
                Action::requeue(failed.next(object, context.engine.chance.number()))
            },
            context,
        )
        .for_each(|result| async {
            match result {
                Ok((object, _)) => pauses.end(&object.to_string()),
                Err(controller::Error::ReconcilerFailed(error, token)) => {
                    warn!(%token, %error, "it is tried again");
                }
                Err(error) => debug!(%error, "a reconciliation did not begin"),
            }
        })
        .await;
}

async fn reconcile(token: Arc<OAuthClientToken>, context: Arc<Context>) -> Result<Action, Error> {
    let deleted = token.metadata.deletion_timestamp.is_some();
    if deleted && !is_held(&token) {
        return Ok(Action::await_change());
    }
    let _attention = context.triggers.attend(Trigger::of(&token));
    let wait = settle(&*context, &token).await?;
    Ok(wait.map_or_else(Action::await_change, Action::requeue))
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

    async fn record(&self, token: &OAuthClientToken, change: Transition<'_>) -> Result<(), Error> {
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
        snapshot.target = found.map(|meta| (*meta).clone().seen_by(&snapshot.owner()));
        snapshot.facts = self.facts(&snapshot);
        Ok(Case { snapshot, materials: materials.ok(), shape, news })
    }

    /// What is remembered, or what a former process left behind.
    fn facts(&self, snapshot: &Snapshot) -> Facts {
        let uid = uid(&snapshot.token);
        self.ledger.facts(uid).unwrap_or_else(|| {
            let status = snapshot.token.status.clone().unwrap_or_default();
            let owner = snapshot.owner();
            let own = snapshot
                .target
                .as_ref()
                .filter(|meta| holder(meta, &owner) == Holder::Us || !meta.owned_keys.is_empty());
            let facts = Facts::restore(&status, own, snapshot.secret_name());
            self.ledger.open_once(uid, facts, status)
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

    /// A Secret's metadata. Absence from the index proves nothing: a new name is looked up once.
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

    /// Of the tokens of a provider that hangs, or of many that are new, each has one of these.
    #[test]
    fn a_token_that_waits_for_its_turn_takes_a_few_kilobytes() {
        fn size<I, F>(_: impl Fn(I) -> F) -> usize {
            size_of::<F>()
        }
        let reconciling = size(|(token, context)| reconcile(token, context));
        let acting = size(|(context, case, plan): (&'static Context, &'static Case, _)| {
            context.engine.carry_out(case, plan)
        });
        assert!(reconciling <= 6 << 10 && acting <= 1 << 10, "{reconciling} {acting}");
    }
}
