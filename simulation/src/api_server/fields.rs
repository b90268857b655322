//! Who owns which fields: sets of paths, as `managedFields` writes them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// A path: `f:NAME` for a field, `k:{…}` for the item of a list, `.` for a map itself.
pub(super) type Path = Vec<String>;
/// The paths of one manager.
pub(super) type Paths = BTreeSet<Path>;

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

/// What an object says. With `maps`, maps are paths too.
pub(super) fn paths(object: &Value, maps: bool) -> Paths {
    let mut paths = Paths::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match key.as_str() {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => {
                let owned = value.as_object().into_iter().flatten();
                for (key, value) in owned.filter(|(key, _)| !UNOWNED.contains(&key.as_str())) {
                    collect(
                        &mut paths,
                        vec!["f:metadata".into(), format!("f:{key}")],
                        (value, maps),
                    );
                }
            }
            _ => collect(&mut paths, vec![format!("f:{key}")], (value, maps)),
        }
    }
    paths
}

fn collect(paths: &mut Paths, path: Path, (value, maps): (&Value, bool)) {
    let below = |step: String| path.iter().cloned().chain([step]).collect::<Path>();
    match value {
        Value::Null => {}
        Value::Object(map) => {
            if maps {
                paths.insert(below(".".into()));
            }
            for (key, value) in map {
                collect(paths, below(format!("f:{key}")), (value, maps));
            }
        }
        Value::Array(items) if path.ends_with(&["f:ownerReferences".into()]) => {
            if maps {
                paths.insert(below(".".into()));
            }
            for item in items {
                paths.insert(below(format!("k:{}", json!({"uid": item["uid"]}))));
            }
        }
        _ => drop(paths.insert(path)),
    }
}

/// What is at a path.
pub(super) fn at<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, step| match step.split_once(':') {
        Some(("f", key)) => value.get(key),
        Some(("k", item)) => {
            let item: Value = serde_json::from_str(item).ok()?;
            value.as_array()?.iter().find(|found| found["uid"] == item["uid"])
        }
        _ => Some(&Value::Bool(true)).filter(|_| value.is_object() || value.is_array()),
    })
}

/// Takes what is at a path away, and what that leaves empty.
pub(super) fn remove(object: &mut Value, path: &[String]) {
    let Some((step, rest)) = path.split_first() else { return };
    match step.split_once(':') {
        Some(("f", key)) => {
            let Some(map) = object.as_object_mut() else { return };
            match (rest.is_empty(), map.get_mut(key)) {
                (true, _) => drop(map.remove(key)),
                (false, Some(below)) => {
                    remove(below, rest);
                    let empty = below.as_object().is_some_and(Map::is_empty)
                        || below.as_array().is_some_and(Vec::is_empty);
                    if empty && key != "metadata" {
                        map.remove(key);
                    }
                }
                (false, None) => {}
            }
        }
        Some(("k", item)) => {
            let item: Value = serde_json::from_str(item).unwrap_or_default();
            if let Some(items) = object.as_array_mut() {
                items.retain(|found| found["uid"] != item["uid"]);
            }
        }
        _ => {}
    }
}

/// As `fieldsV1` writes them.
pub(super) fn to_tree(paths: &Paths) -> Value {
    let mut tree = json!({});
    for path in paths {
        let mut node = &mut tree;
        for step in path {
            node = &mut node[step.as_str()];
            if node.is_null() {
                *node = json!({});
            }
        }
    }
    tree
}

/// As `fieldsV1` has them.
pub(super) fn of_tree(tree: &Value) -> Paths {
    fn walk(paths: &mut Paths, path: &Path, tree: &Value) {
        let below = tree.as_object().into_iter().flatten();
        let mut leaf = true;
        for (step, tree) in below {
            leaf = false;
            let path = path.iter().cloned().chain([step.clone()]).collect();
            walk(paths, &path, tree);
        }
        if leaf && !path.is_empty() {
            paths.insert(path.clone());
        }
    }
    let mut paths = Paths::new();
    walk(&mut paths, &Path::new(), tree);
    paths
}
