//! The flow on a cluster: snapshot, decide, act, record. Glue only.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use kube::Client;
use kube::ResourceExt;
use kube::runtime::Controller;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tracing::{debug, info};

use crate::act::{Case, ClusterEdge, Engine, Tools};
use crate::api::OAuthClientToken;
use crate::api::conditions::Stamp;
use crate::clock::Clock;
use crate::decide::{
    Delivery, Facts, Holder, Lesson, Outcome, Plan, SecretKey, Snapshot, TargetMeta, decide, holder,
};
use crate::error::Error;
use crate::oauth::{Digester, Transport};
use crate::record::{Ledger, ProviderRecorder, Recorder, Standing, status};
use crate::runtime::random;
use crate::watch::{Caches, Known, Listener, Trigger, WatchSettings, materials, means};

/// Decisions in a row for one token before others get a turn; two or three are usual.
const ROUNDS: usize = 6;
/// Until a token is looked at again whose rounds were used up, or whose status was not taken.
const PAUSE: Duration = Duration::from_secs(2);
/// A timer is never set beyond this, and never below [`SHORTEST_WAIT`].
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// A requeue of zero or less would spin.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

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
}

/// What follows from watching.
struct Ears {
    ledger: Arc<Ledger>,
    recorder: Arc<Recorder>,
    providers: Arc<Notify>,
}

impl Listener for Ears {
    fn token_gone(&self, token: &OAuthClientToken) {
        self.ledger.forget(&token.uid().unwrap_or_default());
        self.recorder.forget(token);
    }

    fn provider_changed(&self) {
        self.providers.notify_one();
    }
}

/// Keeps tokens fresh until `tools.stopping` is cancelled; then ends when what was fetched is
/// written.
pub async fn run(client: Client, settings: WatchSettings, tools: Tools) {
    let ledger = Arc::new(Ledger::default());
    let recorder = Arc::new(Recorder::new(client.clone()));
    let providers = Arc::new(Notify::new());
    let ears = Ears {
        ledger: Arc::clone(&ledger),
        recorder: Arc::clone(&recorder),
        providers: Arc::clone(&providers),
    };
    let (triggers, triggered) = mpsc::unbounded_channel();
    let stopping = tools.stopping.clone();
    let filled = Caches::start(&client, settings, triggers, Arc::new(ears));
    let caches = tokio::select! {
        caches = filled => caches,
        () = stopping.cancelled() => return,
    };
    info!(tokens = caches.tokens().state().len(), "caches are filled");
    let clock = tools.clock.clone();
    let provider_recorder = ProviderRecorder::new(client.clone(), clock.clone(), providers);
    tokio::spawn(provider_recorder.run(Arc::clone(&caches)));
    let context = Arc::new(Context {
        ledger,
        recorder,
        transport: Arc::clone(&tools.transport),
        digester: Arc::clone(&tools.digester),
        resumed_at: clock.now(),
        clock,
        engine: Engine::new(ClusterEdge::new(client, Arc::clone(&caches.secrets)), tools),
        caches,
    });
    drive(context, triggered, stopping.cancelled_owned()).await;
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
            if let Err(error) = result {
                debug!(%error, "a reconciliation ended early");
            }
        })
        .await;
}

async fn reconcile(token: Arc<OAuthClientToken>, context: Arc<Context>) -> Result<Action, Error> {
    if token.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    for _ in 0..ROUNDS {
        let case = context.case(&token).await?;
        let now = context.clock.now();
        let outcome = match decide(&case.snapshot, now, random()) {
            Plan::Wait { until, next_attempt_at, verdicts } => {
                let stamp = Stamp { now, generation: token.metadata.generation };
                context.record(&token, Standing { verdicts, next_attempt_at, stamp }).await?;
                return Ok(wake(until, context.clock.now()));
            }
            plan => context.act(&case, plan).await,
        };
        let Some(outcome) = outcome else { return Ok(Action::await_change()) };
        context.learn(&case, outcome);
    }
    Ok(Action::requeue(PAUSE))
}

fn wake(until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Action {
    match until {
        None => Action::await_change(),
        Some(until) => {
            let wait = (until - now).to_std().unwrap_or_default();
            Action::requeue(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT))
        }
    }
}

impl Context {
    async fn case(&self, token: &Arc<OAuthClientToken>) -> Result<Case, Error> {
        let reference: Trigger = ObjectRef::from_obj(&**token);
        self.caches.secrets.refer(&reference, self.caches.secrets_of(token));
        let resolved = self.caches.resolve(token);
        let materials = resolved.and_then(|found| materials(&token.spec, found, &self.transport));
        let means = match &materials {
            Ok(materials) => match self.look(&materials.credentials).await? {
                Some(meta) => {
                    let version = format!("{}:{}", meta.uid, meta.resource_version);
                    Ok(means(materials, &version, &self.digester))
                }
                None => Err(credentials_not_found(&materials.credentials)),
            },
            Err(error) => Err(error.clone()),
        };
        let mut snapshot = Snapshot {
            token: Arc::clone(token),
            facts: Facts::default(),
            means,
            target: None,
            delivery: Delivery::Volume,
            resumed_at: self.resumed_at,
        };
        let target = SecretKey {
            namespace: token.namespace().unwrap_or_default(),
            name: snapshot.secret_name().to_owned(),
        };
        snapshot.target = self.look(&target).await?.map(|meta| (*meta).clone());
        snapshot.facts = self.facts(&snapshot);
        Ok(Case { snapshot, materials: materials.ok() })
    }

    /// What is remembered, or what a former process left behind.
    fn facts(&self, snapshot: &Snapshot) -> Facts {
        let uid = snapshot.token.uid().unwrap_or_default();
        self.ledger.facts(&uid).unwrap_or_else(|| {
            let status = snapshot.token.status.clone().unwrap_or_default();
            let owner = snapshot.owner();
            let own = snapshot.target.as_ref().filter(|meta| holder(meta, &owner) == Holder::Us);
            let facts = Facts::restore(&status, own, snapshot.secret_name());
            self.ledger.open(&uid, facts.clone(), status);
            facts
        })
    }

    /// A Secret's metadata. Absence from the index proves nothing: a new name is looked up once.
    async fn look(&self, key: &SecretKey) -> Result<Option<Arc<TargetMeta>>, Error> {
        match self.caches.secrets.known(key) {
            Known::Absent => Ok(None),
            Known::Present(meta) => Ok(Some(meta)),
            Known::Nothing => Ok(self.engine.edge.look(key).await?.map(Arc::new)),
        }
    }

    async fn act(&self, case: &Case, plan: Plan) -> Option<Outcome> {
        match (plan, &case.materials) {
            (Plan::VerifyInputs, Some(materials)) => {
                Some(self.engine.verify(case, materials).await)
            }
            (Plan::Fetch(order), Some(materials)) => {
                self.engine.fetch(case, materials, order).await
            }
            (Plan::WriteAgain { from, held }, _) => {
                Some(self.engine.write_again(case, &from, held).await)
            }
            // Without means there is nothing but waiting to be planned.
            (Plan::Wait { .. } | Plan::VerifyInputs | Plan::Fetch(_), _) => None,
        }
    }

    fn learn(&self, case: &Case, outcome: Outcome) {
        let lesson = Lesson {
            now: self.clock.now(),
            min_interval: case.snapshot.means.as_ref().ok().and_then(|means| means.min_interval),
            random: random(),
        };
        let uid = case.snapshot.token.uid().unwrap_or_default();
        self.ledger.learn(&uid, outcome, lesson);
    }

    async fn record(&self, token: &OAuthClientToken, standing: Standing) -> Result<(), Error> {
        let uid = token.uid().unwrap_or_default();
        let Some(facts) = self.ledger.facts(&uid) else { return Ok(()) };
        let before = self.ledger.written(&uid);
        let after = status(&facts, standing, &before.conditions);
        if after != before {
            self.recorder.record(token, &before, &after).await?;
            self.ledger.note_written(&uid, after);
        }
        Ok(())
    }
}

fn credentials_not_found(key: &SecretKey) -> Error {
    let message = format!("credentials Secret {key} does not exist");
    Error::new(crate::error::Reason::CredentialsNotFound, message)
}
