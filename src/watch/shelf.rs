//! Tokens at rest: nearly all of them only wait.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio_util::sync::CancellationToken;

use super::name::Name;
use crate::api::OAuthClientToken;
use crate::packed::Packed;

type Resting = HashMap<Name, Packed<OAuthClientToken>>;

/// The tokens, without their statuses.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    tokens: Arc<RwLock<Resting>>,
    filled: CancellationToken,
}

impl Shelf {
    /// One of them.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<OAuthClientToken>> {
        self.find(&Name::new(namespace, name))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.tokens().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tokens().is_empty()
    }

    /// Each of them, one after the other and in the same order in each process, so that
    /// never all of them are held at once. Whatever comes meanwhile may be among them.
    pub fn each(&self) -> impl Iterator<Item = Arc<OAuthClientToken>> + '_ {
        let mut names: Vec<Name> = self.tokens().keys().cloned().collect();
        names.sort_unstable();
        names.into_iter().filter_map(|name| self.find(&name))
    }

    /// Waits until all that were there have come.
    pub(super) async fn filled(&self) {
        self.filled.cancelled().await;
    }

    pub(super) fn put(&self, token: &OAuthClientToken) {
        // What was read from JSON can be told in it.
        if let Some(packed) = Packed::of(token) {
            self.write().insert(Name::of(token), packed);
        }
    }

    pub(super) fn remove(&self, token: &OAuthClientToken) {
        self.write().remove(&Name::of(token));
    }

    /// All that were there have come.
    pub(super) fn fill(&self) {
        self.filled.cancel();
    }

    pub(super) fn find(&self, name: &Name) -> Option<Arc<OAuthClientToken>> {
        self.tokens().get(name)?.read().map(Arc::new)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Resting> {
        self.tokens.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn tokens(&self) -> RwLockReadGuard<'_, Resting> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn token(namespace: &str, name: &str, spec: &Value) -> OAuthClientToken {
        serde_json::from_value(json!({
            "apiVersion": "tokenward.dev/v1alpha1", "kind": "OAuthClientToken",
            "metadata": {
                "namespace": namespace, "name": name, "uid": "u", "resourceVersion": "7",
                "generation": 3, "creationTimestamp": "2026-11-22T00:00:00Z",
                "annotations": {"tokenward.dev/refresh-requested-at": "now"},
                "finalizers": ["tokenward.dev/revoke"],
            },
            "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn a_token_comes_off_the_shelf_as_it_was_put_there() {
        let shelf = Shelf::default();
        let specs = [
            json!({"providerRef": {"name": "p"}}),
            json!({
                "providerRef": {"name": "p", "kind": "ClusterOAuthProvider"},
                "credentialsSecretRef": {"name": "c"}, "scopes": ["a", "b"],
                "parameters": {"audience": "x"}, "suspend": true, "onExpiry": "Remove",
                "tokenRefs": {"parent": {"name": "other"}},
                "target": {"secretName": "s", "type": "kubernetes.io/dockerconfigjson",
                    "template": {"data": {"k": "{{ access_token }}"}, "labels": {"l": "v"}}},
            }),
        ];
        for spec in specs {
            let before = token("web", "shop", &spec);
            shelf.put(&before);
            assert_eq!(format!("{:?}", shelf.get("web", "shop").unwrap()), format!("{before:?}"));
        }
        assert_eq!(shelf.len(), 1);
        shelf.remove(&token("web", "shop", &json!({"providerRef": {"name": "p"}})));
        assert!(shelf.is_empty() && shelf.get("web", "shop").is_none());
    }

    #[test]
    fn all_come_in_one_order_and_none_stands_for_another() {
        let shelf = Shelf::default();
        for (namespace, name) in [("web", "b"), ("web-b", "a"), ("web", "a")] {
            shelf.put(&token(namespace, name, &json!({"providerRef": {"name": "p"}})));
        }
        let names: Vec<_> = shelf.each().map(|t| Name::of(&*t)).collect();
        let expected = [("web-b", "a"), ("web", "a"), ("web", "b")];
        assert_eq!(names, expected.map(|(namespace, name)| Name::new(namespace, name)));
        assert!(shelf.get("web-b", "b").is_none());
    }
}
