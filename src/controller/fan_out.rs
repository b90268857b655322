//! Cluster tokens. The grant is a token like any other, whose target is the master copy, and goes
//! through the same flow; the copies follow from the master copy, whatever the provider does.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};

use super::queue::Again;
use super::{Context, PAUSE, Subject};
use crate::act::{Case, ClusterEdge, Engine, Spread, outline};
use crate::api::conditions::Stamp;
use crate::api::{ClusterOAuthClientToken, OAuthClientToken};
use crate::clock::Clock;
use crate::decide::{Destination, FanOut, Lesson, Outcome, SecretKey, Tally, TargetMeta, fan_out};
use crate::error::Error;
use crate::flow::{Station, settle, wait};
use crate::record::{Ledger, Transition, Written, cluster_status};
use crate::render::Shape;
use crate::watch::{Known, Trigger, shape};

/// For so long is gathered what is told of copies: each look is one at all of them.
const GATHERED: Duration = Duration::from_millis(200);
/// As much is gathered at once.
const BATCH: usize = 1000;
/// Looks at copies in a row for one token before it pauses.
const ROUNDS: usize = 48;
/// While there is much to write, the status is written this often.
const TELL: chrono::TimeDelta = chrono::TimeDelta::seconds(5);

/// What is told, once for however often it is told in a row. Nobody can keep others waiting by
/// telling it again and again.
pub(super) fn gathered<T: Hash + Eq>(told: impl Stream<Item = T>) -> impl Stream<Item = T> {
    let batches = tokio_stream::StreamExt::chunks_timeout(told, BATCH, GATHERED);
    batches.flat_map(|batch| stream::iter(batch.into_iter().collect::<HashSet<_>>()))
}

/// The grant of a cluster token, in the eyes of the flow.
struct Grant {
    context: Arc<Context>,
    token: Arc<ClusterOAuthClientToken>,
}

pub(super) async fn reconcile_grant(
    token: Arc<ClusterOAuthClientToken>,
    context: Arc<Context>,
) -> Again {
    let Some(grant) = Grant::of(token, context) else { return Ok(None) };
    let _attention = grant.context.triggers.attend(Trigger::grant_of(&grant.token));
    settle(&grant, || Some(grant.stand_in())).await
}

pub(super) async fn reconcile_copies(
    token: Arc<ClusterOAuthClientToken>,
    context: Arc<Context>,
) -> Again {
    let mut told = context.clock.now();
    for _ in 0..ROUNDS {
        let reader = context.caches.cluster_tokens();
        let now = latest(reader, &token).and_then(|now| Grant::of(now, Arc::clone(&context)));
        let Some(grant) = now else { return Ok(None) };
        let case = grant.case(&grant.stand_in()).await?;
        if latest(reader, &token).is_none() {
            // What was taken up for its sake after it had gone.
            context.ledger.forget(grant.uid());
            return Ok(None);
        }
        let shape = grant.shape(&case);
        let plan = fan_out(&grant.look(&case, &shape), grant.clock().now());
        let now = grant.clock().now();
        if plan.steps.is_empty() || now - told >= TELL {
            grant.write_down(plan.tally.as_ref()).await?;
            told = now;
        }
        if plan.steps.is_empty() {
            return Ok(plan.until.map(|until| wait(until, grant.clock())));
        }
        if !grant.engine().may_begin() {
            return Ok(None);
        }
        let spread = Spread { token: &grant.token, grant: &case, shape, steps: plan.steps };
        let outcomes = Box::pin(grant.engine().spread(&spread)).await?;
        let now = grant.clock().now();
        let lesson = Lesson {
            now,
            min_interval: None,
            random: grant.engine().chance.number(),
            undone_by: None,
        };
        grant.context.copies.learn(grant.uid(), &outcomes, lesson);
    }
    Ok(Some(PAUSE))
}

/// The token as it is now: whatever is done is done by its latest spec. `None` once it is gone,
/// also where another one has its name.
fn latest(
    reader: &Store<ClusterOAuthClientToken>,
    token: &ClusterOAuthClientToken,
) -> Option<Arc<ClusterOAuthClientToken>> {
    let latest = reader.get(&ObjectRef::from_obj(token))?;
    (latest.metadata.uid == token.metadata.uid).then_some(latest)
}

impl Grant {
    /// `None` where nothing is to be done any more: what it leaves is garbage-collected.
    fn of(token: Arc<ClusterOAuthClientToken>, context: Arc<Context>) -> Option<Self> {
        if token.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let grant = Self { context, token };
        grant.context.copies.open(grant.uid(), grant.token.status.as_ref());
        Some(grant)
    }

    fn uid(&self) -> &str {
        self.token.metadata.uid.as_deref().unwrap_or_default()
    }

    fn stand_in(&self) -> Arc<OAuthClientToken> {
        self.token.grant(self.context.caches.cluster_resource_namespace())
    }

    /// How copies are to be filled: the master copy holds the token and nothing else.
    fn shape(&self, case: &Case) -> Result<Shape, Error> {
        let endpoint = case.materials.as_ref().map(|materials| &*materials.endpoint);
        shape(&self.pattern().spec, endpoint)
    }

    fn pattern(&self) -> Arc<OAuthClientToken> {
        self.token.pattern(self.context.caches.cluster_resource_namespace())
    }

    /// Everything that is known of the copies.
    fn look(&self, case: &Case, shape: &Result<Shape, Error>) -> FanOut {
        let caches = &self.context.caches;
        let name = self.token.name_any();
        let master = case.target_key();
        let place =
            |namespace: String| SecretKey { namespace, name: self.token.secret_name().to_owned() };
        let selected = caches.selected(&self.token).map(|selected| {
            let places =
                selected.into_iter().map(|(namespace, admitted)| (place(namespace), admitted));
            places.collect::<Vec<_>>()
        });
        if let Ok(selected) = &selected {
            let wanted = selected.iter().map(|(key, _)| key.clone()).collect();
            caches.secrets.refer(&Trigger::copies_of(&self.token), wanted);
        }
        let destinations = selected.map(|selected| {
            let destinations = selected.into_iter().map(|(key, admission)| {
                let found = self.found(&key);
                Destination { key, admission, found }
            });
            destinations.collect::<Vec<_>>()
        });
        let is_place = |key: &SecretKey| {
            let places = destinations.as_deref().unwrap_or_default();
            places.binary_search_by(|place| place.key.cmp(key)).is_ok()
        };
        let strays: Vec<_> = caches
            .secrets
            .belongings(&name)
            .into_iter()
            .filter(|key| *key != master && !is_place(key))
            .filter_map(|key| self.found(&key).map(|meta| (key, meta)))
            .collect();
        let memory = self.context.copies.copies(self.uid(), |key| {
            // In order, as the index tells them.
            is_place(key) || strays.binary_search_by(|(stray, _)| stray.cmp(key)).is_ok()
        });
        let (grant, pattern) = (case.snapshot.clone(), self.pattern());
        FanOut { grant, pattern, shape: outline(shape), destinations, strays, memory }
    }

    /// A copy, as far as it is known: where nothing is, whoever writes finds out.
    fn found(&self, key: &SecretKey) -> Option<Arc<TargetMeta>> {
        match self.context.caches.secrets.known(key) {
            Known::Present(meta) => {
                Some(Arc::new(Arc::unwrap_or_clone(meta).seen_by(&self.token.owner())))
            }
            Known::Nothing | Known::Absent(_) => None,
        }
    }

    async fn write_down(&self, tally: Option<&Tally>) -> Result<(), Error> {
        let copies = &self.context.copies;
        let Some((grant, before)) = copies.statuses(self.uid()) else { return Ok(()) };
        let stamp = Stamp { now: self.clock().now(), generation: self.token.metadata.generation };
        let after = cluster_status(&grant, (tally, self.token.secret_name()), &before, stamp);
        if after != before {
            self.context.recorder.record_cluster(&self.token, (&before, &after)).await?;
            copies.note_written(self.uid(), after);
        }
        Ok(())
    }
}

impl Station for Grant {
    type Edge = ClusterEdge;

    fn engine(&self) -> &Engine<ClusterEdge> {
        &self.context.engine
    }

    fn ledger(&self) -> &Ledger {
        &self.context.ledger
    }

    fn clock(&self) -> &Clock {
        &self.context.clock
    }

    async fn case(&self, stand_in: &Arc<OAuthClientToken>) -> Result<Case, Error> {
        let caches = &self.context.caches;
        let trigger = Trigger::grant_of(&self.token);
        caches.secrets.refer(&trigger, caches.secrets_of_grant(&self.token));
        let subject = Subject { token: Arc::clone(stand_in), owner: self.token.owner(), trigger };
        self.context.assemble(subject, caches.resolve_grant(&self.token)).await
    }

    fn witness(&self, case: &Case, outcome: &Outcome) {
        self.context.witness(case, outcome);
    }

    /// Whoever looks after the copies writes the status: they have a say in it.
    async fn record(&self, _: &OAuthClientToken, change: Transition<'_>) -> Result<Written, Error> {
        self.context.copies.note_grant(self.uid(), change.after.clone());
        self.context.triggers.send(Trigger::copies_of(&self.token));
        Ok(Written::Alone)
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn a_look_is_had_for_many_changes_together_and_nobody_waits_for_the_last() {
        let told = stream::iter((0..BATCH).map(|n| n % 2));
        let mut looks: Vec<_> = gathered(told).collect().await;
        looks.sort_unstable();
        assert_eq!(looks, [0, 1]);
        // Whoever goes on for ever is looked at all the same.
        let for_ever = gathered(stream::repeat("a")).take(3);
        assert_eq!(for_ever.collect::<Vec<_>>().await, ["a"; 3]);
    }

    fn token(uid: &str, generation: i64) -> ClusterOAuthClientToken {
        serde_json::from_value(json!({
            "apiVersion": "tokenward.dev/v1alpha1", "kind": "ClusterOAuthClientToken",
            "metadata": {"name": "shop", "uid": uid, "generation": generation},
            "spec": {"providerRef": {"name": "p"}, "namespaceSelector": {}}
        }))
        .unwrap()
    }

    #[test]
    fn each_look_is_by_the_latest_spec_and_none_is_for_one_that_is_gone() {
        let (reader, mut writer) = store();
        let began_with = token("u-1", 1);
        let generation = || Some(latest(&reader, &began_with)?.metadata.generation.unwrap());
        assert_eq!(generation(), None);
        for event in [Event::Init, Event::InitApply(token("u-1", 1)), Event::InitDone] {
            writer.apply_watcher_event(&event);
        }
        assert_eq!(generation(), Some(1));
        writer.apply_watcher_event(&Event::Apply(token("u-1", 2)));
        assert_eq!(generation(), Some(2));
        writer.apply_watcher_event(&Event::Apply(token("u-2", 1)));
        assert_eq!(generation(), None);
        writer.apply_watcher_event(&Event::Delete(token("u-2", 1)));
        assert_eq!(generation(), None);
    }
}
