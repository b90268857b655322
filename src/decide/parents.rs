//! The tokens that a token is made from: which they are, that none is made from itself, and
//! whether they are good.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::admission::SecretKey;
use super::facts::HeldToken;
use super::ownership::{Holder, holder};
use super::snapshot::TargetMeta;
use crate::api::annotations::{INPUTS, Owner};
use crate::api::{OAuthClientToken, keys};
use crate::error::{Error, Reason};

/// A token that another is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its name in `spec.tokenRefs`.
    pub reference: String,
    /// The token, as the owner annotation of its target names it.
    pub owner: Owner,
    /// Where it lies.
    pub target: SecretKey,
    /// Digest of what it was asked with; known once it is confirmed.
    pub inputs: Option<String>,
}

/// The tokens that `spec.tokenRefs` names, found by name in the same namespace.
pub fn parents(
    token: &OAuthClientToken,
    find: impl Fn(&str) -> Option<Arc<OAuthClientToken>>,
) -> Result<Vec<Parent>, Error> {
    let own = token.metadata.name.as_deref().unwrap_or_default();
    if let Some(cycle) = lineage(token, own, &find) {
        return Err(Error::new(
            Reason::InvalidSpec,
            format!("spec.tokenRefs: no token is made from itself: {}", cycle.join(" → ")),
        ));
    }
    let references = token.spec.token_refs.iter();
    references
        .map(|(reference, parent)| {
            let found = find(&parent.name).ok_or_else(|| {
                let what = format!("OAuthClientToken {:?} does not exist", parent.name);
                not_ready(reference, &what)
            })?;
            let owner = found.owner();
            Ok(Parent {
                reference: reference.clone(),
                target: SecretKey {
                    namespace: owner.namespace.clone(),
                    name: found.secret_name().to_owned(),
                },
                owner,
                inputs: None,
            })
        })
        .collect()
}

/// Whether a token is made from another of its namespace, be it by way of others.
pub fn descends(
    token: &OAuthClientToken,
    ancestor: &str,
    find: impl Fn(&str) -> Option<Arc<OAuthClientToken>>,
) -> bool {
    lineage(token, ancestor, &find).is_some()
}

/// The names from a token to one that it is made from, which may be itself.
fn lineage(
    token: &OAuthClientToken,
    ancestor: &str,
    find: &impl Fn(&str) -> Option<Arc<OAuthClientToken>>,
) -> Option<Vec<String>> {
    let own = token.metadata.name.clone().unwrap_or_default();
    let mut paths: Vec<Vec<String>> = vec![vec![own.clone()]];
    let mut visited: Vec<String> = Vec::new();
    while let Some(path) = paths.pop() {
        let last = path.last().cloned().unwrap_or_default();
        let found = if last == own { None } else { find(&last) };
        let spec = found.as_ref().map_or(&token.spec, |found| &found.spec);
        if (found.is_none() && last != own) || visited.contains(&last) {
            continue;
        }
        visited.push(last);
        for parent in spec.token_refs.values() {
            let mut longer = path.clone();
            longer.push(parent.name.clone());
            if parent.name == ancestor {
                return Some(longer);
            }
            paths.push(longer);
        }
    }
    None
}

impl Parent {
    /// Makes sure that its target holds a good token of it, and notes what that was asked with.
    pub fn confirm(mut self, meta: Option<&TargetMeta>, now: DateTime<Utc>) -> Result<Self, Error> {
        let name = &self.owner.name;
        let meta = meta.filter(|meta| holder(meta, &self.owner) == Holder::Us);
        let held = meta.and_then(|meta| HeldToken::of_target(meta, &self.target.name));
        let there = meta.is_some_and(|meta| meta.owned_keys.contains(keys::ACCESS_TOKEN));
        match held.filter(|_| there) {
            Some(held) if held.expires_at > now => {
                self.inputs = meta.and_then(|meta| meta.annotations.get(INPUTS).cloned());
                Ok(self)
            }
            Some(_) => {
                let what = format!("the token of OAuthClientToken {name:?} has expired");
                Err(not_ready(&self.reference, &what))
            }
            None => {
                let what = format!("OAuthClientToken {name:?} has no token yet");
                Err(not_ready(&self.reference, &what))
            }
        }
    }
}

fn not_ready(reference: &str, what: &str) -> Error {
    Error::new(Reason::ParentNotReady, format!("spec.tokenRefs.{reference}: {what}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn token(name: &str, parents: &[&str]) -> Arc<OAuthClientToken> {
        let refs: BTreeMap<String, _> = parents
            .iter()
            .map(|parent| (format!("from_{parent}"), json!({"name": parent})))
            .collect();
        let spec = json!({"providerRef": {"name": "p"}, "tokenRefs": refs});
        let mut token = OAuthClientToken::new(name, serde_json::from_value(spec).unwrap());
        token.metadata.namespace = Some("web".into());
        Arc::new(token)
    }

    fn found(of: &str, all: &[(&str, &[&str])]) -> Result<Vec<String>, String> {
        let all: BTreeMap<&str, _> =
            all.iter().map(|(name, parents)| (*name, token(name, parents))).collect();
        parents(&all[of], |name| all.get(name).cloned())
            .map(|parents| parents.into_iter().map(|p| p.target.to_string()).collect())
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn parents_are_found_by_name() {
        let all: &[(&str, &[&str])] = &[("c", &["a", "b"]), ("a", &["b"]), ("b", &[])];
        assert_eq!(found("c", all), Ok(vec!["web/a".to_owned(), "web/b".to_owned()]));
    }

    #[rstest]
    #[case::of_itself("a", &[("a", &["a"][..])], "a → a")]
    #[case::of_two("a", &[("a", &["b"][..]), ("b", &["a"])], "a → b → a")]
    #[case::of_three("b", &[("a", &["b"][..]), ("b", &["x", "c"]), ("c", &["a"]), ("x", &[])], "b → c → a → b")]
    fn a_cycle_is_refused_with_all_its_names(
        #[case] of: &str,
        #[case] all: &[(&str, &[&str])],
        #[case] names: &str,
    ) {
        let message = found(of, all).unwrap_err();
        assert!(message.contains(names), "{message}");
    }

    #[test]
    fn a_token_above_a_cycle_is_not_part_of_it() {
        let all: &[(&str, &[&str])] = &[("top", &["a"]), ("a", &["b"]), ("b", &["a"])];
        assert_eq!(found("top", all), Ok(vec!["web/a".to_owned()]));
    }

    #[test]
    fn whoever_is_made_from_a_token_is_below_it() {
        let all: &[(&str, &[&str])] =
            &[("top", &["a"]), ("a", &["b"]), ("b", &["a", "gone"]), ("other", &[])];
        let all: BTreeMap<&str, _> =
            all.iter().map(|(name, parents)| (*name, token(name, parents))).collect();
        let below = |ancestor: &str| -> Vec<&str> {
            let find = |name: &str| all.get(name).cloned();
            let below = all.iter().filter(|(_, token)| descends(token, ancestor, find));
            below.map(|(name, _)| *name).collect()
        };
        assert_eq!(below("gone"), ["a", "b", "top"]);
        assert_eq!(below("a"), ["a", "b", "top"]);
        assert_eq!(below("top"), [""; 0]);
        assert_eq!(below("other"), [""; 0]);
    }

    #[test]
    fn a_parent_that_is_missing_is_waited_for_by_name() {
        let message = found("a", &[("a", &["gone"])]).unwrap_err();
        assert_eq!(message, "spec.tokenRefs.from_gone: OAuthClientToken \"gone\" does not exist");
    }

    proptest! {
        /// The square of a graph's closure says of each token whether a way leads back to it.
        #[test]
        fn a_cycle_is_found_where_there_is_one(edges in prop::collection::vec((0..7_usize, 0..7_usize), 0..16)) {
            const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
            let mut reach = [[false; 7]; 7];
            for (from, to) in &edges {
                reach[*from][*to] = true;
            }
            let direct = reach;
            for via in 0..7 {
                for from in 0..7 {
                    for to in 0..7 {
                        reach[from][to] |= reach[from][via] && reach[via][to];
                    }
                }
            }
            let parents_of = |of: usize| -> Vec<&str> {
                (0..7).filter(|to| direct[of][*to]).map(|to| NAMES[to]).collect()
            };
            let owned: Vec<Vec<&str>> = (0..7).map(parents_of).collect();
            let all: Vec<(&str, &[&str])> =
                NAMES.iter().zip(&owned).map(|(name, parents)| (*name, parents.as_slice())).collect();
            for (index, name) in NAMES.iter().enumerate() {
                match found(name, &all) {
                    Ok(targets) => {
                        prop_assert!(!reach[index][index], "{} is made from itself", name);
                        prop_assert_eq!(targets.len(), owned[index].len());
                    }
                    Err(message) => {
                        prop_assert!(reach[index][index], "{}", message);
                        // What is named is a way: each step is a reference.
                        let way: Vec<&str> = message.rsplit(": ").next().unwrap().split(" → ").collect();
                        prop_assert_eq!((way[0], way[way.len() - 1]), (*name, *name));
                        for step in way.windows(2) {
                            let of = |name: &str| NAMES.iter().position(|known| *known == name).unwrap();
                            prop_assert!(direct[of(step[0])][of(step[1])], "{}", message);
                        }
                    }
                }
            }
        }
    }
}
