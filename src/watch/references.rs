//! Which token refers to which Secret.

use std::collections::{BTreeSet, HashMap};

use super::Trigger;
use crate::decide::SecretKey;

/// Which token refers to which Secret, both ways.
#[derive(Debug, Default)]
pub(super) struct References {
    of_token: HashMap<Trigger, Vec<SecretKey>>,
    of_secret: HashMap<SecretKey, BTreeSet<Key>>,
}

/// Namespace and name of a token: what a trigger is made from, and small.
type Key = (String, String);

impl References {
    /// Notes what a token refers to now; answers with the Secrets that nobody refers to any more.
    pub(super) fn set(&mut self, token: &Trigger, secrets: Vec<SecretKey>) -> Vec<SecretKey> {
        let before = self.of_token.remove(token).unwrap_or_default();
        for secret in &secrets {
            self.of_secret.entry(secret.clone()).or_default().insert(key(token));
        }
        let mut orphans = Vec::new();
        for secret in before.into_iter().filter(|secret| !secrets.contains(secret)) {
            if let Some(users) = self.of_secret.get_mut(&secret) {
                users.remove(&key(token));
                if users.is_empty() {
                    self.of_secret.remove(&secret);
                    orphans.push(secret);
                }
            }
        }
        if !secrets.is_empty() {
            self.of_token.insert(token.clone(), secrets);
        }
        orphans
    }

    /// Whether any token refers to a Secret.
    pub(super) fn contains(&self, secret: &SecretKey) -> bool {
        self.of_secret.contains_key(secret)
    }

    /// The tokens that refer to a Secret.
    pub(super) fn users(&self, secret: &SecretKey) -> Vec<Trigger> {
        let users = self.of_secret.get(secret).into_iter().flatten();
        users.map(|(namespace, name)| Trigger::new(name).within(namespace)).collect()
    }
}

fn key(token: &Trigger) -> Key {
    (token.namespace.clone().unwrap_or_default(), token.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str) -> SecretKey {
        SecretKey { namespace: "web".into(), name: name.into() }
    }

    #[test]
    fn a_secret_is_let_go_with_its_last_user() {
        let (a, b) = (Trigger::new("a").within("web"), Trigger::new("b").within("web"));
        let mut references = References::default();
        assert_eq!(references.set(&a, vec![secret("shared"), secret("a")]), []);
        assert_eq!(references.set(&b, vec![secret("shared")]), []);
        assert_eq!(references.users(&secret("shared")), [a.clone(), b.clone()]);
        assert_eq!(references.set(&a, vec![secret("other")]), [secret("a")]);
        assert_eq!(references.set(&b, vec![]), [secret("shared")]);
        assert!(references.contains(&secret("other")) && !references.contains(&secret("shared")));
    }
}
