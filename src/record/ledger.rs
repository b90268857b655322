//! What is remembered of each token while the process lives. The status is its copy for others
//! and for the next process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::OAuthClientTokenStatus;
use crate::decide::{Facts, Lesson, Outcome, learn};
use crate::packed::Packed;

/// Facts and last known status, by uid.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<HashMap<Box<str>, Entry>>);

/// Of one token. What cannot be told in bytes is forgotten, and found out again.
#[derive(Debug, Default)]
struct Entry {
    facts: Option<Packed<Facts>>,
    status: Option<Packed<OAuthClientTokenStatus>>,
    /// Of which version of its resource that is, where the resource is watched.
    version: Option<u64>,
    /// By its mark, the standing that the status was found to tell of, given these facts.
    told: Option<u64>,
}

/// Whether a status was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// As this version of a resource that is watched, where versions can be compared.
    Watched(Option<u64>),
    /// Where nobody else writes.
    Alone,
    /// Not at all: it is somebody else's to tell by now, or the resource is gone.
    Not,
}

impl Entry {
    fn facts(&self) -> Option<Facts> {
        self.facts.as_ref()?.read()
    }

    fn status(&self) -> Option<OAuthClientTokenStatus> {
        self.status.as_ref()?.read()
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
    pub fn open(&self, uid: &str, facts: &Facts, status: &OAuthClientTokenStatus) {
        let (facts, status) = (Packed::of(facts), Packed::of(status));
        let entry = Entry { facts, status, ..Entry::default() };
        self.with(|entries| entries.insert(uid.into(), entry));
    }

    /// The same, unless somebody was faster; tells what is remembered. Its status counts only where
    /// none is known.
    pub fn open_once(&self, uid: &str, facts: Facts, status: &OAuthClientTokenStatus) -> Facts {
        self.with(|entries| {
            let entry = entries.entry(uid.into()).or_default();
            entry.facts().unwrap_or_else(|| {
                entry.facts = Packed::of(&facts);
                if entry.status.is_none() {
                    entry.status = Packed::of(status);
                }
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
                entry.told = None;
            }
        });
    }

    /// The last status that was written, as far as this process knows.
    pub fn status(&self, uid: &str) -> Option<OAuthClientTokenStatus> {
        self.with(|entries| entries.get(uid)?.status())
    }

    /// The same, unless it is known to tell of the standing with this mark.
    pub fn status_to_change(&self, uid: &str, mark: u64) -> Option<OAuthClientTokenStatus> {
        self.with(|entries| {
            let entry = entries.get(uid).filter(|entry| entry.told != Some(mark))?;
            entry.status()
        })
    }

    /// Notes that the last status tells of the standing with this mark: until either changes it need
    /// not be unpacked to find that out again.
    pub fn note_told(&self, uid: &str, mark: u64) {
        self.with(|entries| {
            if let Some(entry) = entries.get_mut(uid) {
                entry.told = Some(mark);
            }
        });
    }

    /// Its conditions.
    pub fn conditions(&self, uid: &str) -> Vec<Condition> {
        self.status(uid).map(|status| status.conditions).unwrap_or_default()
    }

    /// Takes in the status of a version of a resource that a watch told of. What is older than what
    /// we wrote ourselves is of no interest.
    pub fn see(&self, uid: &str, status: Option<&OAuthClientTokenStatus>, version: Option<u64>) {
        self.with(|entries| {
            let entry = entries.entry(uid.into()).or_default();
            // Mostly it is the very one that we wrote.
            if entry.version < version || version.is_none() {
                let none = OAuthClientTokenStatus::default();
                entry.status = Packed::of(status.unwrap_or(&none));
                entry.version = version;
                entry.told = None;
            }
        });
    }

    /// Notes a status that we wrote.
    pub fn note_written(&self, uid: &str, status: &OAuthClientTokenStatus, written: Written) {
        let version = match written {
            Written::Watched(version) => version,
            Written::Alone => None,
            Written::Not => return,
        };
        self.with(|entries| {
            if let Some(entry) = entries.get_mut(uid) {
                entry.status = Packed::of(status);
                entry.version = version.max(entry.version);
                entry.told = None;
            }
        });
    }

    /// Forgets everything but what the watch keeps current: another process may have acted since.
    pub fn clear(&self) {
        self.with(|entries| {
            entries.retain(|_, entry| {
                entry.facts = None;
                entry.told = None;
                entry.version.is_some()
            });
        });
    }

    /// Forgets a token that is gone.
    pub fn forget(&self, uid: &str) {
        self.with(|entries| entries.remove(uid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(secret_name: &str) -> OAuthClientTokenStatus {
        let secret_name = Some(secret_name.to_owned());
        OAuthClientTokenStatus { secret_name, ..OAuthClientTokenStatus::default() }
    }

    fn known(ledger: &Ledger) -> Option<String> {
        ledger.status("u")?.secret_name
    }

    #[test]
    fn a_watch_that_lags_behind_does_not_undo_what_was_written() {
        let ledger = Ledger::default();
        ledger.see("u", Some(&status("seen")), Some(3));
        ledger.note_written("u", &status("written"), Written::Watched(Some(5)));
        ledger.see("u", Some(&status("before")), Some(4));
        assert_eq!(known(&ledger).as_deref(), Some("written"));
        ledger.see("u", Some(&status("by another")), Some(6));
        assert_eq!(known(&ledger).as_deref(), Some("by another"));
        // Which the watch told before the answer came.
        ledger.note_written("u", &status("not told"), Written::Not);
        assert_eq!(known(&ledger).as_deref(), Some("by another"));
    }

    #[test]
    fn a_status_is_looked_at_again_once_anything_that_it_follows_from_may_have_changed() {
        let ledger = Ledger::default();
        ledger.see("u", Some(&status("seen")), Some(3));
        let is_looked_at = |mark| ledger.status_to_change("u", mark).is_some();
        let changes: [(&str, &dyn Fn()); 5] = [
            ("nothing is known", &|| {}),
            ("the watch tells of another", &|| {
                ledger.see("u", Some(&status("by another")), Some(4));
            }),
            ("another is written", &|| {
                ledger.note_written("u", &status("written"), Written::Watched(Some(5)));
            }),
            ("something is learnt", &|| {
                let lesson = Lesson {
                    now: chrono::DateTime::UNIX_EPOCH,
                    min_interval: None,
                    random: 0.5,
                    undone_by: None,
                };
                ledger.learn("u", Outcome::Parted, lesson);
            }),
            ("a term begins", &|| ledger.clear()),
        ];
        for (what, change) in changes {
            change();
            assert!(is_looked_at(7), "{what}");
            ledger.note_told("u", 7);
            assert!(!is_looked_at(7) && is_looked_at(8), "{what}");
            // What is written comes back.
            ledger.see("u", Some(&status("written")), Some(3));
            assert!(!is_looked_at(7), "{what}");
        }
    }

    #[test]
    fn a_term_begins_with_what_the_watch_tells() {
        let ledger = Ledger::default();
        ledger.see("u", Some(&status("seen")), Some(3));
        ledger.open_once("u", Facts::default(), &status("of no interest"));
        ledger.open("alone", &Facts::default(), &status("of a former term"));
        ledger.clear();
        assert_eq!((ledger.facts("u"), known(&ledger).as_deref()), (None, Some("seen")));
        assert_eq!(ledger.status("alone"), None);
    }
}
