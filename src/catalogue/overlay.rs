//! The overlay: maps merge by key, scalars and lists replace, `""` removes an entry. Where there is
//! none to remove, `""` keeps what a grant or an assertion implies from being sent.

use serde_json::{Map, Value};

/// Lays `over` on `base`.
pub(super) fn overlay(base: Value, over: Value) -> Value {
    merge(base, over, &[])
}

fn merge(base: Value, over: Value, path: &[&str]) -> Value {
    let Value::Object(over) = over else { return over };
    let mut merged = match base {
        Value::Object(base) => canonical(base, path),
        _ => Map::new(),
    };
    for (key, value) in canonical(over, path) {
        if value.as_str() == Some("") {
            let below = merged.remove(&key);
            let implied = is_of_names(path) && below.is_none_or(|below| below.as_str() == Some(""));
            if implied || is_key_id(path, &key) {
                merged.insert(key, value);
            }
            continue;
        }
        let below = merged.remove(&key).unwrap_or(Value::Null);
        let value = merge(below, value, &[path, &[&key]].concat());
        merged.insert(key, value);
    }
    Value::Object(merged)
}

/// Whether a map holds what would be sent under names, some of them implied.
fn is_of_names(path: &[&str]) -> bool {
    matches!(
        path,
        ["request" | "revocation", "parameters"] | ["assertion" | "clientAssertion", "claims"]
    )
}

/// Whether `""` is a value of its own: a JWT without a `kid`, though there be a credential for one.
fn is_key_id(path: &[&str], key: &str) -> bool {
    matches!(path, ["assertion" | "clientAssertion"]) && key == "keyID"
}

/// Header names are the same in any case (RFC 9110 section 5.1), so they must meet in one.
fn canonical(map: Map<String, Value>, path: &[&str]) -> Map<String, Value> {
    if !matches!(path, ["request" | "revocation", "headers"]) {
        return map;
    }
    map.into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::maps_merge(json!({"a": {"x": 1, "y": 2}}), json!({"a": {"y": 3}}), json!({"a": {"x": 1, "y": 3}}))]
    #[case::scalars_replace(json!({"a": 1}), json!({"a": 2}), json!({"a": 2}))]
    #[case::lists_replace(json!({"a": [1, 2]}), json!({"a": [3]}), json!({"a": [3]}))]
    #[case::empty_removes(json!({"a": "x", "b": "y"}), json!({"a": ""}), json!({"b": "y"}))]
    #[case::empty_removes_a_map(json!({"a": {"x": 1}}), json!({"a": ""}), json!({}))]
    #[case::empty_without_base(json!(null), json!({"a": "", "b": {"c": ""}}), json!({"b": {}}))]
    #[case::empty_stays_where_something_is_implied(json!({"assertion": {"claims": {"a": "x"}}}), json!({"assertion": {"claims": {"a": "", "sub": ""}}}), json!({"assertion": {"claims": {"sub": ""}}}))]
    #[case::empty_stays_over_empty(json!({"request": {"parameters": {"scope": ""}}}), json!({"request": {"parameters": {"scope": ""}}}), json!({"request": {"parameters": {"scope": ""}}}))]
    #[case::headers_meet_in_any_case(json!({"request": {"headers": {"Accept": "a"}}}), json!({"request": {"headers": {"ACCEPT": "b"}}}), json!({"request": {"headers": {"accept": "b"}}}))]
    #[case::no_key_id(json!({"assertion": {"keyID": "x"}}), json!({"assertion": {"keyID": "", "type": ""}}), json!({"assertion": {"keyID": ""}}))]
    #[case::headers_of_a_revocation_too(json!({"revocation": {"headers": {"Accept": "a"}}}), json!({"revocation": {"headers": {"ACCEPT": ""}}}), json!({"revocation": {"headers": {}}}))]
    #[case::a_parameter_named_headers_is_none(json!({"request": {"parameters": {"headers": {"A": 1}}}}), json!({"request": {"parameters": {"headers": {"a": 2}}}}), json!({"request": {"parameters": {"headers": {"A": 1, "a": 2}}}}))]
    #[case::parameters_keep_their_case(json!({"parameters": {"Scope": "a"}}), json!({"parameters": {"scope": "b"}}), json!({"parameters": {"Scope": "a", "scope": "b"}}))]
    fn overlays(#[case] base: Value, #[case] over: Value, #[case] expected: Value) {
        assert_eq!(overlay(base, over), expected);
    }

    /// Documents of one shape, as the schema sees to it: a field is a map everywhere or nowhere.
    fn document(leaf: &'static [&'static str]) -> impl Strategy<Value = Value> {
        let leaf = prop::sample::select(leaf);
        let map = prop::collection::btree_map("[a-c]", leaf.clone(), 0..4);
        let field = "(url|grant)";
        let fields = prop::collection::btree_map(field, leaf, 0..3);
        let maps = prop::collection::btree_map(
            "(variables|request|response)",
            prop::collection::btree_map("(headers|parameters|outputs)", map, 0..4),
            0..3,
        );
        (fields, maps).prop_map(|(fields, maps)| {
            let mut document = json!(maps);
            document
                .as_object_mut()
                .unwrap()
                .extend(fields.into_iter().map(|(key, value)| (key, json!(value))));
            document
        })
    }

    const FULL: &[&str] = &["x", "y", "z"];
    const ANY: &[&str] = &["x", "y", ""];

    proptest! {
        #[test]
        fn the_upper_layer_wins_and_the_rest_stays(base in document(FULL), over in document(FULL)) {
            let merged = overlay(base.clone(), over.clone());
            let mut expected: std::collections::BTreeMap<String, Value> = leaves(&base).collect();
            expected.extend(leaves(&over));
            prop_assert_eq!(leaves(&merged).collect::<std::collections::BTreeMap<_, _>>(), expected);
        }

        #[test]
        fn how_layers_are_grouped_does_not_matter(
            a in document(FULL), b in document(FULL), c in document(FULL),
        ) {
            let left = overlay(overlay(a.clone(), b.clone()), c.clone());
            prop_assert_eq!(left, overlay(a, overlay(b, c)));
        }

        #[test]
        fn nothing_over_a_document_changes_nothing(a in document(FULL)) {
            prop_assert_eq!(overlay(a.clone(), json!({})), a.clone());
            prop_assert_eq!(overlay(a.clone(), a.clone()), a.clone());
            prop_assert_eq!(overlay(Value::Null, a.clone()), a);
        }

        #[test]
        fn what_is_removed_is_gone(base in document(ANY), over in document(ANY)) {
            let merged = overlay(overlay(Value::Null, base.clone()), over);
            // `""` stays among names that a grant may imply, and nowhere else.
            for (path, value) in leaves(&merged) {
                prop_assert!(value != "" || path.starts_with("/request/parameters/"), "{}", path);
            }
        }
    }

    fn leaves(value: &Value) -> Box<dyn Iterator<Item = (String, Value)> + '_> {
        match value {
            Value::Object(fields) => Box::new(fields.iter().flat_map(|(key, field)| {
                leaves(field).map(move |(path, leaf)| (format!("/{key}{path}"), leaf))
            })),
            leaf => Box::new(std::iter::once((String::new(), leaf.clone()))),
        }
    }
}
