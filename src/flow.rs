//! The flow itself, the same for a cluster and a directory: snapshot, decide, act, record, until
//! there is nothing to do but wait.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::{Instrument, Span, warn};

use crate::act::{Case, Edge, Engine};
use crate::api::conditions::{self, Stamp};
use crate::api::{OAuthClientToken, OAuthClientTokenStatus};
use crate::clock::Clock;
use crate::decide::{Lesson, Outcome, Plan, decide, meanwhile};
use crate::error::{Class, Error};
use crate::record::{Ledger, Standing, Transition, status, unread};
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
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Works on a token until there is nothing to do but wait, and tells for how long: `None` until
/// something changes. Thousands may wait for their turns in here at once, so each step has a box of
/// its own, which is gone with the step.
pub async fn settle<S: Station>(
    station: &S,
    token: &Arc<OAuthClientToken>,
) -> Result<Option<Duration>, Error> {
    // Of what is fetched, until the status tells of it.
    let mut refresh = Span::none();
    for _ in 0..ROUNDS {
        let case = match Box::pin(station.case(token)).await {
            Ok(case) => case,
            Err(error) => {
                Box::pin(tell_unread(station, token, &error)).instrument(refresh).await?;
                return Err(error);
            }
        };
        let now = station.clock().now();
        match decide(&case.snapshot, now, station.engine().chance.number()) {
            Plan::Wait { until, next_attempt_at, verdicts } => {
                let stamp = Stamp { now, generation: token.metadata.generation };
                let standing = Standing { verdicts, next_attempt_at, stamp };
                Box::pin(write_down(station, token, standing)).instrument(refresh).await?;
                return Ok(until.map(|until| wait(until, station.clock())));
            }
            plan => {
                let fetches = matches!(plan, Plan::Fetch(_));
                if fetches {
                    refresh = span_of(&case);
                }
                let outcome = carry_out(station, &case, plan).instrument(refresh.clone()).await;
                if fetches {
                    spans::ended(&refresh, outcome.as_ref());
                }
                // None: the process is ending, or there is news and it is looked at again.
                let Some(outcome) = outcome else { return Ok(None) };
                learn(station, &case, outcome);
            }
        }
    }
    let owner = token.owner();
    warn!(namespace = owner.namespace, name = owner.name, "it does not settle and pauses");
    Ok(Some(PAUSE))
}

fn span_of(case: &Case) -> Span {
    let owner = case.snapshot.owner();
    let provider = case.materials.as_ref().map_or("", |materials| &materials.provider);
    spans::refresh(&owner, provider)
}

/// Carries a plan out. Should the token expire meanwhile, that is told, and acted on, at once.
async fn carry_out<S: Station>(station: &S, case: &Case, plan: Plan) -> Option<Outcome> {
    let mut work = Box::pin(station.engine().carry_out(case, plan));
    let now = station.clock().now();
    let expiry = case.snapshot.facts.held.as_ref().map(|held| held.expires_at);
    // One that is over is told as well, where the status knows nothing of it.
    let told = station.ledger().written(uid(&case.snapshot.token)).unwrap_or_default();
    let untold = conditions::is_true(&told.conditions, conditions::READY);
    let Some(expiry) = expiry.filter(|expiry| *expiry > now || untold) else {
        return work.await;
    };
    tokio::select! {
        // Which of the two comes first is not left to chance.
        biased;
        outcome = &mut work => return outcome,
        () = tokio::time::sleep((expiry - now).to_std().unwrap_or_default()) => {}
    }
    let (outcome, told) = tokio::join!(work, Box::pin(expire(station, case)));
    if let Err(error) = told {
        let owner = case.snapshot.owner();
        warn!(namespace = owner.namespace, name = owner.name, %error, "its expiry is told later");
    }
    outcome
}

/// Tells that a token has expired while work on it is under way.
async fn expire<S: Station>(station: &S, case: &Case) -> Result<(), Error> {
    let now = station.clock().now();
    let (verdicts, withdraw) = meanwhile(&case.snapshot, now);
    if let Some(plan) = withdraw
        && let Some(outcome) = station.engine().carry_out(case, plan).await
    {
        learn(station, case, outcome);
    }
    let token = &case.snapshot.token;
    let stamp = Stamp { now, generation: token.metadata.generation };
    write_down(station, token, Standing { verdicts, next_attempt_at: None, stamp }).await
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
    let known = station.ledger().written(uid(token));
    let before = known.or_else(|| token.status.clone()).unwrap_or_default();
    let stamp = Stamp { now: station.clock().now(), generation: token.metadata.generation };
    let after = unread(&before, error, stamp);
    tell(station, token, (before, after)).await
}

async fn write_down<S: Station>(
    station: &S,
    token: &OAuthClientToken,
    standing: Standing,
) -> Result<(), Error> {
    let ledger = station.ledger();
    // Forgotten: the token went while it was worked on.
    let Some(facts) = ledger.facts(uid(token)) else { return Ok(()) };
    let before = ledger.written(uid(token)).unwrap_or_default();
    let after = status(&facts, standing, &before.conditions);
    tell(station, token, (before, after)).await
}

/// Records a status that differs from the one before, and remembers it.
async fn tell<S: Station>(
    station: &S,
    token: &OAuthClientToken,
    (before, after): (OAuthClientTokenStatus, OAuthClientTokenStatus),
) -> Result<(), Error> {
    if after != before {
        let change = Transition { before: &before, after: &after };
        station.record(token, change).instrument(spans::step("write status")).await?;
        station.ledger().note_written(uid(token), after);
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
    use crate::decide::{Facts, Verdicts};
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

        async fn record(&self, _: &OAuthClientToken, told: Transition<'_>) -> Result<(), Error> {
            self.told.lock().unwrap().push(told.after.clone());
            Ok(())
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
        teller.ledger.open("1", Facts::default(), OAuthClientTokenStatus::default());
        let standing = || {
            let stamp = Stamp { now: DateTime::UNIX_EPOCH, generation: None };
            let verdict = |holds| Verdict::new(holds, "Refreshed", "");
            let (ready, fresh) = (verdict(Holds::Yes), verdict(Holds::Yes));
            let verdicts = Verdicts { ready, fresh, stalled: verdict(Holds::No) };
            Standing { verdicts, next_attempt_at: None, stamp }
        };
        write_down(&teller, &token, standing()).await.unwrap();
        let missing = Error::new(Reason::ReadFailed, "RBAC").with_class(Class::Permanent);
        // The cache does not know yet what was written last: the token's own status is older.
        tell_unread(&teller, &token, &missing).await.unwrap();
        tell_unread(&teller, &token, &missing).await.unwrap();
        write_down(&teller, &token, standing()).await.unwrap();
        let told = teller.told.lock().unwrap().clone();
        let is_stalled =
            |told: &OAuthClientTokenStatus| conditions::is_true(&told.conditions, STALLED);
        assert_eq!(told.iter().map(is_stalled).collect::<Vec<_>>(), [false, true, false]);
    }
}
