//! Condition types, and how a list of conditions is kept.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// The target Secret holds an unexpired token of this resource.
pub const READY: &str = "Ready";
/// No refresh is overdue: the last attempt succeeded.
pub const FRESH: &str = "Fresh";
/// Nothing will change until a person acts (kstatus).
pub const STALLED: &str = "Stalled";
/// The reason of a token whose spec stops all work on it.
pub const SUSPENDED: &str = "Suspended";

/// One condition as it ought to be.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub struct Verdict {
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    /// Stable, PascalCase.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Verdict {
    /// Status `True` or `False` by what holds.
    pub fn new(holds: Holds, reason: &'static str, message: impl Into<String>) -> Self {
        let status = match holds {
            Holds::Yes => "True",
            Holds::No => "False",
        };
        Self { status, reason, message: message.into() }
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// Finds a condition.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether a condition is there with status `True`.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

/// When a condition is being set, and for which generation of the spec.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Now.
    pub now: DateTime<Utc>,
    /// The spec's generation.
    pub generation: Option<i64>,
}

/// Sets a condition. `lastTransitionTime` moves only when the status does.
pub fn set(conditions: &mut Vec<Condition>, type_: &str, verdict: Verdict, stamp: Stamp) {
    let condition = Condition {
        type_: type_.to_owned(),
        status: verdict.status.to_owned(),
        reason: verdict.reason.to_owned(),
        message: verdict.message,
        observed_generation: stamp.generation,
        last_transition_time: crate::clock::to_kube(stamp.now),
    };
    put(conditions, condition);
}

/// Takes a condition over from elsewhere, in the same way.
pub fn carry(conditions: &mut Vec<Condition>, condition: &Condition, stamp: Stamp) {
    let last_transition_time = crate::clock::to_kube(stamp.now);
    put(conditions, Condition { last_transition_time, ..condition.clone() });
}

fn put(conditions: &mut Vec<Condition>, mut condition: Condition) {
    let type_ = condition.type_.clone();
    if let Some(before) = find(conditions, &type_).filter(|c| c.status == condition.status) {
        condition.last_transition_time = before.last_transition_time.clone();
    }
    match conditions.iter_mut().find(|condition| condition.type_ == type_) {
        Some(slot) => *slot = condition,
        None => conditions.push(condition),
    }
}
