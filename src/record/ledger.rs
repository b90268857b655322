//! What is remembered of each token while the process lives. The status is its copy for others
//! and for the next process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use crate::api::OAuthClientTokenStatus;
use crate::decide::{Facts, Lesson, Outcome, learn};
use crate::packed::Packed;

/// Facts and last written status, by uid.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<HashMap<Box<str>, Entry>>);

/// Of one token. What cannot be told in bytes is forgotten, and found out again.
#[derive(Debug)]
struct Entry {
    facts: Option<Packed<Facts>>,
    /// As JSON, which is made for fields that are left out.
    written: Option<Box<RawValue>>,
}

impl Entry {
    fn of(facts: &Facts, written: &OAuthClientTokenStatus) -> Self {
        Self { facts: Packed::of(facts), written: to_raw_value(written).ok() }
    }

    fn facts(&self) -> Option<Facts> {
        self.facts.as_ref()?.read()
    }

    fn written<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(self.written.as_ref()?.get()).ok()
    }
}

impl Ledger {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Box<str>, Entry>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is remembered of a token.
    pub fn facts(&self, uid: &str) -> Option<Facts> {
        self.with(|entries| entries.get(uid)?.facts())
    }

    /// Takes up a token that is seen for the first time.
    pub fn open(&self, uid: &str, facts: &Facts, written: &OAuthClientTokenStatus) {
        self.with(|entries| entries.insert(uid.into(), Entry::of(facts, written)));
    }

    /// The same, unless somebody was faster; tells what is remembered.
    pub fn open_once(&self, uid: &str, facts: Facts, written: &OAuthClientTokenStatus) -> Facts {
        self.with(|entries| {
            let known = entries.get(uid).and_then(Entry::facts);
            known.unwrap_or_else(|| {
                entries.insert(uid.into(), Entry::of(&facts, written));
                facts
            })
        })
    }

    /// Takes an outcome into account.
    pub fn learn(&self, uid: &str, outcome: Outcome, lesson: Lesson<'_>) {
        self.with(|entries| {
            if let Some(entry) = entries.get_mut(uid) {
                let facts = entry.facts().unwrap_or_default();
                entry.facts = Packed::of(&learn(facts, outcome, lesson));
            }
        });
    }

    /// The status that was last written, as far as this process knows.
    pub fn written(&self, uid: &str) -> Option<OAuthClientTokenStatus> {
        self.with(|entries| entries.get(uid)?.written())
    }

    /// Its conditions.
    pub fn conditions(&self, uid: &str) -> Vec<Condition> {
        #[derive(Deserialize)]
        struct Told {
            #[serde(default)]
            conditions: Vec<Condition>,
        }
        let told = self.with(|entries| entries.get(uid)?.written::<Told>());
        told.map(|told| told.conditions).unwrap_or_default()
    }

    /// Notes a status that was written.
    pub fn note_written(&self, uid: &str, status: &OAuthClientTokenStatus) {
        self.with(|entries| {
            if let Some(entry) = entries.get_mut(uid) {
                entry.written = to_raw_value(status).ok();
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
