//! Who owns which fields: trees, as `managedFields` writes them. A step is `f:NAME` for a field,
//! `k:{…}` for the item of a list, `.` for a map itself; what is owned is where a branch ends.

use serde_json::{Map, Value, json};

/// Metadata that nobody owns.
const UNOWNED: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "selfLink",
];

/// The only list whose items are owned one by one.
const BY_ITEM: &str = "ownerReferences";

/// What an object says, as an apply owns it: maps are not.
pub(super) fn said(object: &Value) -> Value {
    let mut tree = Map::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match key.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => {
                let owned = value.as_object().into_iter().flatten();
                let owned = owned.filter(|(key, _)| !UNOWNED.contains(&key.as_str()));
                let owned = owned.filter_map(|(key, value)| Some((field(key), below(key, value)?)));
                add(&mut tree, field(key), Value::Object(owned.collect()));
            }
            _ => tree.extend(below(key, value).map(|tree| (field(key), tree))),
        }
    }
    Value::Object(tree)
}

fn field(key: &str) -> String {
    format!("f:{key}")
}

fn item(owner: &Value) -> String {
    format!("k:{}", json!({"uid": owner["uid"]}))
}

fn add(tree: &mut Map<String, Value>, step: String, below: Value) {
    if !is_end(&below) {
        tree.insert(step, below);
    }
}

/// `None` where there is nothing to own.
fn below(key: &str, value: &Value) -> Option<Value> {
    let tree: Map<String, Value> = match value {
        Value::Null => return None,
        Value::Object(map) => {
            map.iter().filter_map(|(key, value)| Some((field(key), below(key, value)?))).collect()
        }
        Value::Array(items) if key == BY_ITEM => {
            items.iter().map(|owner| (item(owner), json!({}))).collect()
        }
        _ => return Some(json!({})),
    };
    (!tree.is_empty()).then_some(Value::Object(tree))
}

/// What is different from what was: new or changed values, and maps that were none.
pub(super) fn changed(before: &Value, after: &Value) -> Value {
    let mut tree = Map::new();
    for (key, value) in after.as_object().into_iter().flatten() {
        match key.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => {
                let mut own = Map::new();
                let owned = value.as_object().into_iter().flatten();
                for (key, value) in owned.filter(|(key, _)| !UNOWNED.contains(&key.as_str())) {
                    let was = &before["metadata"][key];
                    own.extend(difference(key, (was, value)).map(|tree| (field(key), tree)));
                }
                add(&mut tree, field(key), Value::Object(own));
            }
            _ => {
                let was = &before[key];
                tree.extend(difference(key, (was, value)).map(|tree| (field(key), tree)));
            }
        }
    }
    Value::Object(tree)
}

fn difference(key: &str, (was, is): (&Value, &Value)) -> Option<Value> {
    let mut tree = Map::new();
    match is {
        Value::Null => return None,
        Value::Object(map) => {
            for (key, value) in map {
                tree.extend(difference(key, (&was[key], value)).map(|tree| (field(key), tree)));
            }
            if !was.is_object() {
                tree.insert(".".to_owned(), json!({}));
            }
        }
        Value::Array(items) if key == BY_ITEM => {
            let new = items.iter().filter(|item| owner(was, &item["uid"]) != Some(item));
            tree.extend(new.map(|owner| (item(owner), json!({}))));
            if !was.is_array() {
                tree.insert(".".to_owned(), json!({}));
            }
        }
        _ => return (was != is).then(|| json!({})),
    }
    (!tree.is_empty()).then_some(Value::Object(tree))
}

fn owner<'a>(owners: &'a Value, uid: &Value) -> Option<&'a Value> {
    owners.as_array()?.iter().find(|owner| owner["uid"] == *uid)
}

/// Whether a branch ends here; of a whole tree, whether nothing is owned.
pub(super) fn is_end(tree: &Value) -> bool {
    tree.as_object().is_none_or(Map::is_empty)
}

/// What a step leads to.
fn at<'a>(object: Option<&'a Value>, step: &str) -> Option<&'a Value> {
    let object = object?;
    match step.split_once(':') {
        Some(("f", key)) => object.get(key),
        Some(("k", key)) => owner(object, &uid(key)),
        _ => Some(&Value::Bool(true)).filter(|_| object.is_object() || object.is_array()),
    }
}

fn uid(key: &str) -> Value {
    let key: Value = serde_json::from_str(key).unwrap_or_default();
    key["uid"].clone()
}

/// What both own, and want to be different.
pub(super) fn disputed(
    (owned, applied): (&Value, &Value),
    (is, wanted): (Option<&Value>, Option<&Value>),
) -> Value {
    let mut tree = Map::new();
    for (step, applied) in applied.as_object().into_iter().flatten() {
        let Some(owned) = owned.get(step) else { continue };
        let values = (at(is, step), at(wanted, step));
        match is_end(applied) {
            true if is_end(owned) && values.0 != values.1 => {
                tree.insert(step.clone(), json!({}));
            }
            true => {}
            false => add(&mut tree, step.clone(), disputed((owned, applied), values)),
        }
    }
    Value::Object(tree)
}

/// The first that is owned, for people.
pub(super) fn first(tree: &Value) -> Option<String> {
    let (step, below) = tree.as_object()?.iter().next()?;
    Some(first(below).map_or_else(|| step.clone(), |rest| format!("{step}.{rest}")))
}

/// Adds what is owned in another.
pub(super) fn unite(tree: &mut Value, other: Value) {
    let (Some(tree), Value::Object(other)) = (tree.as_object_mut(), other) else { return };
    for (step, below) in other {
        match tree.get_mut(&step) {
            Some(own) => unite(own, below),
            None => drop(tree.insert(step, below)),
        }
    }
}

/// Takes away what is owned in another.
pub(super) fn subtract(tree: &mut Value, other: &Value) {
    for (step, below) in other.as_object().into_iter().flatten() {
        let Some(own) = tree.get_mut(step).filter(|own| is_end(own) == is_end(below)) else {
            continue;
        };
        subtract(own, below);
        if is_end(own) {
            tree.as_object_mut().and_then(|tree| tree.remove(step));
        }
    }
}

/// Takes away what is not there any more.
pub(super) fn prune(tree: &mut Value, object: Option<&Value>) {
    let Some(tree) = tree.as_object_mut() else { return };
    tree.retain(|step, below| {
        let value = at(object, step);
        if !is_end(below) {
            prune(below, value);
            return !is_end(below);
        }
        value
            .is_some_and(|value| !step.starts_with("f:") || !(value.is_null() || value.is_object()))
    });
}

/// Takes out of an object what its manager applied and applies no more, where no other owns it, and
/// what that leaves empty. Tells whether there was any.
pub(super) fn remove(
    object: &mut Value,
    (former, applied): (&Value, Option<&Value>),
    others: &[&Value],
) -> bool {
    let mut removed = false;
    for (step, former) in former.as_object().into_iter().flatten() {
        let applied = applied.and_then(|applied| applied.get(step));
        let others: Vec<&Value> = others.iter().filter_map(|other| other.get(step)).collect();
        removed |= match is_end(former) {
            true if applied.is_some_and(is_end) || others.iter().any(|other| is_end(other)) => {
                false
            }
            true => take(object, step),
            false => {
                let Some(key) = step.strip_prefix("f:") else { continue };
                let Some(below) = object.get_mut(key) else { continue };
                let removed = remove(below, (former, applied), &others);
                let empty = below.as_object().is_some_and(Map::is_empty)
                    || below.as_array().is_some_and(Vec::is_empty);
                if removed && empty && key != "metadata" {
                    take(object, step);
                }
                removed
            }
        };
    }
    removed
}

fn take(object: &mut Value, step: &str) -> bool {
    match (step.split_once(':'), object) {
        (Some(("f", key)), Value::Object(map)) => map.remove(key).is_some(),
        (Some(("k", key)), Value::Array(items)) => {
            let (before, uid) = (items.len(), uid(key));
            items.retain(|found| found["uid"] != uid);
            items.len() < before
        }
        _ => false,
    }
}
