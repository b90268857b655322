//! What is remembered of each token while the process lives. The status is its copy for others
//! and for the next process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::api::OAuthClientTokenStatus;
use crate::decide::{Facts, Lesson, Outcome, learn};

/// Facts and last written status, by uid.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<HashMap<String, Entry>>);

#[derive(Clone, Debug)]
struct Entry {
    facts: Facts,
    written: OAuthClientTokenStatus,
}

impl Ledger {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Entry>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is remembered of a token.
    pub fn facts(&self, uid: &str) -> Option<Facts> {
        self.with(|entries| entries.get(uid).map(|entry| entry.facts.clone()))
    }

    /// Looks at what is remembered of a token.
    pub fn look<T>(&self, uid: &str, see: impl FnOnce(&Facts) -> T) -> Option<T> {
        self.with(|entries| entries.get(uid).map(|entry| see(&entry.facts)))
    }

    /// Takes up a token that is seen for the first time.
    pub fn open(&self, uid: &str, facts: Facts, written: OAuthClientTokenStatus) {
        self.with(|entries| entries.insert(uid.to_owned(), Entry { facts, written }));
    }

    /// The same, unless somebody was faster; tells what is remembered.
    pub fn open_once(&self, uid: &str, facts: Facts, written: OAuthClientTokenStatus) -> Facts {
        self.with(|entries| {
            let entry = entries.entry(uid.to_owned()).or_insert(Entry { facts, written });
            entry.facts.clone()
        })
    }

    /// Takes an outcome into account.
    pub fn learn(&self, uid: &str, outcome: Outcome, lesson: Lesson<'_>) {
        self.with(|entries| {
            if let Some(entry) = entries.get_mut(uid) {
                entry.facts = learn(std::mem::take(&mut entry.facts), outcome, lesson);
            }
        });
    }

    /// The status that was last written, as far as this process knows.
    pub fn written(&self, uid: &str) -> Option<OAuthClientTokenStatus> {
        self.with(|entries| entries.get(uid).map(|entry| entry.written.clone()))
    }

    /// Notes a status that was written.
    pub fn note_written(&self, uid: &str, status: OAuthClientTokenStatus) {
        self.with(|entries| {
            if let Some(entry) = entries.get_mut(uid) {
                entry.written = status;
            }
        });
    }

    /// Forgets everything: another process may have acted since.
    pub fn clear(&self) {
        self.with(HashMap::clear);
    }

    /// Forgets a token that is gone.
    pub fn forget(&self, uid: &str) {
        self.with(|entries| entries.remove(uid));
    }
}
