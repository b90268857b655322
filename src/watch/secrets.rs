//! An index of the Secrets that tokens refer to, or that say they are a cluster token's: metadata
//! only, and nothing of any other Secret. So absence proves nothing of a Secret that was not referred
//! to yet when all were listed, until it has been looked at.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;

use super::belongings::Belongings;
use super::managed_fields::{
    ANNOTATIONS, DATA, LABELS, foreign_data_keys, last_editor, owned, sets,
};
use super::references::References;
use super::{Scope, Trigger};
use crate::api::{GROUP, MANAGED_BY, MANAGER};
use crate::decide::{ControllerRef, SecretKey, TargetMeta};
use crate::packed::Packed;

/// What is known of one Secret.
#[derive(Clone, Debug)]
pub enum Known {
    /// Nothing yet: look.
    Nothing,
    /// It does not exist. Holds the version of its deletion, where that was watched.
    Absent(Option<u64>),
    /// It exists.
    Present(Arc<TargetMeta>),
}

/// The same at rest.
#[derive(Debug)]
enum Kept {
    Absent(Option<u64>),
    Present(Packed<TargetMeta>),
}

impl Kept {
    fn of(known: Known) -> Option<Self> {
        match known {
            Known::Nothing => None,
            Known::Absent(version) => Some(Self::Absent(version)),
            Known::Present(meta) => Packed::of(&*meta).map(Self::Present),
        }
    }

    fn read(&self) -> Known {
        match self {
            Self::Absent(version) => Known::Absent(*version),
            Self::Present(meta) => {
                meta.read().map_or(Known::Nothing, |meta| Known::Present(Arc::new(meta)))
            }
        }
    }
}

/// The index.
#[derive(Debug, Default)]
pub struct SecretIndex(Mutex<Index>);

#[derive(Debug, Default)]
struct Index {
    references: References,
    belongings: Belongings,
    kept: HashMap<SecretKey, Kept>,
    /// While a scope is listed again: what the list has not shown yet.
    unlisted: HashMap<Scope, BTreeSet<SecretKey>>,
}

impl SecretIndex {
    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes which Secrets a token refers to now.
    pub fn refer(&self, token: &Trigger, secrets: Vec<SecretKey>) {
        let mut index = self.lock();
        for orphan in index.references.set(token, secrets) {
            if index.belongings.owner(&orphan).is_none() {
                index.kept.remove(&orphan);
            }
        }
    }

    /// The Secrets that say they are a cluster token's.
    pub fn belongings(&self, token: &str) -> Vec<SecretKey> {
        self.lock().belongings.of(token)
    }

    /// What is known of a Secret.
    pub fn known(&self, key: &SecretKey) -> Known {
        self.lock().known(key)
    }

    /// The tokens that refer to a Secret.
    pub fn users(&self, key: &SecretKey) -> Vec<Trigger> {
        self.lock().references.users(key)
    }

    /// Takes a watch event in; answers with the tokens that it concerns.
    pub fn observe(&self, scope: &Scope, event: Event<PartialObjectMeta<Secret>>) -> Vec<Trigger> {
        let mut index = self.lock();
        match event {
            Event::Init => {
                let all = index.kept.keys().chain(index.references.secrets());
                let all = all.filter(|key| scope.contains(&key.namespace)).cloned().collect();
                index.unlisted.insert(scope.clone(), all);
                Vec::new()
            }
            Event::InitApply(secret) => {
                let key = key_of(&secret.metadata);
                if let Some(unlisted) = index.unlisted.get_mut(scope) {
                    unlisted.remove(&key);
                }
                // A list is taken at its word: after a restore, versions are lower than before.
                index.set(&key, Known::Present(Arc::new(TargetMeta::of(&secret.metadata))))
            }
            Event::InitDone => {
                let gone = index.unlisted.remove(scope).unwrap_or_default();
                gone.iter().flat_map(|key| index.set(key, Known::Absent(None))).collect()
            }
            Event::Apply(secret) => {
                let (key, meta) = (key_of(&secret.metadata), TargetMeta::of(&secret.metadata));
                match index.is_older(&key, &meta) {
                    true => Vec::new(),
                    false => index.set(&key, Known::Present(Arc::new(meta))),
                }
            }
            Event::Delete(secret) => {
                let (key, meta) = (key_of(&secret.metadata), TargetMeta::of(&secret.metadata));
                // One that was made again meanwhile is not the one that this event is about.
                match index.is_older(&key, &meta) {
                    true => Vec::new(),
                    false => index.set(&key, Known::Absent(version(&meta))),
                }
            }
        }
    }

    /// Takes in what was read of one Secret of which nothing is known yet. What the watch has told
    /// since the read began stands: the answer may be older, and no other event would follow.
    pub fn note_read(
        &self,
        key: &SecretKey,
        secret: Option<&PartialObjectMeta<Secret>>,
    ) -> Option<TargetMeta> {
        let meta = secret.map(|secret| TargetMeta::of(&secret.metadata));
        let known = meta.clone().map_or(Known::Absent(None), |meta| Known::Present(Arc::new(meta)));
        let mut index = self.lock();
        if !index.kept.contains_key(key) {
            index.set(key, known);
        }
        meta
    }

    /// Takes in that we removed a Secret ourselves.
    pub fn note_removed(&self, key: &SecretKey) {
        self.lock().set(key, Known::Absent(None));
    }

    /// Forgets what is known of a Secret, so that it is looked at before the next decision.
    pub fn forget(&self, key: &SecretKey) {
        self.lock().kept.remove(key);
    }

    /// Takes in what we wrote ourselves over what we had `seen`: the next decision must see it, and
    /// the watch is slower, unless it has told already of what somebody did after us.
    pub fn note_written(
        &self,
        key: &SecretKey,
        seen: Option<&TargetMeta>,
        secret: &PartialObjectMeta<Secret>,
    ) {
        let meta = TargetMeta::of(&secret.metadata);
        let mut index = self.lock();
        // Where nothing was told, versions prove nothing: after a restore they are lower.
        if !(index.differs(key, seen) && index.is_older(key, &meta)) {
            index.set(key, Known::Present(Arc::new(meta)));
        }
    }
}

impl Index {
    fn known(&self, key: &SecretKey) -> Known {
        self.kept.get(key).map_or(Known::Nothing, Kept::read)
    }

    fn set(&mut self, key: &SecretKey, known: Known) -> Vec<Trigger> {
        let former = self.belongings.owner(key).cloned();
        let meta = match &known {
            Known::Present(meta) => Some(&**meta),
            Known::Nothing | Known::Absent(_) => None,
        };
        self.belongings.note(key, meta);
        let owner = self.belongings.owner(key).cloned();
        let mut concerned = self.references.users(key);
        concerned.extend(
            [former, owner.clone()].into_iter().flatten().map(|name| Trigger::Copies(name.into())),
        );
        for unlisted in self.unlisted.values_mut() {
            unlisted.remove(key);
        }
        let wanted = self.references.contains(key) || owner.is_some();
        match Kept::of(known).filter(|_| wanted) {
            Some(kept) => drop(self.kept.insert(key.clone(), kept)),
            None => drop(self.kept.remove(key)),
        }
        concerned.sort();
        concerned.dedup();
        concerned
    }

    /// Whether something else is known by now than what was `seen`.
    fn differs(&self, key: &SecretKey, seen: Option<&TargetMeta>) -> bool {
        match (self.known(key), seen) {
            (Known::Present(known), Some(seen)) => known.version() != seen.version(),
            (Known::Present(_), None) | (Known::Absent(Some(_)), Some(_)) => true,
            _ => false,
        }
    }

    /// Whether an event tells of an older state than the one that is known: our own writes are
    /// known before the watch tells of what came before them.
    fn is_older(&self, key: &SecretKey, event: &TargetMeta) -> bool {
        match self.known(key) {
            Known::Present(known) => version(event) < version(&known),
            Known::Absent(Some(deleted)) => version(event) < Some(deleted),
            _ => false,
        }
    }
}

/// Versions can be compared as numbers, as long as the store was not restored in between.
fn version(meta: &TargetMeta) -> Option<u64> {
    meta.resource_version.parse().ok()
}

fn key_of(meta: &ObjectMeta) -> SecretKey {
    SecretKey {
        namespace: meta.namespace.clone().unwrap_or_default(),
        name: meta.name.clone().unwrap_or_default(),
    }
}

impl TargetMeta {
    /// What is kept of a Secret's metadata.
    pub fn of(meta: &ObjectMeta) -> Self {
        let ours = |key: &str| key.split('/').next() == Some(GROUP);
        let annotations = meta.annotations.iter().flatten();
        let references = meta.owner_references.iter().flatten();
        let labels = meta.labels.as_ref();
        let fields = meta.managed_fields.as_deref().unwrap_or_default();
        // What others own matters only where something of ours is, or may be.
        let concerns = meta.annotations.iter().flatten().any(|(key, _)| ours(key));
        let of_others = if concerns { fields } else { &[] };
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            annotations: annotations
                .filter(|(key, _)| ours(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            controller: references.into_iter().find(|owner| owner.controller == Some(true)).map(
                |owner| ControllerRef {
                    api_version: owner.api_version.clone(),
                    kind: owner.kind.clone(),
                    name: owner.name.clone(),
                    uid: owner.uid.clone(),
                },
            ),
            labelled: labels
                .and_then(|labels| labels.get(MANAGED_BY))
                .is_some_and(|by| by == MANAGER),
            owned_keys: owned(fields, DATA),
            owned_labels: Some(owned(fields, LABELS)),
            owned_annotations: owned(fields, ANNOTATIONS),
            managers: foreign_data_keys(of_others),
            guest: None,
            editor: last_editor(of_others),
            may_be_immutable: sets(fields, "f:immutable"),
            deleting: meta.deletion_timestamp.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Scope = Scope::All;

    fn secret(name: &str, version: u64) -> PartialObjectMeta<Secret> {
        PartialObjectMeta {
            metadata: ObjectMeta {
                namespace: Some("web".into()),
                name: Some(name.into()),
                resource_version: Some(version.to_string()),
                uid: Some(format!("{name}-uid")),
                ..ObjectMeta::default()
            },
            ..PartialObjectMeta::default()
        }
    }

    fn key(name: &str) -> SecretKey {
        SecretKey { namespace: "web".into(), name: name.into() }
    }

    fn known_version(index: &SecretIndex, name: &str) -> Option<String> {
        match index.known(&key(name)) {
            Known::Present(meta) => Some(meta.resource_version.clone()),
            _ => None,
        }
    }

    fn named(name: &str) -> Trigger {
        Trigger::Token { namespace: "web".into(), name: name.into() }
    }

    fn index() -> (SecretIndex, Trigger) {
        let index = SecretIndex::default();
        let token = named("token");
        index.refer(&token, vec![key("a")]);
        (index, token)
    }

    #[test]
    fn what_nobody_refers_to_is_not_kept() {
        let (index, token) = index();
        assert_eq!(index.observe(&ALL, Event::Apply(secret("stranger", 1))), []);
        assert!(matches!(index.known(&key("stranger")), Known::Nothing));
        assert_eq!(index.observe(&ALL, Event::Apply(secret("a", 1))), vec![token.clone()]);
        index.refer(&token, vec![]);
        assert!(matches!(index.known(&key("a")), Known::Nothing));
    }

    #[test]
    fn our_own_write_is_not_undone_by_an_older_event() {
        let (index, _) = index();
        index.note_written(&key("a"), None, &secret("a", 5));
        assert_eq!(index.observe(&ALL, Event::Apply(secret("a", 4))), []);
        assert_eq!(index.observe(&ALL, Event::Delete(secret("a", 3))), []);
        assert_eq!(known_version(&index, "a").as_deref(), Some("5"));
    }

    #[test]
    fn what_the_watch_told_during_a_read_or_a_write_stands() {
        let (index, token) = index();
        assert_eq!(index.observe(&ALL, Event::Apply(secret("a", 2))), [token]);
        assert_eq!(index.note_read(&key("a"), None), None);
        assert_eq!(known_version(&index, "a").as_deref(), Some("2"));
        index.note_read(&key("a"), Some(&secret("a", 1)));
        index.note_written(&key("a"), None, &secret("a", 1));
        assert_eq!(known_version(&index, "a").as_deref(), Some("2"));
        index.observe(&ALL, Event::Delete(secret("a", 3)));
        index.note_read(&key("a"), Some(&secret("a", 2)));
        assert!(matches!(index.known(&key("a")), Known::Absent(_)));
    }

    #[test]
    fn after_a_restore_our_own_write_counts_though_its_version_is_lower() {
        let (index, _) = index();
        index.note_written(&key("a"), None, &secret("a", 500));
        let Known::Present(seen) = index.known(&key("a")) else { panic!() };
        index.note_written(&key("a"), Some(&seen), &secret("a", 7));
        assert_eq!(known_version(&index, "a").as_deref(), Some("7"));
    }

    #[test]
    fn a_deletion_that_overtakes_the_answer_to_our_write_stands() {
        let (index, _) = index();
        index.note_read(&key("a"), Some(&secret("a", 4)));
        let seen = TargetMeta::of(&secret("a", 4).metadata);
        index.observe(&ALL, Event::Delete(secret("a", 6)));
        index.note_written(&key("a"), Some(&seen), &secret("a", 5));
        assert!(matches!(index.known(&key("a")), Known::Absent(Some(6))));
        // Made anew after that, it is there.
        index.note_written(&key("a"), None, &secret("a", 7));
        assert_eq!(known_version(&index, "a").as_deref(), Some("7"));
    }

    #[test]
    fn a_new_list_is_taken_at_its_word() {
        let (index, token) = index();
        index.refer(&named("other"), vec![key("b")]);
        index.note_written(&key("a"), None, &secret("a", 500));
        index.note_written(&key("b"), None, &secret("b", 501));
        index.observe(&ALL, Event::Init);
        // Restored from backup: versions are lower, and "b" is gone.
        assert_eq!(index.observe(&ALL, Event::InitApply(secret("a", 7))), [token]);
        assert_eq!(index.observe(&ALL, Event::InitDone), [named("other")]);
        assert_eq!(known_version(&index, "a").as_deref(), Some("7"));
        assert!(matches!(index.known(&key("b")), Known::Absent(_)));
    }

    #[test]
    fn what_was_referred_to_before_a_list_and_is_not_in_it_does_not_exist() {
        let (index, token) = index();
        index.observe(&ALL, Event::Init);
        // Nobody knows whether the list shows this one.
        index.refer(&named("other"), vec![key("b")]);
        assert_eq!(index.observe(&ALL, Event::InitDone), [token]);
        assert!(matches!(index.known(&key("a")), Known::Absent(None)));
        assert!(matches!(index.known(&key("b")), Known::Nothing));
    }

    #[test]
    fn what_is_written_during_a_list_is_not_lost_by_it() {
        let (index, _) = index();
        index.note_written(&key("a"), None, &secret("a", 1));
        index.observe(&ALL, Event::Init);
        index.note_written(&key("a"), None, &secret("a", 2));
        assert_eq!(index.observe(&ALL, Event::InitDone), []);
        assert_eq!(known_version(&index, "a").as_deref(), Some("2"));
    }

    #[test]
    fn what_says_that_it_is_a_cluster_tokens_is_kept_though_nobody_refers_to_it() {
        let (index, _) = index();
        let mut copy = secret("copy", 1);
        let owner = crate::api::annotations::OWNER.to_owned();
        let named = [(owner, "ClusterOAuthClientToken//shop/u".to_owned())];
        copy.metadata.annotations = Some(named.into());
        let concerned = vec![Trigger::Copies("shop".into())];
        assert_eq!(index.observe(&ALL, Event::Apply(copy)), concerned);
        assert_eq!(index.belongings("shop"), [key("copy")]);
        assert!(matches!(index.known(&key("copy")), Known::Present(_)));
        // It says so no more.
        assert_eq!(index.observe(&ALL, Event::Apply(secret("copy", 2))), concerned);
        assert!(matches!(index.known(&key("copy")), Known::Nothing));
        assert_eq!(index.belongings("shop"), []);
    }
}
