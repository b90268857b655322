//! What is remembered of the copies of a token, and what it tells of the next try.

use chrono::{DateTime, TimeDelta, Utc};

use super::admission::SecretKey;
use super::facts::{Repairs, Setback};
use super::learn::{Lesson, repaired};
use super::schedule::{self, Backoff, after};
use crate::error::{Class, Error, Reason};

/// Least time between two tries for one copy, but for the very first ones.
const LEAST_WAIT: TimeDelta = TimeDelta::seconds(1);

/// What is remembered of a copy while the process lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyFacts {
    /// The token that was last written there, by the time of its issue.
    pub issued_at: Option<DateTime<Utc>>,
    /// How often that was written again lately.
    pub repairs: Option<Repairs>,
    /// What stood in the way last.
    pub setback: Option<CopySetback>,
}

/// What stood in the way of a change of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySetback {
    /// What it was.
    pub setback: Setback,
    /// What was tried.
    pub tried: Tried,
}

/// What one try was about: the same again comes to the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// The version of the Secret that was there.
    pub version: Option<String>,
    /// The generation of the spec.
    pub generation: Option<i64>,
    /// The token that was to be written, by the time of its issue; `None` where one was to go.
    pub issued_at: Option<DateTime<Utc>>,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyOutcome {
    /// The copy.
    pub key: SecretKey,
    /// What was tried.
    pub tried: Tried,
    /// Who had written to the Secret last, apart from us, where that is known.
    pub editor: Option<String>,
    /// Why it was not done.
    pub error: Option<Error>,
}

impl CopySetback {
    /// Whether it stands in the way of this, too. What passes by itself is no other for anything
    /// that somebody changed; of what a person has to mend, any change may have done so.
    fn bars(&self, wanted: &Tried) -> bool {
        match self.setback.error.class() {
            Class::Permanent => self.tried == *wanted,
            _ => self.tried.issued_at.is_some() == wanted.issued_at.is_some(),
        }
    }
}

impl CopyFacts {
    /// Whether no token can be written for the time being.
    pub(super) fn is_write_barred(&self, now: DateTime<Utc>) -> bool {
        let setback = self.setback.as_ref();
        setback.is_some_and(|it| it.tried.issued_at.is_some() && it.setback.until > now)
    }

    /// Before when a change is not to be tried.
    pub(super) fn not_before(&self, wanted: &Tried) -> Option<DateTime<Utc>> {
        let again = wanted.issued_at.is_some() && wanted.issued_at == self.issued_at;
        let rested = self.repairs.as_ref().filter(|_| again).map(|repairs| {
            after(repairs.at, schedule::patience(repairs.times).max(schedule::REPAIR_INTERVAL))
        });
        let set_back = self.setback.as_ref().filter(|setback| setback.bars(wanted));
        let set_back = set_back.map(|setback| setback.setback.until);
        [rested, set_back].into_iter().flatten().max()
    }
}

/// Takes what came of a step into account.
#[must_use]
pub fn learn_copy(facts: CopyFacts, outcome: &CopyOutcome, lesson: Lesson<'_>) -> CopyFacts {
    let tried = &outcome.tried;
    match &outcome.error {
        // Whose a Secret is that nobody knew of shows in the next snapshot.
        Some(error) if error.reason() == Reason::SecretNotOwned && tried.version.is_none() => facts,
        Some(error) => {
            let times = facts.setback.map_or(0, |before| before.setback.times).saturating_add(1);
            let min_interval = LEAST_WAIT;
            let backoff =
                Backoff { failures: times, remaining: None, min_interval, random: lesson.random };
            let until = after(lesson.now, backoff.after(error));
            let setback = Setback { error: error.clone(), times, until };
            CopyFacts { setback: Some(CopySetback { setback, tried: tried.clone() }), ..facts }
        }
        None => {
            let again = tried.issued_at.is_some() && facts.issued_at == tried.issued_at;
            let lesson = Lesson { undone_by: outcome.editor.as_deref(), ..lesson };
            CopyFacts {
                issued_at: tried.issued_at,
                repairs: match again {
                    true => Some(repaired(facts.repairs.as_ref(), lesson)),
                    false => facts.repairs,
                },
                // That an expired token could go says nothing of whether another one can come.
                setback: facts
                    .setback
                    .filter(|it| tried.issued_at.is_none() && it.tried.issued_at.is_some()),
            }
        }
    }
}
