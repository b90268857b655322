//! What outlives the process of the accounts at providers: how many requests were made, and until
//! when a provider asked for silence. It is written before a request is made, and only over what
//! was read: two processes that count at once cannot both spend the same.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};
use tracing::warn;

use super::Edge;
use super::accounts::{Accounts, Application, Pass};
use crate::decide::{HeldBack, Memory, Parts};
use crate::error::{Error, Reason};

/// How often a write is tried that somebody else was faster than.
const ROUNDS: usize = 10;

/// Accounts of one namespace that are written down. All of them share one Secret: what one tenant
/// does must leave room for the others.
const PER_NAMESPACE: usize = 64;

/// What was last read or written.
#[derive(Default)]
pub(super) struct Book {
    page: Mutex<Page>,
    was_read: AtomicBool,
}

#[derive(Default)]
struct Page {
    /// `None` where it has to be read first.
    version: Option<Version>,
    accounts: BTreeMap<String, Written>,
}

/// What is written down, and its version where it was there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version(
    /// The edge's own word for it; `None` where nothing was there.
    pub Option<String>,
);

/// An account as it is written down.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase", default)]
struct Written {
    /// Whose token was the first to use it.
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_until: Option<DateTime<Utc>>,
    /// By the window's length in milliseconds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    windows: BTreeMap<i64, Parts>,
}

/// Why a request may not be made.
pub(super) enum Refusal {
    /// As the account remembers.
    HeldBack,
    /// It could not be written down.
    Failed(Error),
}

impl Accounts {
    /// Reads what former processes wrote down, once. Where that cannot be, those accounts go on
    /// whose requests need not be counted over a restart.
    pub(super) async fn remember<E: Edge>(&self, edge: &E) {
        if self.book.was_read.load(Ordering::Acquire) {
            return;
        }
        let mut page = self.book.page.lock().await;
        if !self.book.was_read.load(Ordering::Acquire)
            && let Err(error) = self.read(edge, &mut page).await
        {
            warn!(%error, "what was written down of budgets and silences is not known yet");
        }
    }

    async fn read<E: Edge>(&self, edge: &E, page: &mut MutexGuard<'_, Page>) -> Result<(), Error> {
        let (version, text) = edge.accounts().await?;
        let accounts = match text {
            Some(text) => serde_json::from_slice(&text).map_err(|_| damaged())?,
            None => BTreeMap::new(),
        };
        page.version = Some(version);
        page.accounts = accounts;
        self.recall(page.accounts.iter().map(|(name, w)| (name.clone(), w.memory())).collect());
        self.book.was_read.store(true, Ordering::Release);
        Ok(())
    }

    /// Counts a request that is about to be made.
    pub(super) async fn spend<E: Edge>(&self, edge: &E, pass: &Pass) -> Result<(), Refusal> {
        for _ in 0..ROUNDS {
            if pass.spend() {
                return Ok(());
            }
            self.reserve(edge, &pass.application).await?;
        }
        Err(Refusal::Failed(Error::new(
            Reason::WriteFailed,
            "requests cannot be counted as fast as the limits of the provider are short",
        )))
    }

    async fn reserve<E: Edge>(&self, edge: &E, application: &Application) -> Result<(), Refusal> {
        let mut page = self.book.page.lock().await;
        let caller = &application.caller;
        // Who was here before has reserved for those who waited.
        if self.with(application, |account, now| account.has_reserve(caller, now)) {
            return Ok(());
        }
        for _ in 0..ROUNDS {
            if page.version.is_none() {
                self.read(edge, &mut page).await.map_err(Refusal::Failed)?;
            }
            if !page.has_room_for(application) {
                return Err(Refusal::Failed(crowded(&caller.namespace)));
            }
            let wanted = self.waiting(application).saturating_add(1);
            let name = &application.lane.account;
            let known = page.accounts.get(name).map(Written::memory).unwrap_or_default();
            let (batch, memory) = self
                .with(application, |account, now| {
                    account.recall(&known, now);
                    Ok((account.reserve(caller, wanted, now)?, account.memory()))
                })
                .map_err(|_: HeldBack| Refusal::HeldBack)?;
            let written = self.write(edge, &mut page, (application, &memory)).await;
            self.with(application, |account, now| match written {
                Ok(true) => account.grant(caller, batch),
                _ => account.recall(&known, now),
            });
            if written.map_err(Refusal::Failed)? {
                return Ok(());
            }
        }
        let message = "the count of requests changes faster than it can be written";
        Err(Refusal::Failed(Error::new(Reason::WriteFailed, message)))
    }

    /// Writes an account down. `false` where somebody else was faster: it is to be read again.
    async fn write<E: Edge>(
        &self,
        edge: &E,
        page: &mut MutexGuard<'_, Page>,
        (application, memory): (&Application, &Memory),
    ) -> Result<bool, Error> {
        let now = self.clock.now();
        let mut accounts = page.accounts.clone();
        let written = accounts.entry(application.lane.account.clone()).or_default();
        let first = std::mem::take(&mut written.namespace);
        let namespace = match first.is_empty() {
            true => application.caller.namespace.clone(),
            false => first,
        };
        *written = Written { namespace, ..Written::of(memory) };
        accounts.retain(|_, written| written.matters(now));
        let text = serde_json::to_vec(&accounts).map_err(|_| damaged())?;
        // Until it is known what became of the write, the page is not.
        let version = page.version.take().unwrap_or_default();
        let Some(version) = edge.keep_accounts(&version, &text).await? else { return Ok(false) };
        page.version = Some(version);
        page.accounts = accounts;
        Ok(true)
    }

    /// Writes a silence down. Where that fails it holds as long as the process lives, and the
    /// token's own status tells of it.
    pub(super) async fn keep_silence<E: Edge>(
        &self,
        edge: &E,
        (application, until): (&Application, DateTime<Utc>),
    ) {
        let mut page = self.book.page.lock().await;
        for _ in 0..ROUNDS {
            let kept = async {
                if page.version.is_none() {
                    self.read(edge, &mut page).await?;
                }
                let name = &application.lane.account;
                let written = page.accounts.get(name).map(Written::memory).unwrap_or_default();
                let memory =
                    Memory { silent_until: written.silent_until.max(Some(until)), ..written };
                if !page.has_room_for(application) {
                    return Err(crowded(&application.caller.namespace));
                }
                self.write(edge, &mut page, (application, &memory)).await
            };
            match kept.await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    warn!(%error, "a silence could not be written down");
                    return;
                }
            }
        }
    }
}

impl Page {
    fn has_room_for(&self, application: &Application) -> bool {
        let namespace = &application.caller.namespace;
        let of_it = self.accounts.values().filter(|written| written.namespace == *namespace);
        self.accounts.contains_key(&application.lane.account) || of_it.count() < PER_NAMESPACE
    }
}

fn crowded(namespace: &str) -> Error {
    let message = format!(
        "namespace {namespace:?} asks more than {PER_NAMESPACE} accounts at providers whose requests \
         are counted: use fewer credentials or hosts, or wait until some are over"
    );
    Error::new(Reason::BudgetExhausted, message)
}

impl Written {
    fn of(memory: &Memory) -> Self {
        let windows = memory.windows.iter().filter(|(_, parts)| !parts.is_empty());
        Self {
            namespace: String::new(),
            silent_until: memory.silent_until,
            windows: windows.map(|(length, p)| (length.num_milliseconds(), p.clone())).collect(),
        }
    }

    fn memory(&self) -> Memory {
        let length = |milliseconds: i64| TimeDelta::try_milliseconds(milliseconds);
        let windows =
            self.windows.iter().filter_map(|(l, parts)| Some((length(*l)?, parts.clone())));
        Memory { silent_until: self.silent_until, windows: windows.collect() }
    }

    /// Whether it is not over altogether.
    fn matters(&self, now: DateTime<Utc>) -> bool {
        let mut account = crate::decide::Account::new(now);
        account.recall(&self.memory(), now);
        account.tidy(now)
    }
}

fn damaged() -> Error {
    let message = "what was written down of the requests made so far cannot be read: delete it, and \
                   the count begins anew";
    Error::new(Reason::ReadFailed, message)
}
