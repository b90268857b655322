//! Everything that is known of one token at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::account::HeldBack;
use super::facts::{Facts, HeldToken};
use super::ownership::Rivals;
use super::schedule::{self, Limits, Pace};
use crate::api::annotations::{OUTPUTS, Owner, REFRESH_REQUESTED_AT, SHAPE};
use crate::api::{Delivery, GROUP, OAuthClientToken, RevokeOn, keys};
use crate::error::Error;

/// Everything that is known of one token at one moment. Immutable.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The resource, or what stands for the grant of a `ClusterOAuthClientToken`.
    pub token: Arc<OAuthClientToken>,
    /// Whose the target is: the resource, as its annotation names it.
    pub owner: Owner,
    /// What is remembered of it.
    pub facts: Facts,
    /// Provider, admission and credentials: all that a request needs, or why it cannot be made.
    pub means: Result<Means, Error>,
    /// What the target ought to look like beside its token, or why that cannot be said.
    pub shape: Result<Outline, Error>,
    /// The target Secret's metadata, where it exists.
    pub target: Option<TargetMeta>,
    /// The other tokens that want the same Secret.
    pub rivals: Rivals,
    /// The keys that the token may need in its target, as far as they are known.
    pub keys: BTreeSet<String>,
    /// Whether the resource can be kept from going until its token is revoked.
    pub holds: bool,
    /// Why its provider is not asked yet, where the token's turn has come before.
    pub held_back: Option<HeldBack>,
    /// How the token reaches its readers, where the spec does not say.
    pub delivery: Delivery,
    /// When this process took up its work: what was overdue then is spread.
    pub resumed_at: DateTime<Utc>,
}

/// What a token request needs, as far as a decision cares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Means {
    /// The request's shape and the credentials' version: while it is the same, so are the inputs.
    pub seen: String,
    /// The document's limits.
    pub limits: Limits,
}

/// What a target ought to look like beside its token, as far as metadata shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Digest of the declared shape; empty where none is declared.
    pub digest: String,
    /// The keys beside the default ones and the outputs.
    pub keys: BTreeSet<String>,
    /// The keys that stay, without a token, when an expired one leaves: the Secret's type wants them.
    pub kept_keys: BTreeSet<String>,
    /// The labels beside our own.
    pub labels: BTreeSet<String>,
    /// The annotations beside our own.
    pub annotations: BTreeSet<String>,
}

/// What is known of a target Secret without its values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetMeta {
    /// Its uid.
    pub uid: String,
    /// The version that was seen.
    pub resource_version: String,
    /// Those annotations of ours that it carries.
    pub annotations: BTreeMap<String, String>,
    /// Its controller, if it has one.
    pub controller: Option<ControllerRef>,
    /// Whether it has our `managed-by` label.
    pub labelled: bool,
    /// The data keys that are still as we wrote them: whoever changes or deletes one takes it
    /// from us in `managedFields`, so that no value has to be read to know.
    pub owned_keys: BTreeSet<String>,
    /// The same of labels; `None` where there are none to own, as of a folder.
    pub owned_labels: Option<BTreeSet<String>>,
    /// The same of annotations.
    pub owned_annotations: BTreeSet<String>,
    /// The data keys of other field managers, where the Secret has an annotation of ours.
    pub managers: BTreeMap<String, BTreeSet<String>>,
    /// The field manager of the guest that sees it, where that has fields in it.
    pub guest: Option<String>,
    /// Who wrote to it last, apart from us, where that is known and it has an annotation of ours.
    pub editor: Option<String>,
    /// Whether somebody has set `immutable`, to whatever value.
    pub may_be_immutable: bool,
    /// Whether it is being deleted, and something holds it.
    pub deleting: bool,
}

/// A controller ownerReference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerRef {
    /// Its `apiVersion`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl Snapshot {
    /// The Secret that the token goes to.
    pub fn secret_name(&self) -> &str {
        self.token.secret_name()
    }

    /// The namespace that credentials come from and the token goes to.
    pub fn namespace(&self) -> &str {
        self.token.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The token, as the owner annotation names it.
    pub fn owner(&self) -> Owner {
        self.owner.clone()
    }

    /// How the token reaches its readers.
    pub fn delivery(&self) -> Delivery {
        self.token.spec.refresh.delivery.unwrap_or(self.delivery)
    }

    /// What the schedule of a token depends on; `random` is in `0.0..1.0`.
    pub(super) fn pace(&self, means: &Means, random: f64) -> Pace {
        let found_out = self.facts.same_token_until;
        let same_token_until = means.limits.same_token_until.or(found_out);
        let limits = Limits { same_token_until, ..means.limits };
        Pace { random, ..Pace::of(&self.token.spec.refresh, limits, self.delivery) }
    }

    /// How long after a rotation nobody can hold the former token any more, where it is to be
    /// revoked then: its readers' delay and a little more.
    pub(super) fn revoke_after(&self) -> Option<TimeDelta> {
        let revoke = self.token.spec.revoke.contains(&RevokeOn::Rotation);
        revoke.then(|| schedule::delay(self.delivery()) + TimeDelta::seconds(10))
    }

    /// The value of the annotation that asks for a refresh.
    pub fn refresh_request(&self) -> Option<&str> {
        let annotations = self.token.metadata.annotations.as_ref()?;
        annotations.get(REFRESH_REQUESTED_AT).map(String::as_str)
    }
}

impl TargetMeta {
    /// The Secret and its version, in one word.
    pub fn version(&self) -> String {
        format!("{}/{}", self.uid, self.resource_version)
    }

    /// The names of the outputs that were written to it.
    pub(super) fn outputs(&self) -> Vec<String> {
        let names = self.annotations.get(OUTPUTS).map(String::as_str).unwrap_or_default();
        names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// Whether every key of a token is still as we wrote it.
    pub(super) fn holds(&self, held: &HeldToken) -> bool {
        let has = |key: &str| self.owned_keys.contains(key);
        has(keys::ACCESS_TOKEN)
            && has(keys::EXPIRES_AT)
            && (held.token_type.is_none() || has(keys::TOKEN_TYPE))
            && held.outputs.iter().all(|key| has(key))
    }
}

impl Outline {
    /// Whether a target looks like this, and nobody changed what we wrote of it.
    pub(super) fn is_on(&self, target: &TargetMeta) -> bool {
        let digest = target.annotations.get(SHAPE).map(String::as_str).unwrap_or_default();
        digest == self.digest
            && self.keys.is_subset(&target.owned_keys)
            && target.owned_labels.as_ref().is_none_or(|owned| self.labels.is_subset(owned))
            && self.annotations.is_subset(&target.owned_annotations)
    }
}

impl ControllerRef {
    /// Whether it points at a resource of ours.
    pub(super) fn is_ours(&self) -> bool {
        self.api_version.split('/').next() == Some(GROUP)
    }
}
