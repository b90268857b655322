//! Credentials that a provider renews with each answer: refresh tokens that rotate, and tokens that
//! renew themselves. They are kept beside the credentials that they came from, before the access
//! token is published: lost, they cannot be had again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use tracing::{info, warn};

use super::{Edge, Engine};
use crate::api::Intent;
use crate::decide::{Keeping, Origin, SecretKey, keeping, origin};
use crate::error::{Class, Error, Reason};
use crate::oauth::{Credentials, Digester, Renewed};
use crate::runtime::{Chance, identity};

/// How often it is tried to keep what was renewed, before the attempt is given up.
const TRIES: u32 = 4;
/// Before the second try; twice as long before each later one, up to a limit.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A process that ends tries for so long.
const GRACE: TimeDelta = TimeDelta::seconds(10);
/// How often a write is decided again because what is kept changed under it.
pub(super) const ROUNDS: usize = 4;

/// What was renewed, as it is kept.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Digest of the credentials that it began with.
    pub seed: String,
    /// The values; empty where nothing was renewed so far.
    pub renewed: Renewed,
    /// What there was before the credentials were replaced: they may be put back.
    pub former: Option<Former>,
    /// Who is about to use it up.
    pub intent: Option<Intent>,
    /// Which version of the store this is, as the edge has it; `None` where there is no store yet.
    pub version: Option<String>,
}

/// What came of former credentials.
#[derive(Clone, Debug)]
pub struct Former {
    /// Digest of those credentials.
    pub seed: String,
    /// The values.
    pub renewed: Renewed,
}

/// How to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// It only has to turn out whether it is possible.
    Rehearsed,
    /// It outlives the process.
    Real,
}

/// What is to be written once an answer has come.
#[derive(Clone, Debug)]
pub(super) struct Conclusion {
    /// The intent that ends with it.
    pub(super) intent: Intent,
    /// What the answer renewed, and of which credentials; nothing, where it was a refusal.
    pub(super) news: Option<Former>,
}

/// What could not be kept so far. It lives as long as the process.
#[derive(Debug)]
pub struct Renewals {
    /// Who notes intents.
    pub(super) holder: String,
    unsaved: Mutex<HashMap<SecretKey, Conclusion>>,
}

impl Renewals {
    /// Those of a process that begins.
    pub fn new(chance: &Chance) -> Self {
        Self { holder: identity(chance), unsaved: Mutex::default() }
    }

    fn unsaved(&self, credentials: &SecretKey) -> Option<Conclusion> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).get(credentials).cloned()
    }

    fn all_unsaved(&self) -> Vec<(SecretKey, Conclusion)> {
        let unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        unsaved.iter().map(|(key, conclusion)| (key.clone(), conclusion.clone())).collect()
    }

    fn is_empty(&self) -> bool {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(super) fn note(&self, credentials: &SecretKey, conclusion: &Conclusion) {
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        unsaved.insert(credentials.clone(), conclusion.clone());
    }

    /// It is written. What came after it is still to be.
    fn note_written(&self, credentials: &SecretKey, conclusion: &Conclusion) {
        let mut unsaved = self.unsaved.lock().unwrap_or_else(PoisonError::into_inner);
        if unsaved.get(credentials).is_some_and(|last| last.intent == conclusion.intent) {
            unsaved.remove(credentials);
        }
    }
}

impl Kept {
    /// From where to go on with credentials of this seed.
    pub(super) fn go_on(&self, seed: &str) -> Renewed {
        match (self.origin(seed), &self.former) {
            (Origin::Kept, _) => self.renewed.clone(),
            (Origin::Former, Some(former)) => former.renewed.clone(),
            _ => Renewed::default(),
        }
    }

    pub(super) fn origin(&self, seed: &str) -> Origin {
        origin(&self.seed, self.former.as_ref().map(|former| &*former.seed), seed)
    }

    /// The same after an answer; `None` where something newer is there.
    fn concluded(self, conclusion: &Conclusion, digester: &Digester) -> Option<Self> {
        let current = generation(&self.seed, &self.renewed, digester);
        let how = keeping(&conclusion.intent, self.intent.as_ref(), &current);
        let intent = match how {
            Keeping::Conclude => None,
            Keeping::Yield => self.intent.clone(),
            Keeping::Superseded => return None,
        };
        let kept = Self { intent, ..self };
        Some(match &conclusion.news {
            None => kept,
            Some(news) => kept.with(news),
        })
    }

    /// The same with what came of these credentials. What came of others is not forgotten at once.
    fn with(self, news: &Former) -> Self {
        let Former { seed, renewed } = news.clone();
        let former = match self.origin(&seed) {
            Origin::Kept => self.former,
            _ if self.renewed.is_empty() => None,
            _ => Some(Former { seed: self.seed, renewed: self.renewed }),
        };
        Self { seed, renewed, former, ..self }
    }
}

impl<E: Edge> Engine<E> {
    /// Writes down what an answer came to, once more where that fails. Until it is written it is
    /// remembered, and the provider is not asked again.
    pub(super) async fn conclude(
        &self,
        credentials: &SecretKey,
        conclusion: Conclusion,
    ) -> Result<(), Error> {
        self.renewals.note(credentials, &conclusion);
        self.write_conclusion(credentials, &conclusion).await
    }

    async fn write_conclusion(
        &self,
        credentials: &SecretKey,
        conclusion: &Conclusion,
    ) -> Result<(), Error> {
        let mut pause = PAUSE;
        let mut tries = 1;
        let mut ending: Option<DateTime<Utc>> = None;
        loop {
            let Err(error) = self.store(credentials, conclusion).await else {
                self.renewals.note_written(credentials, conclusion);
                return Ok(());
            };
            if self.over.is_cancelled() {
                ending.get_or_insert_with(|| self.clock.now() + GRACE);
            }
            if ending.map_or(tries >= TRIES, |end| self.clock.now() >= end) {
                return Err(unkept(credentials, &error));
            }
            warn!(%credentials, %error, "what the provider renewed is to be kept once more");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            tries += 1;
        }
    }

    /// What could not be written before is written first.
    pub(super) async fn catch_up(&self, credentials: &SecretKey) -> Result<(), Error> {
        match self.renewals.unsaved(credentials) {
            Some(conclusion) => self.write_conclusion(credentials, &conclusion).await,
            None => Ok(()),
        }
    }

    /// When nothing new is begun any more: what could not be written so far is tried once more, for
    /// a while. Tells whether all of it is written.
    pub async fn catch_up_with_all(&self) -> bool {
        let last = |(credentials, conclusion)| async move {
            if let Err(error) = self.write_conclusion(&credentials, &conclusion).await {
                warn!(%credentials, %error, "it is still not kept");
            }
        };
        join_all(self.renewals.all_unsaved().into_iter().map(last)).await;
        self.renewals.is_empty()
    }

    async fn store(&self, credentials: &SecretKey, conclusion: &Conclusion) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let found = self.edge.renewed(credentials).await?;
            let next = match (found, &conclusion.news) {
                (Some(found), _) => found.concluded(conclusion, &self.digester),
                (None, Some(news)) => Some(Kept::default().with(news)),
                (None, None) => None,
            };
            let Some(next) = next else {
                info!(%credentials, "what is kept is newer");
                return Ok(());
            };
            if self.edge.keep(credentials, &next, Writing::Real).await?.is_some() {
                return Ok(());
            }
        }
        Err(restless(credentials))
    }
}

/// Digest of what is renewed, as the credentials Secret has it.
pub(super) fn seed(credentials: &Credentials, digester: &Digester) -> String {
    let digest = |key: &str| credentials.get(key).map(|value| digester.credential(value));
    let [refresh, access] = ["refresh_token", "access_token"].map(|key| digest(key).ok());
    format!("{}/{}", refresh.unwrap_or_default(), access.unwrap_or_default())
}

/// Digest of what a request is made from: what was renewed stands in for what it began with.
pub(super) fn generation(seed: &str, renewed: &Renewed, digester: &Digester) -> String {
    let values = [&renewed.refresh_token, &renewed.access_token];
    let parts = seed.split('/').zip(values).map(|(seed, value)| match value {
        Some(value) => digester.credential(value),
        None => seed.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

pub(super) fn restless(credentials: &SecretKey) -> Error {
    let message =
        format!("what is kept of Secret {credentials} changes faster than it can be written");
    Error::new(Reason::WriteFailed, message)
}

/// However it failed: it is tried again soon, for it must not be lost.
fn unkept(credentials: &SecretKey, error: &Error) -> Error {
    let message = format!(
        "what the provider renewed of Secret {credentials} is not kept yet: {error}; until it is, it \
         lives in this process only, and the provider is not asked again"
    );
    Error::new(Reason::WriteFailed, message).with_class(Class::Transient)
}

#[cfg(test)]
#[path = "renewal_tests.rs"]
mod tests;
