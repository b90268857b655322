//! Former targets: what a renamed target, or a deleted resource, leaves behind in Secrets.

use std::collections::BTreeSet;

use super::plan::Plan;
use super::view::View;
use crate::api::{CreationPolicy, DeletionPolicy};
use crate::error::{Class, Error};

/// How a remark begins that says why a former target is not cleared.
pub(super) const LEAVING_REMARK: &str = "a former target: ";

impl View<'_> {
    fn target_is(&self, policy: CreationPolicy) -> bool {
        self.snapshot.token.spec.target.creation_policy == policy
    }

    /// A former target is cleared once the new one holds a good token.
    pub(super) fn leave(&self) -> Option<Plan> {
        self.good()?;
        let name = self.facts.former.iter().find(|name| *name != self.snapshot.secret_name())?;
        let resting = self.facts.leaving.as_ref().is_some_and(|failed| failed.until > self.now);
        (!resting).then(|| self.leave_from(name))
    }

    fn leave_from(&self, name: &str) -> Plan {
        let fate = self.snapshot.token.spec.target.deletion_policy;
        Plan::Leave { secret_name: name.to_owned(), fate }
    }

    /// What a deleted resource takes out of Secrets before it goes: its keys in those of others,
    /// and former targets. The target that is its own goes by its ownerReference. What can never be
    /// taken back holds nothing up.
    pub(super) fn take_back(&self) -> Option<Plan> {
        let names = self.to_be_left();
        let name = names.first()?;
        match &self.facts.leaving {
            Some(failed) if failed.error.class() == Class::Permanent => None,
            Some(failed) if failed.until > self.now => Some(self.wait(None, Some(&failed.error))),
            _ => Some(self.leave_from(name)),
        }
    }

    /// The Secrets that a deleted resource would have to clear.
    fn to_be_left(&self) -> BTreeSet<String> {
        if self.snapshot.token.spec.target.deletion_policy == DeletionPolicy::Retain {
            return BTreeSet::new();
        }
        let mut names = self.facts.former.clone();
        if self.is_guest() {
            names.insert(self.snapshot.secret_name().to_owned());
        }
        let held = self.facts.held.as_ref().map(|held| &held.secret_name);
        names.extend(held.filter(|name| *name != self.snapshot.secret_name()).cloned());
        names
    }

    /// Whether keys of ours are in somebody else's target.
    fn is_guest(&self) -> bool {
        let target = self.snapshot.target.as_ref();
        let theirs = !self.is_ours() || self.target_is(CreationPolicy::Merge);
        theirs
            && target.is_some_and(|target| target.guest.is_some() || !target.owned_keys.is_empty())
    }

    /// Whether something would be left behind if the resource went now.
    pub(super) fn leaves_something(&self) -> bool {
        !self.to_be_left().is_empty()
    }
}

/// What is told of a former target that could not be cleared.
pub(super) fn remark(error: &Error) -> String {
    format!("{LEAVING_REMARK}{}", error.message())
}

#[cfg(test)]
#[path = "leaving_tests.rs"]
mod tests;
