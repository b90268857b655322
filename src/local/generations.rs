//! Which tokens to fetch before which: those that others are made from come first.

use std::collections::HashSet;
use std::sync::Arc;

use kube::ResourceExt;

use crate::api::OAuthClientToken;

/// Tokens in groups: one is made from tokens of earlier groups only. Those that lead to themselves
/// come last, to be refused.
pub(crate) fn generations(tokens: &[Arc<OAuthClientToken>]) -> Vec<Vec<Arc<OAuthClientToken>>> {
    let mut waiting: HashSet<(String, String)> = tokens.iter().map(|token| id(token)).collect();
    let mut rest = tokens.to_vec();
    let mut groups = Vec::new();
    while !rest.is_empty() {
        let (mut ready, later): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|token| !parents(token).any(|key| waiting.contains(&key)));
        rest = later;
        if ready.is_empty() {
            ready = std::mem::take(&mut rest);
        }
        for token in &ready {
            waiting.remove(&id(token));
        }
        groups.push(ready);
    }
    groups
}

fn id(token: &OAuthClientToken) -> (String, String) {
    (token.namespace().unwrap_or_default(), token.name_any())
}

fn parents(token: &OAuthClientToken) -> impl Iterator<Item = (String, String)> {
    let namespace = token.namespace().unwrap_or_default();
    token.spec.token_refs.values().map(move |parent| (namespace.clone(), parent.name.clone()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::none(&[], &[])]
    #[case::alone(&["a", "b"], &["a b"])]
    #[case::chain(&["c<b", "a", "b<a"], &["a", "b", "c"])]
    #[case::diamond(&["d<b,c", "c<a", "b<a", "a"], &["a", "c b", "d"])]
    #[case::of_nobody(&["a<gone"], &["a"])]
    #[case::cycle(&["a<b", "b<a", "c"], &["c", "a b"])]
    #[case::of_itself(&["a<a"], &["a"])]
    fn parents_come_first(#[case] tokens: &[&str], #[case] expected: &[&str]) {
        let tokens: Vec<_> = tokens.iter().map(|text| Arc::new(token(text))).collect();
        let groups: Vec<String> = generations(&tokens)
            .iter()
            .map(|group| group.iter().map(|t| t.name_any()).collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(groups, expected);
    }

    fn token(text: &str) -> OAuthClientToken {
        let (name, parents) = text.split_once('<').unwrap_or((text, ""));
        let parents = parents.split(',').filter(|parent| !parent.is_empty());
        let refs: BTreeMap<String, _> =
            parents.map(|parent| (parent.to_owned(), json!({"name": parent}))).collect();
        let spec = json!({"providerRef": {"name": "p"}, "tokenRefs": refs});
        OAuthClientToken::new(name, serde_json::from_value(spec).unwrap())
    }
}
