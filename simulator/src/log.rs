//! The log of requests. It holds secrets and tokens by design: this is a test tool.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::watch;

use crate::System;
use crate::endpoint::Endpoint;
use crate::judged::Judged;

/// Entries kept; the oldest goes first, so that a benchmark of hours does not fill the memory.
const CAPACITY: usize = 200_000;

/// A request and what it got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// Counts up from 1 and is never used twice, not even after the log was cleared.
    pub seq: u64,
    /// When the request had been read, on the simulator's clock.
    #[serde(serialize_with = "milliseconds")]
    pub time: DateTime<Utc>,
    /// The system of the path; `None` for an unknown path and for the target of a redirect.
    pub system: Option<System>,
    /// The endpoint, where the path is one of `oauth2`'s that issue no tokens; then `system` is
    /// `None`.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
    /// The method.
    pub method: String,
    /// The path as it came.
    pub path: String,
    /// The query as it came.
    pub query: Option<String>,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as text (bytes that are not UTF-8 are replaced).
    pub body: String,
    /// The status of the answer; `None` when there is none (hang, dropped connection).
    pub status: Option<u16>,
    /// What it came to.
    pub outcome: Outcome,
    /// The names of all faults that applied.
    pub faults: Vec<String>,
    /// What was wrong with the request, in words; set for a wrong request even when a fault hid it
    /// from the client.
    pub refusal: Option<String>,
    /// What it was judged by.
    #[serde(default)]
    pub judged: Judged,
    /// The token of the answer.
    pub token: Option<String>,
    /// Whether that token had been given out before.
    pub same_token: bool,
    /// When it was over, on the simulator's clock; `None` while it is under way.
    #[serde(default)]
    pub ended: Option<DateTime<Utc>>,
    /// Whether it ended because the client went before the answer was given.
    #[serde(default)]
    pub abandoned: bool,
}

impl Recorded {
    /// The value of a header (name in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

fn milliseconds<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&crate::clock::rfc3339(*time))
}

/// What a request came to; text in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Outcome {
    /// It was given a token, in an answer as the system gives it (perhaps late or slowly).
    Issued,
    /// It was wrong and was told so.
    Refused,
    /// The fault of this name took the place of the answer.
    Fault(String),
    /// A token was revoked, or would have been had it been given out.
    Revoked,
    /// The metadata were given.
    Described,
    /// A good token was used.
    Admitted,
    /// A client followed a redirect that it should not have followed.
    Redirected,
}

impl From<String> for Outcome {
    fn from(text: String) -> Self {
        match text.as_str() {
            "issued" => Self::Issued,
            "refused" => Self::Refused,
            "revoked" => Self::Revoked,
            "described" => Self::Described,
            "admitted" => Self::Admitted,
            "redirected" => Self::Redirected,
            _ => Self::Fault(text),
        }
    }
}

impl From<Outcome> for String {
    fn from(outcome: Outcome) -> Self {
        outcome.to_string()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Issued => "issued",
            Self::Refused => "refused",
            Self::Revoked => "revoked",
            Self::Described => "described",
            Self::Admitted => "admitted",
            Self::Redirected => "redirected",
            Self::Fault(name) => name,
        })
    }
}

/// The requests that were waited for did not come.
#[derive(Debug, Clone, thiserror::Error)]
#[error("waited {timeout:?} for {wanted} requests of {place}, the log has {seen}")]
pub struct TimedOut {
    timeout: Duration,
    wanted: usize,
    place: &'static str,
    seen: usize,
}

/// Where a request went: to a system's token endpoint or to one of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Tokens(System),
    Beside(Endpoint),
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::Tokens(system) => system.name(),
            Self::Beside(endpoint) => endpoint.name(),
        }
    }

    pub(crate) fn holds(self, entry: &Recorded) -> bool {
        match self {
            Self::Tokens(system) => entry.system == Some(system),
            Self::Beside(endpoint) => entry.endpoint == Some(endpoint),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    entries: Mutex<Entries>,
    /// The number of the last entry; waiters wake when it changes.
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Entries {
    kept: VecDeque<Recorded>,
    /// The last entry of each system that `next` handed out.
    taken: BTreeMap<System, u64>,
}

impl Entries {
    fn of(&self, place: Place) -> impl Iterator<Item = &Recorded> {
        self.kept.iter().filter(move |entry| place.holds(entry))
    }

    fn take_next(&mut self, system: System) -> Option<Recorded> {
        let taken = self.taken.get(&system).copied().unwrap_or_default();
        let next = self.of(Place::Tokens(system)).find(|entry| entry.seq > taken)?.clone();
        self.taken.insert(system, next.seq);
        Some(next)
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { entries: Mutex::default(), last: watch::Sender::new(0) }
    }
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is over.
    pub(crate) fn end(&self, seq: u64, (ended, abandoned): (DateTime<Utc>, bool)) {
        let mut entries = self.lock();
        let entry = entries.kept.iter_mut().rev().find(|entry| entry.seq == seq);
        if let Some(entry) = entry {
            entry.ended = Some(ended);
            entry.abandoned = abandoned;
        }
    }

    /// Appends an entry and tells its number.
    pub(crate) fn push(&self, mut entry: Recorded) -> u64 {
        let mut entries = self.lock();
        let mut number = 0;
        // Under the lock, so that numbers and order agree.
        self.last.send_modify(|last| {
            *last += 1;
            number = *last;
            entry.seq = number;
            if entries.kept.len() == CAPACITY {
                entries.kept.pop_front();
            }
            entries.kept.push_back(entry);
        });
        number
    }

    pub(crate) fn clear(&self) {
        self.lock().kept.clear();
    }

    pub(crate) fn select(&self, wanted: impl Fn(&Recorded) -> bool) -> Vec<Recorded> {
        self.lock().kept.iter().filter(|entry| wanted(entry)).cloned().collect()
    }

    pub(crate) async fn next(
        &self,
        system: System,
        timeout: Duration,
    ) -> Result<Recorded, TimedOut> {
        self.until(timeout, |entries| entries.take_next(system))
            .await
            .ok_or_else(|| self.timed_out(Place::Tokens(system), 1, timeout))
    }

    pub(crate) async fn count(
        &self,
        wanted: usize,
        place: Place,
        timeout: Duration,
    ) -> Result<Vec<Recorded>, TimedOut> {
        let enough = |entries: &mut Entries| {
            (entries.of(place).count() >= wanted).then(|| entries.of(place).cloned().collect())
        };
        self.until(timeout, enough).await.ok_or_else(|| self.timed_out(place, wanted, timeout))
    }

    /// The entries after this number, as soon as there is one.
    pub(crate) async fn after(&self, seq: u64) -> Vec<Recorded> {
        let newer = |entries: &mut Entries| {
            let found: Vec<_> =
                entries.kept.iter().filter(|entry| entry.seq > seq).cloned().collect();
            (!found.is_empty()).then_some(found)
        };
        self.watched(newer).await
    }

    async fn until<T>(
        &self,
        timeout: Duration,
        look: impl FnMut(&mut Entries) -> Option<T>,
    ) -> Option<T> {
        tokio::time::timeout(timeout, self.watched(look)).await.ok()
    }

    async fn watched<T>(&self, mut look: impl FnMut(&mut Entries) -> Option<T>) -> T {
        // Subscribed before the first look, so that no entry falls between.
        let mut changes = self.last.subscribe();
        loop {
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn timed_out(&self, place: Place, wanted: usize, timeout: Duration) -> TimedOut {
        TimedOut { timeout, wanted, place: place.name(), seen: self.lock().of(place).count() }
    }
}
