//! Which token refers to which Secret.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem;

use super::Trigger;
use crate::decide::SecretKey;

/// Which token refers to which Secret, both ways.
#[derive(Debug, Default)]
pub(super) struct References {
    of_token: HashMap<Trigger, Vec<SecretKey>>,
    of_secret: HashMap<SecretKey, Users>,
}

/// The tokens that refer to a Secret: to most it is one.
#[derive(Debug, Default)]
enum Users {
    #[default]
    None,
    One(Trigger),
    Some(BTreeSet<Trigger>),
}

impl Users {
    fn add(&mut self, token: &Trigger) {
        *self = match mem::take(self) {
            Self::None => Self::One(token.clone()),
            Self::One(only) if only == *token => Self::One(only),
            Self::One(only) => Self::Some([only, token.clone()].into()),
            Self::Some(mut all) => {
                all.insert(token.clone());
                Self::Some(all)
            }
        };
    }

    /// Tells whether there is none any more.
    fn remove(&mut self, token: &Trigger) -> bool {
        match self {
            Self::None => true,
            Self::One(only) => only == token,
            Self::Some(all) => {
                all.remove(token);
                all.is_empty()
            }
        }
    }

    fn all(&self) -> Vec<Trigger> {
        match self {
            Self::None => Vec::new(),
            Self::One(only) => vec![only.clone()],
            Self::Some(all) => all.iter().cloned().collect(),
        }
    }
}

impl References {
    /// Notes what a token refers to now; answers with the Secrets that nobody refers to any more.
    pub(super) fn set(&mut self, token: &Trigger, secrets: Vec<SecretKey>) -> Vec<SecretKey> {
        // The rule; and a cluster token refers to as many as there are namespaces.
        if self.of_token.get(token).is_some_and(|before| *before == secrets) {
            return Vec::new();
        }
        let before = self.of_token.remove(token).unwrap_or_default();
        for secret in &secrets {
            self.of_secret.entry(secret.clone()).or_default().add(token);
        }
        let kept: HashSet<&SecretKey> = secrets.iter().collect();
        let mut orphans = Vec::new();
        for secret in before.into_iter().filter(|secret| !kept.contains(secret)) {
            if self.of_secret.get_mut(&secret).is_some_and(|users| users.remove(token)) {
                self.of_secret.remove(&secret);
                orphans.push(secret);
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

    /// Every Secret that a token refers to.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretKey> {
        self.of_secret.keys()
    }

    /// The tokens that refer to a Secret.
    pub(super) fn users(&self, secret: &SecretKey) -> Vec<Trigger> {
        self.of_secret.get(secret).map(Users::all).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str) -> SecretKey {
        SecretKey { namespace: "web".into(), name: name.into() }
    }

    #[test]
    fn a_secret_is_let_go_with_its_last_user() {
        let token = |name: &str| Trigger::Token { namespace: "web".into(), name: name.into() };
        let (a, b) = (token("a"), token("b"));
        let mut references = References::default();
        assert_eq!(references.set(&a, vec![secret("shared"), secret("a")]), []);
        assert_eq!(references.set(&b, vec![secret("shared")]), []);
        assert_eq!(references.users(&secret("shared")), [a.clone(), b.clone()]);
        assert_eq!(references.set(&a, vec![secret("other")]), [secret("a")]);
        assert_eq!(references.set(&b, vec![]), [secret("shared")]);
        assert!(references.contains(&secret("other")) && !references.contains(&secret("shared")));
    }
}
