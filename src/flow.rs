//! The flow itself, the same for a cluster and a directory: snapshot, decide, act, record, until
//! there is nothing to do but wait.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::{self, BoxFuture};
use tracing::{Instrument, Span, warn};

use crate::act::{Case, Edge, Engine, Entry, Place};
use crate::api::conditions::{self, Stamp};
use crate::api::{OAuthClientToken, OAuthClientTokenStatus};
use crate::clock::Clock;
use crate::decide::{Facts, FetchOrder, Lesson, Outcome, Plan, decide, meanwhile};
use crate::error::{Class, Error};
use crate::record::{Ledger, Standing, Transition, Written, status, unread};
use crate::spans;

/// Decisions in a row for one token before others get a turn; two or three are usual.
const ROUNDS: usize = 6;
/// How long a token pauses whose rounds were used up.
const PAUSE: Duration = Duration::from_secs(2);
/// A timer is never set below this: a wait of zero would spin.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// One edge of the flow.
pub trait Station: Send + Sync {
    /// Where tokens go and credentials come from.
    type Edge: Edge;

    /// Carries out plans.
    fn engine(&self) -> &Engine<Self::Edge>;
    /// Remembers.
    fn ledger(&self) -> &Ledger;
    /// Tells the time.
    fn clock(&self) -> &Clock;

    /// Everything that is known of a token now.
    fn case(
        &self,
        token: &Arc<OAuthClientToken>,
    ) -> impl Future<Output = Result<Case, Error>> + Send;

    /// Is told what came of a plan, before it is learnt from.
    fn witness(&self, _case: &Case, _outcome: &Outcome) {}

    /// Writes down how a token stands, and tells of what changed.
    fn record(
        &self,
        token: &OAuthClientToken,
        change: Transition<'_>,
    ) -> impl Future<Output = Result<Written, Error>> + Send;
}

/// What comes after a round.
enum Next<'a> {
    /// Another one.
    Round,
    /// It is waited for a turn to ask the provider, and then there is another one.
    Turn(Queue<'a>),
    /// Nothing until then, or until something changes, once it is told how the token stands.
    Rest { change: Option<Box<Change>>, until: Option<DateTime<Utc>> },
}

/// A status that was, and the one that is to be written.
type Change = (OAuthClientTokenStatus, OAuthClientTokenStatus);

/// Waiting for a turn.
struct Queue<'a> {
    entry: BoxFuture<'a, Entry>,
    expiry: Option<Duration>,
}

/// Works on a token until there is nothing to do but wait, and tells for how long: `None` until
/// something changes. Thousands may wait for their turns in here at once: who does holds a place in
/// a queue and nothing else, and `find`s the token once more after that.
pub async fn settle<S: Station>(
    station: &S,
    find: impl Fn() -> Option<Arc<OAuthClientToken>>,
) -> Result<Option<Duration>, Error> {
    // Of what is fetched, until the status tells of it.
    let mut refresh = Span::none();
    let mut place = None;
    let Some(mut token) = find() else { return Ok(None) };
    for _ in 0..ROUNDS {
        match Box::pin(round(station, &token, (&mut refresh, place.take()))).await? {
            Next::Round => {}
            Next::Turn(Queue { entry, expiry }) => {
                drop(token);
                match beside(station, &find, (entry, expiry)).instrument(refresh.clone()).await {
                    // What is asked for, and whether, is decided by how things are now.
                    Entry::Open(open) => place = Some(open),
                    Entry::HeldBack => spans::ended(&refresh, Some(&Outcome::HeldBack)),
                    Entry::Over => {
                        spans::ended(&refresh, None);
                        return Ok(None);
                    }
                }
                match find() {
                    Some(found) => token = found,
                    None => return Ok(None),
                }
            }
            Next::Rest { change, until } => {
                Box::pin(tell(station, &token, change)).instrument(refresh.clone()).await?;
                return Ok(until.map(|until| wait(until, station.clock())));
            }
        }
    }
    let owner = token.owner();
    warn!(namespace = owner.namespace, name = owner.name, "it does not settle and pauses");
    Ok(Some(PAUSE))
}

/// Looks, decides and acts once. Whoever has a place may ask the provider at once.
async fn round<'a, S: Station>(
    station: &'a S,
    token: &Arc<OAuthClientToken>,
    (refresh, place): (&mut Span, Option<Place>),
) -> Result<Next<'a>, Error> {
    let find = || Some(Arc::clone(token));
    let case = match station.case(token).await {
        Ok(case) => case,
        Err(error) => {
            tell_unread(station, token, &error).instrument(refresh.clone()).await?;
            return Err(error);
        }
    };
    let now = station.clock().now();
    let expiry = expiry(station, &case);
    let outcome = match decide(&case.snapshot, now, station.engine().chance.number()) {
        Plan::Wait { until, next_attempt_at, verdicts } => {
            let stamp = Stamp { now, generation: token.metadata.generation };
            let standing = Standing { verdicts, next_attempt_at, stamp };
            // Thousands may wait to tell: what was decided from is not held meanwhile.
            let change = change(station, token, (&case.snapshot.facts, standing));
            return Ok(Next::Rest { change, until });
        }
        Plan::Fetch(order) => {
            let entered = if let Some(place) = place {
                Ok(place)
            } else {
                *refresh = span_of(&case);
                enter(station, (&case, &order), refresh)
            };
            let place = match entered {
                Ok(place) => place,
                Err(entry) => return Ok(Next::Turn(Queue { entry, expiry })),
            };
            let work = Box::pin(station.engine().fetch(&case, order, place));
            let outcome = beside(station, find, (work, expiry)).instrument(refresh.clone()).await;
            spans::ended(refresh, outcome.as_ref());
            outcome
        }
        plan => {
            let work = Box::pin(station.engine().carry_out(&case, plan));
            beside(station, find, (work, expiry)).instrument(refresh.clone()).await
        }
    };
    // None: the process is ending, or there is news and it is looked at again.
    let Some(outcome) = outcome else { return Ok(Next::Rest { change: None, until: None }) };
    learn(station, &case, outcome);
    Ok(Next::Round)
}

/// A place to ask the provider, where there is one at once; or else what it is waited with.
fn enter<'a, S: Station>(
    station: &'a S,
    (case, order): (&Case, &FetchOrder),
    refresh: &Span,
) -> Result<Place, BoxFuture<'a, Entry>> {
    let queue = station.engine().queue(case, order).instrument(refresh.clone());
    let mut queue: BoxFuture<'a, Entry> = Box::pin(queue);
    match (&mut queue).now_or_never() {
        Some(Entry::Open(place)) => Ok(place),
        Some(closed) => Err(Box::pin(future::ready(closed))),
        None => Err(queue),
    }
}

fn span_of(case: &Case) -> Span {
    let owner = case.snapshot.owner();
    let provider = case.materials.as_ref().map_or("", |materials| &materials.provider);
    spans::refresh(&owner, provider)
}

/// How long until the token expires, or zero where it has and the status knows nothing of it.
fn expiry<S: Station>(station: &S, case: &Case) -> Option<Duration> {
    let left = case.snapshot.facts.held.as_ref()?.expires_at - station.clock().now();
    match left.to_std() {
        Ok(left) if !left.is_zero() => Some(left),
        _ => {
            let told = station.ledger().status(uid(&case.snapshot.token)).unwrap_or_default();
            conditions::is_true(&told.conditions, conditions::READY).then_some(Duration::ZERO)
        }
    }
}

/// Does something that may take its time. Should the token expire meanwhile, that is told, and acted
/// on, at once.
async fn beside<S: Station, T>(
    station: &S,
    find: impl Fn() -> Option<Arc<OAuthClientToken>>,
    (mut work, expiry): (impl Future<Output = T> + Unpin, Option<Duration>),
) -> T {
    let Some(expiry) = expiry else { return work.await };
    tokio::select! {
        // Which of the two comes first is not left to chance.
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(expiry) => {}
    }
    let told = async {
        let Some(token) = find() else { return };
        if let Err(error) = expire(station, &token).await {
            let owner = token.owner();
            warn!(namespace = owner.namespace, name = owner.name, %error, "its expiry is told later");
        }
    };
    tokio::join!(work, Box::pin(told)).0
}

/// Tells that a token has expired while work on it is under way.
async fn expire<S: Station>(station: &S, token: &Arc<OAuthClientToken>) -> Result<(), Error> {
    let case = station.case(token).await?;
    let now = station.clock().now();
    let (verdicts, withdraw) = meanwhile(&case.snapshot, now);
    if let Some(plan) = withdraw
        && let Some(outcome) = station.engine().carry_out(&case, plan).await
    {
        learn(station, &case, outcome);
    }
    // Forgotten: the token went while it was worked on.
    let Some(facts) = station.ledger().facts(uid(token)) else { return Ok(()) };
    let stamp = Stamp { now, generation: token.metadata.generation };
    let standing = Standing { verdicts, next_attempt_at: None, stamp };
    tell(station, token, change(station, token, (&facts, standing))).await
}

fn learn<S: Station>(station: &S, case: &Case, outcome: Outcome) {
    station.witness(case, &outcome);
    let lesson = Lesson {
        now: station.clock().now(),
        min_interval: case.snapshot.means.as_ref().ok().and_then(|means| means.limits.min_interval),
        random: station.engine().chance.number(),
        undone_by: case.snapshot.target.as_ref().and_then(|target| target.editor.as_deref()),
    };
    station.ledger().learn(uid(&case.snapshot.token), outcome, lesson);
}

/// Tells that nothing is known of a token because a right is missing. Anything else passes, and is
/// not worth a word in the status.
async fn tell_unread<S: Station>(
    station: &S,
    token: &OAuthClientToken,
    error: &Error,
) -> Result<(), Error> {
    if error.class() != Class::Permanent {
        return Ok(());
    }
    let known = station.ledger().status(uid(token));
    let before = known.or_else(|| token.status.clone()).unwrap_or_default();
    let stamp = Stamp { now: station.clock().now(), generation: token.metadata.generation };
    let after = unread(&before, error, stamp);
    tell(station, token, (after != before).then(|| Box::new((before, after)))).await
}

/// What changes in a status, if anything does.
fn change<S: Station>(
    station: &S,
    token: &OAuthClientToken,
    (facts, standing): (&Facts, Standing),
) -> Option<Box<Change>> {
    let (ledger, uid, mark) = (station.ledger(), uid(token), standing.mark());
    // Else it is told of, or forgotten: the token went while it was worked on.
    let before = ledger.status_to_change(uid, mark)?;
    let after = status(facts, standing, &before.conditions);
    if after == before {
        ledger.note_told(uid, mark);
        return None;
    }
    Some(Box::new((before, after)))
}

/// Records what changes in a status, and remembers it.
async fn tell<S: Station>(
    station: &S,
    token: &OAuthClientToken,
    change: Option<Box<Change>>,
) -> Result<(), Error> {
    if let Some((before, after)) = change.as_deref() {
        let change = Transition { before, after };
        let written = station.record(token, change).instrument(spans::step("write status"));
        station.ledger().note_written(uid(token), after, written.await?);
    }
    Ok(())
}

/// A token's uid.
pub fn uid(token: &OAuthClientToken) -> &str {
    token.metadata.uid.as_deref().unwrap_or_default()
}

/// How long to wait until then: neither so short that it spins, nor so long that nobody looks.
pub fn wait(until: DateTime<Utc>, clock: &Clock) -> Duration {
    let wait = (until - clock.now()).to_std().unwrap_or_default();
    wait.clamp(SHORTEST_WAIT, clock.trusted())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::api::conditions::{Holds, STALLED, Verdict};
    use crate::decide::Verdicts;
    use crate::error::Reason;
    use crate::local::LocalEdge;

    /// Where something can be told, and nothing else.
    struct Teller {
        ledger: Ledger,
        clock: Clock,
        told: Mutex<Vec<OAuthClientTokenStatus>>,
    }

    impl Station for Teller {
        type Edge = LocalEdge;

        fn engine(&self) -> &Engine<LocalEdge> {
            unreachable!()
        }

        fn ledger(&self) -> &Ledger {
            &self.ledger
        }

        fn clock(&self) -> &Clock {
            &self.clock
        }

        async fn case(&self, _: &Arc<OAuthClientToken>) -> Result<Case, Error> {
            unreachable!()
        }

        async fn record(
            &self,
            _: &OAuthClientToken,
            told: Transition<'_>,
        ) -> Result<Written, Error> {
            self.told.lock().unwrap().push(told.after.clone());
            Ok(Written::Alone)
        }
    }

    #[tokio::test]
    async fn a_token_that_is_read_again_is_told_as_it_was_before() {
        let (ledger, clock) = (Ledger::default(), Clock::system());
        let teller = Teller { ledger, clock, told: Mutex::default() };
        let mut token = OAuthClientToken::new(
            "shop",
            serde_json::from_str("{\"providerRef\": {\"name\": \"p\"}}").unwrap(),
        );
        token.metadata.uid = Some("1".to_owned());
        teller.ledger.open("1", &Facts::default(), &OAuthClientTokenStatus::default());
        let standing = || {
            let stamp = Stamp { now: DateTime::UNIX_EPOCH, generation: None };
            let verdict = |holds| Verdict::new(holds, "Refreshed", "");
            let (ready, fresh) = (verdict(Holds::Yes), verdict(Holds::Yes));
            let verdicts = Verdicts { ready, fresh, stalled: verdict(Holds::No) };
            Standing { verdicts, next_attempt_at: None, stamp }
        };
        let ready = || change(&teller, &token, (&Facts::default(), standing()));
        tell(&teller, &token, ready()).await.unwrap();
        let missing = Error::new(Reason::ReadFailed, "RBAC").with_class(Class::Permanent);
        // The cache does not know yet what was written last: the token's own status is older.
        tell_unread(&teller, &token, &missing).await.unwrap();
        tell_unread(&teller, &token, &missing).await.unwrap();
        tell(&teller, &token, ready()).await.unwrap();
        let told = teller.told.lock().unwrap().clone();
        let is_stalled =
            |told: &OAuthClientTokenStatus| conditions::is_true(&told.conditions, STALLED);
        assert_eq!(told.iter().map(is_stalled).collect::<Vec<_>>(), [false, true, false]);
    }
}
