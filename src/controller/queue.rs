//! The work queue: each key is worked on by one task at a time, at once when it is triggered, and
//! again when that task says so.
//!
//! kube's `Controller` polls every reconciliation that is under way whenever one of them moves. Of
//! ours thousands may wait for a provider: here each costs nothing until it moves itself.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::pin::pin;
use std::time::Duration;

use futures::stream::{Stream, StreamExt};
use tokio::select;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue;
use tracing::warn;

use crate::error::Error;

/// The first pause after a failure. Each further one is longer, and not the same for all: an API
/// server that is back has others to serve.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// None is longer.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// When a key is worked on again unless it is triggered before: `None` is never.
pub(super) type Again = Result<Option<Duration>, Error>;

/// What is done, and where chance comes from.
pub(super) struct Worker<W, R> {
    /// Works on a key.
    pub(super) work: W,
    /// A number in `0.0..1.0`.
    pub(super) random: R,
}

/// Works on what is triggered until that ends or the process is to end, and waits for the end of
/// what was begun by then.
pub(super) async fn drive<K, F>(
    triggered: impl Stream<Item = K>,
    worker: Worker<impl Fn(K) -> F, impl Fn() -> f64>,
    stopping: &CancellationToken,
) where
    K: Clone + Display + Eq + Hash + Send + 'static,
    F: Future<Output = Again> + Send + 'static,
{
    let mut triggered = pin!(triggered);
    let mut queue = Queue {
        worker,
        states: HashMap::new(),
        due: DelayQueue::new(),
        failed: HashMap::new(),
        tasks: JoinSet::new(),
    };
    loop {
        select! {
            // What is asked to end begins nothing more.
            biased;
            () = stopping.cancelled() => break,
            Some(ended) = queue.tasks.join_next() => match ended {
                Ok((key, again)) => queue.end(key, again),
                // Nobody aborts them.
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            },
            key = triggered.next() => match key {
                Some(key) => queue.trigger(key),
                None => break,
            },
            Some(due) = queue.due.next() => queue.begin(due.into_inner()),
        }
    }
    while queue.tasks.join_next().await.is_some() {}
}

/// Where a key stands.
enum State {
    /// It is worked on when its time comes.
    Due(delay_queue::Key),
    /// It is worked on now.
    UnderWay,
    /// It was triggered since that began.
    Outdated,
}

struct Queue<K, W, R> {
    worker: Worker<W, R>,
    states: HashMap<K, State>,
    due: DelayQueue<K>,
    /// How often a key failed in a row.
    failed: HashMap<K, u32>,
    tasks: JoinSet<(K, Again)>,
}

impl<K, F, W, R> Queue<K, W, R>
where
    K: Clone + Display + Eq + Hash + Send + 'static,
    F: Future<Output = Again> + Send + 'static,
    W: Fn(K) -> F,
    R: Fn() -> f64,
{
    fn trigger(&mut self, key: K) {
        match self.states.get_mut(&key) {
            Some(state @ (State::UnderWay | State::Outdated)) => *state = State::Outdated,
            Some(State::Due(timer)) => {
                self.due.remove(timer);
                self.begin(key);
            }
            None => self.begin(key),
        }
    }

    fn begin(&mut self, key: K) {
        self.states.insert(key.clone(), State::UnderWay);
        let work = (self.worker.work)(key.clone());
        self.tasks.spawn(async move { (key, work.await) });
    }

    fn end(&mut self, key: K, again: Again) {
        let wait = match again {
            Ok(wait) => {
                self.failed.remove(&key);
                wait
            }
            Err(error) => {
                warn!(token = %key, %error, "it is tried again");
                Some(self.pause(&key))
            }
        };
        match (self.states.remove(&key), wait) {
            (Some(State::Outdated), _) => self.begin(key),
            (_, Some(wait)) => {
                let timer = self.due.insert(key.clone(), wait);
                self.states.insert(key, State::Due(timer));
            }
            (_, None) => {}
        }
    }

    fn pause(&mut self, key: &K) -> Duration {
        let times = self.failed.entry(key.clone()).or_default();
        let pause = FIRST_PAUSE.saturating_mul(1 << (*times).min(8)).min(LONGEST_PAUSE);
        *times += 1;
        pause.mul_f64(0.5 + (self.worker.random)().clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "hours pass in no time here")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use tokio::sync::Notify;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
    use tokio::time::Instant;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;
    use crate::error::Reason;

    /// Work whose beginnings are seen, and that ends as it is told to.
    struct Bench {
        triggers: UnboundedSender<&'static str>,
        begun: UnboundedReceiver<(&'static str, Instant)>,
        answers: UnboundedSender<Again>,
        stopping: CancellationToken,
        queue: tokio::task::JoinHandle<()>,
    }

    impl Bench {
        fn new() -> Self {
            let (triggers, triggered) = unbounded_channel();
            let (beginnings, begun) = unbounded_channel();
            let (answers, answered) = unbounded_channel::<Again>();
            let answered = Arc::new(tokio::sync::Mutex::new(answered));
            let stopping = CancellationToken::new();
            let over = stopping.clone();
            let queue = tokio::spawn(async move {
                let work = move |key| {
                    beginnings.send((key, Instant::now())).unwrap();
                    let answered = Arc::clone(&answered);
                    async move { answered.lock().await.recv().await.unwrap() }
                };
                let worker = Worker { work, random: || 1.0 };
                drive(UnboundedReceiverStream::new(triggered), worker, &over).await;
            });
            Self { triggers, begun, answers, stopping, queue }
        }

        fn trigger(&self, key: &'static str) {
            self.triggers.send(key).unwrap();
        }

        fn answer(&self, again: Again) {
            self.answers.send(again).unwrap();
        }

        async fn next(&mut self) -> (&'static str, Instant) {
            self.begun.recv().await.unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_triggered_while_it_is_worked_on_is_worked_on_once_more() {
        let mut bench = Bench::new();
        bench.trigger("a");
        let (_, began) = bench.next().await;
        bench.trigger("a");
        bench.trigger("a");
        // Another does not wait for it; by then both triggers are taken.
        bench.trigger("b");
        assert_eq!(bench.next().await.0, "b");
        bench.answer(Ok(None));
        bench.answer(Ok(None));
        assert_eq!(bench.next().await, ("a", began));
        bench.answer(Ok(Some(Duration::from_secs(5))));
        // Once more and no oftener: next comes what was asked for.
        assert_eq!(bench.next().await, ("a", began + Duration::from_secs(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_trigger_comes_before_the_time_that_was_asked_for_and_takes_its_place() {
        let mut bench = Bench::new();
        bench.trigger("a");
        bench.answer(Ok(Some(Duration::from_mins(1))));
        let (_, began) = bench.next().await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        bench.trigger("a");
        assert_eq!(bench.next().await, ("a", began + Duration::from_secs(10)));
        bench.answer(Ok(None));
        bench.trigger("b");
        assert_eq!(bench.next().await.0, "b");
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert!(bench.begun.is_empty(), "nothing is due any more");
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_after_failures_grow_and_begin_anew_after_a_success() {
        let mut bench = Bench::new();
        bench.trigger("a");
        let (_, mut before) = bench.next().await;
        let mut pauses = Vec::new();
        for failing in [true, true, true, true, true, true, true, false, true] {
            let failure = || Err(Error::new(Reason::ReadFailed, "no"));
            bench.answer(if failing { failure() } else { Ok(Some(Duration::from_secs(1))) });
            let (_, began) = bench.next().await;
            // Timers count in milliseconds.
            pauses.push((began - before).as_secs_f64().round());
            before = began;
        }
        assert_eq!(pauses, [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 1.0, 2.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_asked_to_end_begins_nothing_more_and_ends_what_was_begun() {
        let mut bench = Bench::new();
        bench.trigger("a");
        bench.next().await;
        bench.stopping.cancel();
        bench.trigger("b");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!bench.queue.is_finished());
        bench.answer(Ok(Some(Duration::ZERO)));
        bench.queue.await.unwrap();
        assert!(bench.begun.is_empty());
    }

    #[tokio::test]
    async fn what_waits_is_not_polled_because_another_moves() {
        const WAITING: usize = 100;
        let polls = Arc::new(AtomicUsize::new(0));
        let (open, moves) = (Arc::new(Notify::new()), Arc::new(Mutex::new(0)));
        let stopping = CancellationToken::new();
        let work = |key: usize| {
            let (polls, open, moves) = (Arc::clone(&polls), Arc::clone(&open), Arc::clone(&moves));
            let stopping = stopping.clone();
            async move {
                if key < WAITING {
                    let mut waiting = pin!(stopping.cancelled());
                    std::future::poll_fn(|context| {
                        polls.fetch_add(1, Ordering::SeqCst);
                        waiting.as_mut().poll(context)
                    })
                    .await;
                    return Ok(None);
                }
                for _ in 0..WAITING {
                    *moves.lock().unwrap() += 1;
                    tokio::task::yield_now().await;
                }
                open.notify_one();
                Ok(None)
            }
        };
        let keys = stream_then_pending(0..=WAITING);
        let mut driving = pin!(drive(keys, Worker { work, random: || 0.0 }, &stopping));
        select! {
            () = &mut driving => unreachable!(),
            () = open.notified() => {}
        }
        assert_eq!((*moves.lock().unwrap(), polls.load(Ordering::SeqCst)), (WAITING, WAITING));
    }

    fn stream_then_pending<K>(keys: impl IntoIterator<Item = K>) -> impl Stream<Item = K> {
        futures::stream::iter(keys).chain(futures::stream::pending())
    }
}
