//! The tokens that a token is made from: which they are, that none is made from itself, and
//! whether they are good.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::admission::SecretKey;
use super::facts::HeldToken;
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
    if let Some(circle) = circle(token, &find) {
        return Err(Error::new(
            Reason::InvalidSpec,
            format!("spec.tokenRefs: no token is made from itself: {}", circle.join(" → ")),
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

/// The names from a token back to itself, where its references lead there.
fn circle(
    token: &OAuthClientToken,
    find: &impl Fn(&str) -> Option<Arc<OAuthClientToken>>,
) -> Option<Vec<String>> {
    let own = token.metadata.name.clone().unwrap_or_default();
    let mut child_of: BTreeMap<String, String> = BTreeMap::new();
    let mut next = vec![own.clone()];
    while let Some(name) = next.pop() {
        let found = if name == own { None } else { find(&name) };
        if found.is_none() && name != own {
            continue;
        }
        let spec = found.as_ref().map_or(&token.spec, |found| &found.spec);
        for parent in spec.token_refs.values().map(|parent| &parent.name) {
            if *parent == own {
                return Some(path(&own, &name, &child_of));
            }
            if !child_of.contains_key(parent) {
                child_of.insert(parent.clone(), name.clone());
                next.push(parent.clone());
            }
        }
    }
    None
}

/// From a token to its ancestor `last`, and back to itself.
fn path(own: &str, last: &str, child_of: &BTreeMap<String, String>) -> Vec<String> {
    let back = std::iter::successors(Some(last), |name| child_of.get(*name).map(String::as_str));
    let mut names: Vec<String> = back.map(str::to_owned).collect();
    names.reverse();
    names.push(own.to_owned());
    names
}

impl Parent {
    /// Makes sure that its target holds a good token of it, and notes what that was asked with.
    pub fn confirm(mut self, meta: Option<&TargetMeta>, now: DateTime<Utc>) -> Result<Self, Error> {
        let name = &self.owner.name;
        // Only keys of its own are its token, in whosever Secret they lie.
        let meta = meta.map(|meta| meta.clone().seen_by(&self.owner));
        let meta = meta.filter(|meta| meta.owned_keys.contains(keys::ACCESS_TOKEN));
        let held = meta.as_ref().and_then(|meta| HeldToken::of_target(meta, &self.target.name));
        match held {
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
