//! The flow on a cluster: snapshot, decide, act, record. Glue only.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use kube::ResourceExt;
use kube::runtime::Controller;
use kube::runtime::controller::{self, Action, Config};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tracing::{debug, info, warn};

use crate::act::{Case, ClusterEdge, Engine, Load, Tools, Witness, outline};
use crate::api::conditions::{self, FRESH, READY};
use crate::api::{Delivery, OAuthClientToken, OnExpiry};
use crate::clock::Clock;
use crate::decide::{
    Facts, Holder, Means, Outcome, SecretKey, Snapshot, TargetMeta, holder, is_held,
};
use crate::error::{Error, Reason};
use crate::flow::{Station, settle, uid};
use crate::oauth::{Digester, Transport};
use crate::record::{
    Census, CensusCollector, Ledger, Metrics, ProviderRecorder, Recorder, Sighting, Times,
    Transition,
};
use crate::render::{Shape, target_keys};
use crate::runtime::{Access, Readiness};
use crate::watch::{
    Caches, Known, Listener, Materials, Resolved, Trigger, WatchSettings, materials, means, shape,
};

/// Until a token is looked at again that could not be read or recorded.
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
    recorder: Arc<Recorder>,
    transport: Arc<Transport>,
    digester: Arc<Digester>,
    clock: Clock,
    resumed_at: DateTime<Utc>,
    metrics: Arc<Metrics>,
}

/// What follows from watching.
struct CacheListener {
    ledger: Arc<Ledger>,
    recorder: Arc<Recorder>,
    providers: Arc<Notify>,
    metrics: Arc<Metrics>,
}

impl Listener for CacheListener {
    fn token_gone(&self, token: &OAuthClientToken) {
        self.ledger.forget(uid(token));
        self.recorder.forget(token);
    }

    fn provider_changed(&self) {
        self.providers.notify_one();
    }

    fn provider_gone(&self, name: &str) {
        self.metrics.forget_provider(name);
    }
}

/// Keeps tokens fresh until `tools.stopping` is cancelled; then ends when what was fetched is
/// written.
pub async fn run(
    access: Access,
    settings: WatchSettings,
    tools: Tools,
    Instruments { metrics, census, readiness }: Instruments,
) {
    let client = access.client.clone();
    let ledger = Arc::new(Ledger::default());
    let recorder = Arc::new(Recorder::new(client.clone()));
    let providers = Arc::new(Notify::new());
    let listener = CacheListener {
        ledger: Arc::clone(&ledger),
        recorder: Arc::clone(&recorder),
        providers: Arc::clone(&providers),
        metrics: Arc::clone(&metrics),
    };
    let home = settings.cluster_resource_namespace.clone();
    let (triggers, triggered) = mpsc::unbounded_channel();
    let stopping = tools.stopping.clone();
    let filled = Caches::start(&client, settings, triggers, Arc::new(listener));
    let caches = tokio::select! {
        caches = filled => caches,
        () = stopping.cancelled() => return,
    };
    info!(tokens = caches.tokens().state().len(), "caches are filled");
    readiness.open(CACHES);
    let clock = tools.clock.clone();
    let provider_recorder = ProviderRecorder::new(client, clock.clone(), providers);
    tokio::spawn(provider_recorder.run(Arc::clone(&caches)));
    let edge = ClusterEdge::new(access, Arc::clone(&caches.secrets)).at_home_in(&home);
    let context = Arc::new(Context {
        ledger,
        recorder,
        transport: Arc::clone(&tools.transport),
        digester: Arc::clone(&tools.digester),
        resumed_at: clock.now(),
        clock,
        engine: Engine::new(edge, tools).watched_by(Arc::clone(&metrics) as Arc<dyn Witness>),
        metrics,
        caches,
    });
    census.open(Arc::clone(&context) as Arc<dyn Census>);
    drive(Arc::clone(&context), triggered, stopping.cancelled_owned()).await;
    context.engine.catch_up_with_all().await;
}

async fn drive(
    context: Arc<Context>,
    triggered: mpsc::UnboundedReceiver<Trigger>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let reader = context.caches.tokens().clone();
    // Triggers come from our own watches. Concurrency is bounded where it costs something: by
    // provider and for the API server, so that one that hangs holds up no other.
    Controller::for_stream(futures::stream::pending(), reader)
        .reconcile_on(UnboundedReceiverStream::new(triggered))
        .with_config(Config::default())
        .graceful_shutdown_on(stop)
        .run(reconcile, |_, _: &Error, _| Action::requeue(PAUSE), context)
        .for_each(|result| async move {
            match result {
                Ok(_) => {}
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
        let reference: Trigger = ObjectRef::from_obj(&**token);
        self.caches.secrets.refer(&reference, self.caches.secrets_of(token));
        let resolved = match self.caches.resolve(token) {
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
        let mut snapshot = Snapshot {
            token: Arc::clone(token),
            facts: Facts::default(),
            means,
            shape: outline(&shape),
            target: None,
            rivals: self.caches.rivals(token),
            keys: keys(materials.as_ref().ok(), shape.as_ref().ok()),
            holds: true,
            held_back: self.engine.holds_back(token, materials.as_ref().ok()),
            delivery: Delivery::Volume,
            resumed_at: self.resumed_at,
        };
        let target = SecretKey {
            namespace: token.namespace().unwrap_or_default(),
            name: snapshot.secret_name().to_owned(),
        };
        let found = self.look(&target).await?;
        snapshot.target = found.map(|meta| (*meta).clone().seen_by(&snapshot.owner()));
        snapshot.facts = self.facts(&snapshot);
        Ok(Case { snapshot, materials: materials.ok(), shape })
    }

    fn witness(&self, case: &Case, outcome: &Outcome) {
        self.metrics.learn(&case.snapshot, outcome, self.clock.now());
    }

    async fn record(&self, token: &OAuthClientToken, change: Transition<'_>) -> Result<(), Error> {
        self.recorder.record(token, change).await
    }
}

impl Census for Context {
    fn tokens(&self) -> Vec<Sighting> {
        let tokens = self.caches.tokens().state();
        tokens.iter().filter_map(|token| self.sight(token)).collect()
    }

    fn load(&self) -> Vec<Load> {
        self.engine.load()
    }
}

impl Context {
    /// How a token stands; `None` where it was not looked at yet.
    fn sight(&self, token: &OAuthClientToken) -> Option<Sighting> {
        let namespace = token.namespace().unwrap_or_default();
        self.ledger.look(uid(token), |facts, status| {
            let fresh = conditions::find(&status.conditions, FRESH);
            Sighting {
                name: token.name_any(),
                provider: token.spec.provider_ref.full_name(&namespace),
                namespace,
                times: facts
                    .held
                    .as_ref()
                    .map(|held| Times { expires_at: held.expires_at, refresh_at: held.refresh_at }),
                may_expire: token.spec.suspend
                    || token.spec.on_expiry == OnExpiry::Remove
                    || token.metadata.deletion_timestamp.is_some(),
                is_ready: conditions::is_true(&status.conditions, READY),
                fresh: fresh.map(|fresh| fresh.reason.clone()).unwrap_or_default(),
            }
        })
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
            self.ledger.open(uid, facts.clone(), status);
            facts
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
