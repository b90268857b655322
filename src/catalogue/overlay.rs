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
            if is_of_names(path) && below.is_none_or(|below| below.as_str() == Some("")) {
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

/// Header names are the same in any case (RFC 9110 section 5.1), so they must meet in one.
fn canonical(map: Map<String, Value>, path: &[&str]) -> Map<String, Value> {
    if !matches!(path, ["request" | "revocation", "headers"]) {
        return map;
    }
    map.into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

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
    #[case::headers_of_a_revocation(json!({"revocation": {"headers": {"Accept": "a"}}}), json!({"revocation": {"headers": {"ACCEPT": "b"}}}), json!({"revocation": {"headers": {"accept": "b"}}}))]
    #[case::a_parameter_named_headers_is_none(json!({"request": {"parameters": {"headers": {"A": 1}}}}), json!({"request": {"parameters": {"headers": {"a": 2}}}}), json!({"request": {"parameters": {"headers": {"A": 1, "a": 2}}}}))]
    #[case::parameters_keep_their_case(json!({"parameters": {"Scope": "a"}}), json!({"parameters": {"scope": "b"}}), json!({"parameters": {"Scope": "a", "scope": "b"}}))]
    fn overlays(#[case] base: Value, #[case] over: Value, #[case] expected: Value) {
        assert_eq!(overlay(base, over), expected);
    }
}
