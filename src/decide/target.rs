//! What a token may do with its target at one moment, and whether that says whose it is.

use std::collections::BTreeSet;

use super::ownership::{Claim, Holder, Wish, claim, conflict, ownership};
use super::snapshot::{Snapshot, TargetMeta};
use super::view::View;
use crate::api::annotations::{OWNER, Owner};
use crate::api::{CreationPolicy, DeletionPolicy};
use crate::error::{Class, Error};

/// What the token of a snapshot may do with its target.
pub(super) fn claim_of(snapshot: &Snapshot) -> Claim {
    let wish = Wish {
        owner: &snapshot.owner(),
        secret_name: snapshot.secret_name(),
        policy: snapshot.token.spec.target.creation_policy,
        rivals: &snapshot.rivals,
    };
    claim(snapshot.target.as_ref(), wish)
}

impl<'a> View<'a> {
    /// Whether the target is this token's.
    pub(super) fn is_ours(&self) -> bool {
        ownership(self.snapshot) == Holder::Us
    }

    /// Whether the target is not to be touched, by its metadata.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.claim, Claim::Refused(_))
    }

    /// Why the target is not touched, as far as its metadata and what was found there tell.
    pub(super) fn barred(&self) -> Option<Error> {
        if let Claim::Refused(error) = &self.claim {
            // What a person has to mend comes before what is waited for.
            let means = self.snapshot.means.as_ref().err();
            let means = means.filter(|means| means.class() == Class::Permanent);
            return means.filter(|_| error.class() == Class::Waiting).or(Some(error)).cloned();
        }
        let target = self.snapshot.target.as_ref()?;
        let nothing = BTreeSet::new();
        let there = match self.inspected(target) {
            Some(Err(error)) => return Some(error.clone()),
            Some(Ok(there)) => there,
            None => &nothing,
        };
        let about = (self.snapshot.secret_name(), there);
        (self.claim == Claim::Merge).then(|| conflict(target, &self.snapshot.keys, about)).flatten()
    }

    fn inspected(&self, target: &TargetMeta) -> Option<&'a Result<BTreeSet<String>, Error>> {
        let inspected = self.facts.inspected.as_ref()?;
        (inspected.version == target.version()).then_some(&inspected.found)
    }

    /// Whether the target has to be looked at before anything is written to it.
    pub(super) fn wants_a_look(&self) -> bool {
        let Some(target) = &self.snapshot.target else { return false };
        let unowned = !self.snapshot.keys.is_subset(&target.owned_keys);
        let wanted =
            target.wants_a_look(&self.snapshot.owner()) || (self.claim == Claim::Merge && unowned);
        wanted && self.inspected(target).is_none()
    }

    /// Whether the target says whose it is, as its policies have it.
    pub(super) fn marks_are_right(&self, target: &TargetMeta, owner: &Owner) -> bool {
        let spec = &self.snapshot.token.spec.target;
        let referenced = target.controller.as_ref().is_some_and(|c| c.uid == owner.uid);
        match spec.creation_policy {
            CreationPolicy::Owner => {
                let kept = spec.deletion_policy == DeletionPolicy::Retain;
                let named = target.annotations.get(OWNER) == Some(&owner.to_string());
                target.labelled && named && referenced != kept
            }
            CreationPolicy::Merge => !self.is_ours(),
        }
    }
}
