//! Whose a target Secret is, and what a token may do with it.

use std::collections::{BTreeMap, BTreeSet};

use super::snapshot::{Snapshot, TargetMeta};
use crate::api::annotations::{ALLOW, OWNER, Owner};
use crate::api::{CreationPolicy, MANAGER};
use crate::error::{Error, Reason, shortened};

/// No name and no kind is longer. What a Secret says of itself may be: anybody may have written it.
const LONGEST_NAME: usize = 253;

/// Whose the target Secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody's: it does not exist.
    Nobody,
    /// This token's.
    Us,
    /// Somebody else's, who consents to our taking it over, or to our keys in it.
    Consenting,
    /// Somebody else's. Says whose, as far as that is known.
    Another(String),
}

/// What a token may do with the Secret that it wants as its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It does not exist, and is made.
    Make,
    /// It is ours.
    Keep,
    /// It is somebody else's, who consents: it is ours from now on.
    Adopt,
    /// It is somebody else's, who consents: our keys go into it.
    Merge,
    /// It is ours and is to be somebody else's: our marks go, our keys stay.
    Disown,
    /// It is not touched.
    Refused(Error),
}

/// The other tokens that want the same Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rivals {
    /// Those that are older, by name.
    pub earlier: Vec<String>,
    /// Those that are younger, by name.
    pub later: Vec<String>,
}

/// Who wants which Secret, and how.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Who.
    pub owner: &'a Owner,
    /// The Secret's name.
    pub secret_name: &'a str,
    /// How.
    pub policy: CreationPolicy,
    /// Who else does.
    pub rivals: &'a Rivals,
}

/// Whose the target Secret of a snapshot is.
pub fn ownership(snapshot: &Snapshot) -> Holder {
    match &snapshot.target {
        None => Holder::Nobody,
        Some(target) => holder(target, &snapshot.owner()),
    }
}

/// Whose a Secret with this metadata is.
pub fn holder(target: &TargetMeta, us: &Owner) -> Holder {
    if let Some(controller) = &target.controller {
        let name_is_ours =
            controller.is_ours() && controller.kind == us.kind && controller.name == us.name;
        // After a restore from backup the reference holds an old uid of the same name: that one
        // cannot exist any more, for its name is ours.
        if controller.uid == us.uid || name_is_ours {
            return Holder::Us;
        }
        return Holder::Another(described(&controller.kind, &controller.name));
    }
    let named = target.annotations.get(OWNER).and_then(|value| Owner::parse(value));
    match (named, target.annotations.get(ALLOW)) {
        (Some(owner), _) if owner.same_name(us) => Holder::Us,
        (_, Some(_)) if target.consents_to(us) => Holder::Consenting,
        (Some(owner), _) => Holder::Another(described(&owner.kind, &owner.name)),
        (None, Some(other)) => {
            let other = shortened(other, LONGEST_NAME);
            Holder::Another(format!("whoever gave it to {other:?} ({ALLOW})"))
        }
        (None, None) => Holder::Another("something that is not tokenward".to_owned()),
    }
}

/// Whose a Secret says that it is.
fn described(kind: &str, name: &str) -> String {
    let (mut kind, name) = (shortened(kind, LONGEST_NAME), shortened(name, LONGEST_NAME));
    if !kind.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        kind = format!("{kind:?}");
    }
    format!("{kind} {name:?}")
}

/// What a token may do with a Secret; `None` where there is no such Secret.
pub fn claim(target: Option<&TargetMeta>, wish: Wish<'_>) -> Claim {
    let whose = target.map_or(Holder::Nobody, |target| holder(target, wish.owner));
    if let Some(rival) = rival((target, &whose), wish) {
        return Claim::Refused(rival);
    }
    let leaves = target.is_some_and(|target| target.deleting && target.owned_keys.is_empty());
    match (wish.policy, whose) {
        (CreationPolicy::Owner, Holder::Nobody) => Claim::Make,
        (CreationPolicy::Owner, Holder::Us) => Claim::Keep,
        (CreationPolicy::Merge, Holder::Nobody) => {
            Claim::Refused(not_found(wish, "does not exist"))
        }
        (CreationPolicy::Merge, Holder::Us)
            if target.is_some_and(|t| t.consents_to(wish.owner)) =>
        {
            Claim::Disown
        }
        (CreationPolicy::Merge, Holder::Us) => Claim::Refused(not_given_away(wish)),
        (_, Holder::Consenting) if leaves => Claim::Refused(not_found(wish, "is being deleted")),
        (CreationPolicy::Owner, Holder::Consenting) => Claim::Adopt,
        (CreationPolicy::Merge, Holder::Consenting) => Claim::Merge,
        // A controller is no hindrance to a guest, unless it is a token.
        (CreationPolicy::Merge, Holder::Another(whose)) => match target {
            Some(target) if target.admits_as_guest(wish.owner) && leaves => {
                Claim::Refused(not_found(wish, "is being deleted"))
            }
            Some(target) if target.admits_as_guest(wish.owner) => Claim::Merge,
            _ => Claim::Refused(not_owned(wish.owner, (wish.secret_name, &whose))),
        },
        (CreationPolicy::Owner, Holder::Another(whose)) => {
            Claim::Refused(not_owned(wish.owner, (wish.secret_name, &whose)))
        }
    }
}

/// Whoever holds a Secret keeps it; one that nobody holds is the oldest token's that wants it.
fn rival((target, whose): (Option<&TargetMeta>, &Holder), wish: Wish<'_>) -> Option<Error> {
    let Wish { rivals, secret_name, .. } = wish;
    let named = target.and_then(|target| Owner::parse(target.annotations.get(OWNER)?));
    let named = named.filter(|named| named.namespace == wish.owner.namespace);
    let mut all = rivals.earlier.iter().chain(&rivals.later);
    let first = match whose {
        Holder::Us => None,
        Holder::Nobody => rivals.earlier.first(),
        _ => all.find(|name| named.as_ref().is_some_and(|named| named.name == **name)),
    }?;
    let message = format!(
        "Secret {secret_name:?} is the target of OAuthClientToken {first:?}, which came first, and \
         a Secret holds one token: choose another spec.target.secretName"
    );
    Some(Error::new(Reason::SecretNotOwned, message))
}

fn not_found(wish: Wish<'_>, what: &str) -> Error {
    let Wish { secret_name, owner, policy, .. } = wish;
    let how = match policy {
        CreationPolicy::Merge => format!(
            "spec.target.creationPolicy is Merge, so somebody else makes it, with the annotation \
             {ALLOW}: {}",
            owner.consent()
        ),
        CreationPolicy::Owner => "it is made anew once it is gone".to_owned(),
    };
    Error::new(Reason::TargetNotFound, format!("Secret {secret_name:?} {what}: {how}"))
}

fn not_given_away(wish: Wish<'_>) -> Error {
    let Wish { secret_name, owner, .. } = wish;
    let message = format!(
        "Secret {secret_name:?} is this token's own, and spec.target.creationPolicy is Merge: \
         annotate it with {ALLOW}: {} to make it yours, with the token's keys in it, or choose \
         another spec.target.secretName",
        owner.consent()
    );
    Error::new(Reason::SecretNotOwned, message)
}

/// What a foreign target gets, before any token is requested and when it is found out later.
pub fn not_owned(us: &Owner, (secret_name, whose): (&str, &str)) -> Error {
    Error::new(
        Reason::SecretNotOwned,
        format!(
            "Secret {secret_name:?} belongs to {whose}: choose another spec.target.secretName, \
             delete that Secret, or annotate it with {ALLOW}: {}",
            us.consent()
        ),
    )
}

/// Why keys cannot be merged into somebody else's Secret: some are there already. `there` are the
/// keys that it was found to have, for not every key has a field manager.
pub fn conflict(
    target: &TargetMeta,
    wanted: &BTreeSet<String>,
    (secret_name, there): (&str, &BTreeSet<String>),
) -> Option<Error> {
    let mut taken: BTreeMap<&str, String> = there
        .intersection(wanted)
        .filter(|key| !target.owned_keys.contains(*key))
        .map(|key| (key.as_str(), "nobody knows whose".to_owned()))
        .collect();
    for (manager, keys) in &target.managers {
        for key in keys.intersection(wanted) {
            taken.insert(key, format!("of field manager {manager:?}"));
        }
    }
    let taken: Vec<String> = taken.iter().map(|(key, whose)| format!("{key} ({whose})")).collect();
    (!taken.is_empty()).then(|| key_conflict(secret_name, &taken.join(", ")))
}

/// What is told where keys are taken.
pub fn key_conflict(secret_name: &str, keys: &str) -> Error {
    let message = format!(
        "Secret {secret_name:?} has keys already that this token would write: {keys}; with \
         creationPolicy Merge no key is overwritten: take them out of it, or choose another \
         spec.target.secretName"
    );
    Error::new(Reason::TargetKeyConflict, message)
}

/// What an immutable target gets.
pub fn immutable(secret_name: &str) -> Error {
    let message = format!(
        "Secret {secret_name:?} is immutable, so that no fresh token can be written to it: delete \
         it, and it is made anew without `immutable: true`"
    );
    Error::new(Reason::TargetImmutable, message)
}

impl TargetMeta {
    /// The same as one token sees it: which keys are its own, and which are others'.
    #[must_use]
    pub fn seen_by(mut self, us: &Owner) -> Self {
        let manager = us.guest_manager();
        let guest = self.managers.remove(&manager);
        self.guest = guest.is_some().then_some(manager);
        let guest = guest.unwrap_or_default();
        if holder(&self, us) == Holder::Us {
            self.owned_keys.extend(guest);
        } else {
            if !self.owned_keys.is_empty() {
                self.managers.insert(MANAGER.to_owned(), self.owned_keys);
            }
            self.owned_keys = guest;
        }
        self
    }

    /// Whether its owner lets a token have it, or put its keys into it.
    fn consents_to(&self, us: &Owner) -> bool {
        self.annotations.get(ALLOW).is_some_and(|allowed| *allowed == us.consent())
    }

    fn admits_as_guest(&self, us: &Owner) -> bool {
        let of_a_token = self.controller.as_ref().is_some_and(super::ControllerRef::is_ours);
        self.consents_to(us) && !of_a_token
    }

    /// Whether more than its metadata has to be seen before anything is written to it: what was
    /// never written to may be of a type that gives power, and one may have been made immutable.
    pub fn wants_a_look(&self, us: &Owner) -> bool {
        let controlled = self.controller.as_ref().is_some_and(|c| c.uid == us.uid);
        self.may_be_immutable || (!controlled && self.owned_keys.is_empty())
    }
}

#[cfg(test)]
#[path = "ownership_tests.rs"]
mod tests;
