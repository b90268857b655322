//! Which Secrets say of themselves that they are a cluster token's, wherever they lie. So what has
//! to go is found, also where it came to be so while nobody watched.

use std::collections::{BTreeSet, HashMap};

use crate::api::annotations::{OWNER, Owner};
use crate::api::{CLUSTER_TOKEN, GROUP};
use crate::decide::{SecretKey, TargetMeta};

/// Secrets by the name of the cluster token that they say is theirs, both ways.
#[derive(Debug, Default)]
pub(super) struct Belongings {
    of_token: HashMap<String, BTreeSet<SecretKey>>,
    of_secret: HashMap<SecretKey, String>,
}

impl Belongings {
    /// Notes what a Secret says of itself now; `None` where it does not exist.
    pub(super) fn note(&mut self, secret: &SecretKey, meta: Option<&TargetMeta>) {
        let owner = meta.and_then(owner);
        if self.of_secret.get(secret) == owner.as_ref() {
            return;
        }
        if let Some(former) = self.of_secret.remove(secret)
            && let Some(secrets) = self.of_token.get_mut(&former)
        {
            secrets.remove(secret);
            if secrets.is_empty() {
                self.of_token.remove(&former);
            }
        }
        if let Some(owner) = owner {
            self.of_token.entry(owner.clone()).or_default().insert(secret.clone());
            self.of_secret.insert(secret.clone(), owner);
        }
    }

    /// The name of the cluster token that a Secret says is its owner.
    pub(super) fn owner(&self, secret: &SecretKey) -> Option<&String> {
        self.of_secret.get(secret)
    }

    /// The Secrets of a cluster token.
    pub(super) fn of(&self, token: &str) -> Vec<SecretKey> {
        self.of_token.get(token).into_iter().flatten().cloned().collect()
    }
}

/// Whose a Secret is: its controller's, or, where it has none, that of its annotation.
fn owner(meta: &TargetMeta) -> Option<String> {
    if let Some(controller) = &meta.controller {
        let ours = controller.api_version.split('/').next() == Some(GROUP);
        return (ours && controller.kind == CLUSTER_TOKEN).then(|| controller.name.clone());
    }
    let owner = meta.annotations.get(OWNER).and_then(|value| Owner::parse(value))?;
    (owner.kind == CLUSTER_TOKEN).then_some(owner.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::ControllerRef;

    fn of(kind: &str, name: &str) -> TargetMeta {
        let controller = ControllerRef {
            api_version: "tokenward.dev/v1alpha1".into(),
            kind: kind.into(),
            name: name.into(),
            uid: "u".into(),
        };
        TargetMeta { controller: Some(controller), ..TargetMeta::default() }
    }

    fn key(namespace: &str) -> SecretKey {
        SecretKey { namespace: namespace.into(), name: "t".into() }
    }

    #[test]
    fn a_secret_is_found_by_what_it_says_of_itself() {
        let mut belongings = Belongings::default();
        belongings.note(&key("a"), Some(&of(CLUSTER_TOKEN, "shop")));
        belongings.note(&key("b"), Some(&of("OAuthClientToken", "shop")));
        let mut retained = TargetMeta::default();
        retained.annotations.insert(OWNER.into(), "ClusterOAuthClientToken//shop/u".into());
        belongings.note(&key("c"), Some(&retained));
        assert_eq!(belongings.of("shop"), [key("a"), key("c")]);
        assert_eq!(belongings.owner(&key("b")), None);
        belongings.note(&key("a"), None);
        belongings.note(&key("c"), Some(&of(CLUSTER_TOKEN, "other")));
        assert_eq!(belongings.of("shop"), []);
        assert_eq!(belongings.owner(&key("c")).map(String::as_str), Some("other"));
        assert_eq!(belongings.of_token.len(), 1);
    }
}
