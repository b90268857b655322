//! Which fields of a Secret are ours, as `managedFields` tells.
//!
//! A Secret made by POST is owned by an `Update` entry, a later apply makes an `Apply` entry
//! beside it: with both, a key that is dropped later would stay for ever. So before a write that
//! drops something, all that is ours is handed over to `Apply`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::{Map, Value};

use crate::api::MANAGER;

/// Where the names are that may be ours.
pub(super) const DATA: &str = "/f:data";
pub(super) const LABELS: &str = "/f:metadata/f:labels";
pub(super) const ANNOTATIONS: &str = "/f:metadata/f:annotations";

/// The data keys, labels or annotations that are as we wrote them.
pub(super) fn owned(entries: &[ManagedFieldsEntry], at: &str) -> BTreeSet<String> {
    entries.iter().filter(|entry| is_ours(entry)).flat_map(|entry| names(entry, at)).collect()
}

fn names(entry: &ManagedFieldsEntry, at: &str) -> Vec<String> {
    let fields = entry.fields_v1.as_ref().and_then(|fields| fields.0.pointer(at)?.as_object());
    let names = fields.into_iter().flat_map(Map::keys);
    names.filter_map(|name| name.strip_prefix("f:").map(str::to_owned)).collect()
}

/// The data keys of others, by field manager; none for a guest that has annotations only.
pub(super) fn foreign_data_keys(
    entries: &[ManagedFieldsEntry],
) -> BTreeMap<String, BTreeSet<String>> {
    let mut managers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let guest = format!("{MANAGER}/");
    for entry in entries.iter().filter(|entry| !is_ours(entry)) {
        let keys = names(entry, DATA);
        let manager = entry.manager.clone().unwrap_or_default();
        if !keys.is_empty() || manager.starts_with(&guest) {
            managers.entry(manager).or_default().extend(keys);
        }
    }
    managers
}

/// Who wrote last, apart from us.
pub(super) fn last_editor(entries: &[ManagedFieldsEntry]) -> Option<String> {
    let guest = format!("{MANAGER}/");
    let others = entries.iter().filter(|entry| {
        !is_ours(entry) && !entry.manager.iter().any(|manager| manager.starts_with(&guest))
    });
    others.max_by_key(|entry| entry.time.as_ref().map(|time| time.0))?.manager.clone()
}

/// Whether anybody has set a field at the top of the object.
pub(super) fn sets(entries: &[ManagedFieldsEntry], field: &str) -> bool {
    entries.iter().any(|entry| entry.fields_v1.as_ref().is_some_and(|f| f.0.get(field).is_some()))
}

/// The entries with everything of some managers in one `Apply` entry of `heir`; `None` where that
/// is so already.
pub(crate) fn handed_over(
    entries: &[ManagedFieldsEntry],
    (managers, heir): (&[&str], &str),
) -> Option<Vec<ManagedFieldsEntry>> {
    let is_ours = |entry: &ManagedFieldsEntry| managers.iter().any(|name| is_by(name, entry));
    let is_there = |entry: &ManagedFieldsEntry| is_by(heir, entry) && is("Apply", entry);
    if !entries.iter().any(|entry| is_ours(entry) && !is_there(entry)) {
        return None;
    }
    let (ours, mut others): (Vec<_>, Vec<_>) = entries.iter().cloned().partition(is_ours);
    let mut fields = Value::Object(Map::new());
    for entry in &ours {
        if let Some(FieldsV1(more)) = &entry.fields_v1 {
            union(&mut fields, more);
        }
    }
    let newest = ours.into_iter().next_back()?;
    others.push(ManagedFieldsEntry {
        manager: Some(heir.to_owned()),
        operation: Some("Apply".to_owned()),
        fields_v1: Some(FieldsV1(fields)),
        ..newest
    });
    Some(others)
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    is_by(MANAGER, entry)
}

fn is_by(manager: &str, entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(manager) && entry.subresource.is_none()
}

fn is(operation: &str, entry: &ManagedFieldsEntry) -> bool {
    entry.operation.as_deref() == Some(operation)
}

fn union(into: &mut Value, from: &Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        for (key, value) in from {
            union(into.entry(key).or_insert_with(|| Value::Object(Map::new())), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.into()),
            operation: Some(operation.into()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn a_key_that_somebody_changed_is_not_ours_any_more() {
        let entries = [
            entry("tokenward", "Apply", json!({"f:data": {".": {}, "f:access_token": {}}})),
            entry("kubectl-edit", "Update", json!({"f:data": {"f:expires_at": {}}})),
        ];
        assert_eq!(owned(&entries, DATA), BTreeSet::from(["access_token".to_owned()]));
        assert_eq!(owned(&entries, LABELS), BTreeSet::new());
    }

    #[test]
    fn what_post_and_apply_own_becomes_one_apply_entry() {
        let entries = [
            entry("tokenward", "Update", json!({"f:data": {"f:a": {}}, "f:type": {}})),
            entry("kubectl", "Update", json!({"f:metadata": {}})),
            entry("tokenward", "Apply", json!({"f:data": {"f:b": {}}})),
        ];
        let handed = handed_over(&entries, (&["tokenward"], "tokenward")).unwrap();
        assert_eq!(handed.len(), 2);
        let ours = handed.iter().find(|entry| is_ours(entry)).unwrap();
        assert_eq!(ours.operation.as_deref(), Some("Apply"));
        let fields = &ours.fields_v1.as_ref().unwrap().0;
        assert_eq!(fields, &json!({"f:data": {"f:a": {}, "f:b": {}}, "f:type": {}}));
        assert_eq!(handed_over(&handed, (&["tokenward"], "tokenward")), None);
    }
}
