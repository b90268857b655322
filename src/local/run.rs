//! The flow over a directory: snapshot, decide, act, record, as on a cluster.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use kube::ResourceExt;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::Source;
use super::edge::LocalEdge;
use super::generations::generations;
use super::state::State;
use crate::act::{Case, Edge, Engine, Tools, outline};
use crate::api::conditions::{self, FRESH, READY};
use crate::api::{CreationPolicy, DeletionPolicy, Delivery, OAuthClientToken, RevokeOn};
use crate::clock::Clock;
use crate::decide::{Facts, Holder, Means, Outline, Rivals, SecretKey, Snapshot, holder};
use crate::error::{Error, Reason};
use crate::flow::{Station, settle, uid};
use crate::oauth::{Digester, Transport, TransportSettings};
use crate::record::{Ledger, Transition, Written, notices};
use crate::runtime::{Chance, Lead};
use crate::watch::{Resolved, materials, means, shape};

/// Until a token is looked at again that could not be read or recorded.
const PAUSE: Duration = Duration::from_secs(2);
/// A target that is lost is noticed within this.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long a token is missing from the manifests before its target goes: whoever writes a file
/// in steps is not to lose it.
const FAREWELL: Duration = Duration::from_secs(10);
/// With `--once`: what is due this soon is waited for.
const WORTH_WAITING: Duration = Duration::from_secs(4);

/// What a run needs.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// Where targets are written.
    pub out: PathBuf,
    /// What token requests may do.
    pub transport: TransportSettings,
}

/// Keeps the tokens of a [`Source`] fresh under a directory.
pub struct Runner {
    state: State,
    engine: Engine<LocalEdge>,
    ledger: Ledger,
    transport: Arc<Transport>,
    digester: Arc<Digester>,
    clock: Clock,
    stopping: CancellationToken,
    /// Bumped whenever the manifests changed.
    changed: watch::Sender<u64>,
}

/// How a token stands.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// `NAMESPACE/NAME`.
    pub token: String,
    /// Whether its target holds a good token.
    pub ready: bool,
    /// Why not, or why its last refresh failed.
    pub trouble: Option<String>,
}

impl Runner {
    /// Opens OUT. Errors are for people.
    pub fn open(
        settings: LocalSettings,
        source: Source,
        stopping: CancellationToken,
    ) -> Result<Self, String> {
        let LocalSettings { out, transport } = settings;
        let state = State::open(&out).map_err(|error| format!("{}: {error}", out.display()))?;
        let clock = Clock::system();
        let transport = Arc::new(Transport::new(transport, clock.clone()));
        let digester = Arc::new(Digester::new(&state.key()?));
        let tools = Tools {
            transport: Arc::clone(&transport),
            digester: Arc::clone(&digester),
            clock: clock.clone(),
            chance: Chance::system(),
            stopping: stopping.clone(),
            lead: Lead::unopposed(),
        };
        let engine = Engine::new(LocalEdge::new(out, Arc::new(source)), tools);
        let (changed, _) = watch::channel(0);
        Ok(Self {
            state,
            engine,
            ledger: Ledger::default(),
            transport,
            digester,
            clock,
            stopping,
            changed,
        })
    }

    /// Fetches what is due and tells how each token stands. What others are made from comes first.
    pub async fn once(self: Arc<Self>) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for generation in generations(self.engine.edge.source().tokens()) {
            let mut tasks = JoinSet::new();
            for token in generation {
                let runner = Arc::clone(&self);
                // A person is waiting: no backoff of an earlier run holds this one up.
                runner.take_up(&token, |facts| Facts { retry_at: None, ..facts });
                tasks.spawn(async move {
                    let done = runner.fetch_what_is_due(&token).await;
                    runner.verdict(&token, done.as_ref().err())
                });
            }
            verdicts.extend(tasks.join_all().await);
        }
        self.engine.catch_up_with_all().await;
        verdicts.sort_by(|a, b| a.token.cmp(&b.token));
        verdicts
    }

    async fn fetch_what_is_due(&self, token: &Arc<OAuthClientToken>) -> Result<(), Error> {
        let asked = || self.ledger.facts(uid(token)).and_then(|facts| facts.last_attempt_at);
        let before = asked();
        let wait = settle(self, || Some(Arc::clone(token))).await?;
        // Due in a moment: an urgent request waits for its interval.
        if let Some(wait) = wait.filter(|wait| *wait <= WORTH_WAITING && asked() == before) {
            tokio::time::sleep(wait).await;
            settle(self, || Some(Arc::clone(token))).await?;
        }
        Ok(())
    }

    /// Keeps tokens fresh until the runner is stopped. New manifests come out of `sources`.
    pub async fn keep(self: Arc<Self>, mut sources: mpsc::Receiver<Source>) {
        let mut tasks = JoinSet::new();
        let mut running = HashSet::new();
        loop {
            self.start_tasks(&mut tasks, &mut running);
            tokio::select! {
                () = self.stopping.cancelled() => break,
                source = sources.recv() => match source {
                    Some(source) => {
                        self.engine.edge.replace(Arc::new(source));
                        self.changed.send_modify(|version| *version += 1);
                    }
                    None => self.stopping.cancelled().await,
                },
            }
        }
        // Every task ends when what it fetched is written.
        while tasks.join_next().await.is_some() {}
        self.engine.catch_up_with_all().await;
    }

    /// One task for each token that was ever seen.
    fn start_tasks(self: &Arc<Self>, tasks: &mut JoinSet<()>, running: &mut HashSet<String>) {
        for token in self.engine.edge.source().tokens() {
            if running.insert(full_name(token)) {
                let (runner, token) = (Arc::clone(self), Arc::clone(token));
                tasks.spawn(async move { runner.keep_one(token).await });
            }
        }
    }

    /// Keeps one token fresh, as long as it is in the manifests, and again whenever it is.
    async fn keep_one(&self, mut token: Arc<OAuthClientToken>) {
        let mut changed = self.changed.subscribe();
        let mut taken_up = false;
        while !self.stopping.is_cancelled() {
            changed.borrow_and_update();
            let source = self.engine.edge.source();
            let present = source.tokens().iter().find(|other| uid(other) == uid(&token));
            let wait = match present {
                Some(present) => {
                    token = Arc::clone(present);
                    if !std::mem::replace(&mut taken_up, true) {
                        self.take_up(&token, |facts| facts);
                    }
                    let wait = self.pass(&token).await;
                    wait.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)
                }
                None if taken_up => FAREWELL,
                None => Duration::MAX,
            };
            let slept = tokio::select! {
                () = self.stopping.cancelled() => false,
                () = tokio::time::sleep(wait) => true,
                _ = changed.changed() => false,
            };
            if present.is_none() && taken_up && slept {
                self.leave(&token).await;
                taken_up = false;
            }
        }
    }

    /// Removes what a token that is gone from the manifests has left.
    async fn leave(&self, token: &Arc<OAuthClientToken>) {
        if token.spec.revoke.contains(&RevokeOn::Deletion) {
            match self.case(token).await {
                Ok(case) => self.engine.part(&case).await,
                Err(error) => warn!(token = full_name(token), %error, "it cannot be revoked"),
            }
        }
        let held = self.ledger.facts(uid(token)).and_then(|facts| facts.held);
        self.ledger.forget(uid(token));
        let Some(held) = held else { return };
        let namespace = token.namespace().unwrap_or_default();
        let target = SecretKey { namespace, name: held.secret_name };
        let removed = match token.spec.target.deletion_policy {
            DeletionPolicy::Delete => self.engine.edge.leave(&target, &token.owner()).await,
            DeletionPolicy::Retain => Ok(()),
        };
        let forgotten = self.state.forget(&name_of(token));
        match (removed, forgotten) {
            (Ok(()), Ok(())) => {
                let policy = token.spec.target.deletion_policy;
                info!(%target, ?policy, "the token is in no manifest any more");
            }
            (removed, forgotten) => {
                warn!(%target, ?removed, ?forgotten, "a target could not be removed");
            }
        }
    }

    /// Takes up a token with what an earlier run left behind.
    fn take_up(&self, token: &OAuthClientToken, adjust: impl Fn(Facts) -> Facts) {
        let status = self.state.recall(&name_of(token));
        let target = self.engine.edge.look(&target_of(token)).ok().flatten();
        let own = target.filter(|target| holder(target, &token.owner()) == Holder::Us);
        let facts = Facts::restore(&status, own.as_ref(), token.secret_name());
        self.ledger.open(uid(token), &adjust(facts), &status);
    }

    async fn pass(&self, token: &Arc<OAuthClientToken>) -> Option<Duration> {
        match settle(self, || Some(Arc::clone(token))).await {
            Ok(wait) => wait,
            Err(error) => {
                error!(token = full_name(token), %error, "it is tried again");
                Some(PAUSE)
            }
        }
    }

    /// How a token stands. What an earlier run has written down counts only as far as it still
    /// holds.
    fn verdict(&self, token: &OAuthClientToken, error: Option<&Error>) -> Verdict {
        let status = self.ledger.status(uid(token)).unwrap_or_default();
        let fresh =
            conditions::find(&status.conditions, FRESH).filter(|fresh| fresh.status != "True");
        let expires_at = status.token.as_ref().map(|token| token.expires_at);
        let unexpired = expires_at.is_some_and(|at| at > self.clock.now());
        let ready = conditions::is_true(&status.conditions, READY);
        let trouble = match error {
            Some(error) => Some(format!("{}: {error}", error.reason().as_str())),
            None => fresh.map(|fresh| format!("{}: {}", fresh.reason, fresh.message)),
        };
        Verdict { token: full_name(token), ready: ready && unexpired && error.is_none(), trouble }
    }
}

impl Station for Runner {
    type Edge = LocalEdge;

    fn engine(&self) -> &Engine<LocalEdge> {
        &self.engine
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }

    async fn case(&self, token: &Arc<OAuthClientToken>) -> Result<Case, Error> {
        let source = self.engine.edge.source();
        let resolved = source.resolve(token).and_then(|found| self.confirm(found));
        let resolved = no_guest(token).and(resolved);
        let materials = resolved.and_then(|found| materials(&token.spec, found, &self.transport));
        let means = materials.as_ref().map_err(Clone::clone).and_then(|materials| {
            let credentials = materials.credentials.as_ref();
            let version = credentials.map(|c| source.version(&c.secret, &self.digester));
            Ok(means(materials, &version.transpose()?.unwrap_or_default(), &self.digester))
        });
        let facts = self.ledger.facts(uid(token)).unwrap_or_default();
        let endpoint = materials.as_ref().ok().map(|materials| &*materials.endpoint);
        let shape = shape(&token.spec, endpoint);
        let mut snapshot = snapshot(token, (means, facts));
        snapshot.shape = outline(&shape);
        let found = self.engine.edge.look(&target_of(token))?;
        snapshot.target = found.map(|meta| meta.seen_by(&token.owner()));
        snapshot.held_back = self.engine.holds_back(token, materials.as_ref().ok());
        let news = CancellationToken::new();
        Ok(Case { snapshot, materials: materials.ok(), shape, news })
    }

    async fn record(
        &self,
        token: &OAuthClientToken,
        change: Transition<'_>,
    ) -> Result<Written, Error> {
        let name = full_name(token);
        for notice in notices(&change.before.conditions, &change.after.conditions) {
            if notice.trouble {
                warn!(token = name, reason = notice.reason, "{}", notice.note);
            } else {
                info!(token = name, reason = notice.reason, "{}", notice.note);
            }
        }
        let written = self.state.remember(&name_of(token), change.after);
        written.map(|()| Written::Alone).map_err(|error| {
            let message = format!("what is remembered could not be written: {error}");
            Error::new(Reason::WriteFailed, message)
        })
    }
}

impl Runner {
    /// Makes sure that every token that this one is made from is good.
    fn confirm(&self, resolved: Resolved) -> Result<Resolved, Error> {
        let parents = resolved.parents.into_iter().map(|parent| {
            let meta = self.engine.edge.look(&parent.target)?;
            parent.confirm(meta.as_ref(), self.clock.now())
        });
        Ok(Resolved { parents: parents.collect::<Result<_, _>>()?, ..resolved })
    }
}

fn snapshot(
    token: &Arc<OAuthClientToken>,
    (means, facts): (Result<Means, Error>, Facts),
) -> Snapshot {
    Snapshot {
        token: Arc::clone(token),
        owner: token.owner(),
        facts,
        means,
        shape: Ok(Outline::default()),
        target: None,
        // Two manifests with one target are refused before anything is run.
        rivals: Rivals::default(),
        keys: BTreeSet::new(),
        holds: false,
        held_back: None,
        delivery: Delivery::Watch,
        // A person waits, or a few tokens at most: nothing needs spreading.
        resumed_at: DateTime::UNIX_EPOCH,
    }
}

/// Nobody else makes a folder under OUT.
fn no_guest(token: &OAuthClientToken) -> Result<(), Error> {
    match token.spec.target.creation_policy {
        CreationPolicy::Owner => Ok(()),
        CreationPolicy::Merge => Err(Error::new(
            Reason::InvalidSpec,
            "spec.target.creationPolicy: Merge is for Secrets on a cluster; in a folder \
             tokenward is on its own: leave it out",
        )),
    }
}

fn target_of(token: &OAuthClientToken) -> SecretKey {
    SecretKey {
        namespace: token.namespace().unwrap_or_default(),
        name: token.secret_name().to_owned(),
    }
}

fn name_of(token: &OAuthClientToken) -> SecretKey {
    SecretKey { namespace: token.namespace().unwrap_or_default(), name: token.name_any() }
}

fn full_name(token: &OAuthClientToken) -> String {
    name_of(token).to_string()
}
