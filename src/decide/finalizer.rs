//! The finalizer, which holds a deleted resource until what it gave is taken back: its token is
//! revoked, its keys have left the Secrets of others. It is there only as long as the spec asks for
//! that, and never for what cannot be taken back.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::view::View;
use crate::api::annotations::REVOKE_FINALIZER;
use crate::api::{CreationPolicy, DeletionPolicy, OAuthClientToken, RevokeOn};
use crate::error::Error;

/// How a remark begins that says why the finalizer is not as it should be.
pub(crate) const FINALIZER_REMARK: &str = "no finalizer: ";

/// What is to be done about the finalizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinalizerChange {
    /// The spec asks for something to be taken back on deletion.
    Set,
    /// It does not, or the resource is deleted and nothing holds it any more.
    Remove,
}

/// What was done about the finalizer, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinalizerTry {
    /// What was to be done.
    pub change: FinalizerChange,
    /// For which generation of the resource: another one is a new occasion.
    pub generation: Option<i64>,
    /// The how many in a row, if it failed.
    pub failures: u32,
    /// The same is not done again before then.
    pub until: DateTime<Utc>,
    /// Why it failed.
    pub error: Option<Error>,
}

/// Whether a resource carries the finalizer.
pub fn is_held(token: &OAuthClientToken) -> bool {
    token.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == REVOKE_FINALIZER)
}

/// Whether the spec asks for something to be taken back on deletion.
fn takes_back(token: &OAuthClientToken) -> bool {
    let target = &token.spec.target;
    let leaves_keys = target.creation_policy == CreationPolicy::Merge
        && target.deletion_policy == DeletionPolicy::Delete;
    leaves_keys || token.spec.revoke.contains(&RevokeOn::Deletion)
}

/// What the finalizers of a resource lack, or have too many, by its spec alone.
pub(super) fn finalizer_change(token: &OAuthClientToken) -> Option<FinalizerChange> {
    let deleted = token.metadata.deletion_timestamp.is_some();
    match (!deleted && takes_back(token), is_held(token)) {
        (true, false) => Some(FinalizerChange::Set),
        (false, true) => Some(FinalizerChange::Remove),
        _ => None,
    }
}

impl View<'_> {
    /// What has to be done about the end of the resource, before anything else. Whether it is
    /// suspended does not matter: to delete it is a person's own act.
    pub(super) fn parting(&self) -> Option<Plan> {
        let token = &self.snapshot.token;
        if !self.snapshot.holds {
            return None;
        }
        let deleted = token.metadata.deletion_timestamp.is_some();
        let Some(change) = finalizer_change(token) else {
            return deleted.then(|| self.wait(None, None));
        };
        if deleted && !self.facts.parted {
            return Some(Plan::Part);
        }
        if deleted && let Some(plan) = self.take_back() {
            return Some(plan);
        }
        // After a change of policy it stays until nothing is left that it is needed for.
        if !deleted && change == FinalizerChange::Remove && self.leaves_something() {
            return None;
        }
        let tried = self.facts.finalizer.as_ref().filter(|tried| {
            tried.change == change
                && tried.generation == token.metadata.generation
                && tried.until > self.now
        });
        match tried {
            None => Some(Plan::Finalizer(change)),
            // A good token goes on being kept fresh without it.
            Some(tried) => deleted.then(|| self.wait(None, tried.error.as_ref())),
        }
    }
}

#[cfg(test)]
#[path = "finalizer_tests.rs"]
mod tests;
