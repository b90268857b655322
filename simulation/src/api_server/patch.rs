//! Patches, and who owns what afterwards.

use serde_json::{Value, json};

use super::ask::{Ask, Place, Reply};
use super::fields;
use super::view;

/// What a patch makes of an object.
pub(super) fn patched(ask: &Ask, before: &Value, now: &str) -> Result<Value, Reply> {
    let kind = ask.content_type.split(';').next().unwrap_or_default();
    let mut after = match kind {
        "application/apply-patch+yaml" => apply(ask, before, now)?,
        "application/merge-patch+json" => merge_patch(ask, before, now),
        "application/json-patch+json" => json_patch(ask, before)?,
        _ => return Err(Reply::refused(415, "UnsupportedMediaType", "not simulated")),
    };
    let wanted = &after["metadata"];
    if wanted["resourceVersion"] != before["metadata"]["resourceVersion"] {
        return Err(Reply::conflict("the object has been modified"));
    }
    if wanted["uid"] != before["metadata"]["uid"] {
        return Err(Reply::invalid("metadata.uid", "field is immutable"));
    }
    strings_to_data(&mut after);
    if after["metadata"]["generation"].is_number() && after["spec"] != before["spec"] {
        let generation = after["metadata"]["generation"].as_i64().unwrap_or_default();
        after["metadata"]["generation"] = json!(generation + 1);
    }
    judge(&after)?;
    Ok(after)
}

fn apply(ask: &Ask, before: &Value, now: &str) -> Result<Value, Reply> {
    let mut after = before.clone();
    if ask.subresource.is_some() {
        // One manager writes the whole of it.
        after["status"] = ask.body["status"].clone();
        for field in ["uid", "resourceVersion"] {
            adopt(&mut after["metadata"], &ask.body["metadata"], field);
        }
        return Ok(after);
    }
    let (manager, force) = (ask.manager(), ask.parameter("force") == Some("true"));
    let applied = fields::said(&ask.body);
    let mut others = entries(&mut after);
    let own = others.iter().position(|entry| is(entry, &manager, "Apply"));
    let own = own.map(|index| others.remove(index));
    for other in &mut others {
        let owned = &mut other["fieldsV1"];
        let disputed = fields::disputed((owned, &applied), (Some(before), Some(&ask.body)));
        if let (Some(first), false) = (fields::first(&disputed), force) {
            let message = format!("conflict with {} on {first}", other["manager"]);
            return Err(Reply::conflict(&message));
        }
        fields::subtract(owned, &disputed);
    }
    merge(&mut after, &ask.body);
    let theirs: Vec<&Value> = others.iter().map(|other| &other["fieldsV1"]).collect();
    if let Some(own) = &own {
        fields::remove(&mut after, (&own["fieldsV1"], Some(&applied)), &theirs);
    }
    let entry = entry((&manager, "Apply"), (applied, now), &after);
    write_entries(&mut after, others, [entry]);
    Ok(after)
}

fn adopt(into: &mut Value, from: &Value, field: &str) {
    if !from[field].is_null() {
        into[field] = from[field].clone();
    }
}

fn merge_patch(ask: &Ask, before: &Value, now: &str) -> Value {
    let mut after = before.clone();
    merge_rfc7386(&mut after, &ask.body);
    strings_to_data(&mut after);
    if ask.subresource.is_none() {
        own_as_update(before, &mut after, (&ask.manager(), now));
    }
    after
}

fn json_patch(ask: &Ask, before: &Value) -> Result<Value, Reply> {
    let mut after = before.clone();
    for operation in ask.body.as_array().into_iter().flatten() {
        let path = operation["path"].as_str().unwrap_or_default();
        let failed = || Reply::refused(422, "Invalid", "the server rejected our request");
        match operation["op"].as_str().unwrap_or_default() {
            "test" if after.pointer(path) == Some(&operation["value"]) => {}
            "replace" => *after.pointer_mut(path).ok_or_else(failed)? = operation["value"].clone(),
            _ => return Err(failed()),
        }
    }
    Ok(after)
}

/// Deep, as server-side apply merges: maps by key, owner references by uid, the rest whole.
fn merge(into: &mut Value, from: &Value) {
    let (Value::Object(into), Value::Object(from)) = (into, from) else { return };
    for (key, value) in from.iter().filter(|(_, value)| !value.is_null()) {
        match (into.get_mut(key), value) {
            (Some(old @ Value::Object(_)), Value::Object(_)) => merge(old, value),
            (Some(Value::Array(old)), Value::Array(new)) if key == "ownerReferences" => {
                old.retain(|old| new.iter().all(|new| new["uid"] != old["uid"]));
                old.extend(new.iter().cloned());
            }
            _ => drop(into.insert(key.clone(), value.clone())),
        }
    }
}

fn merge_rfc7386(into: &mut Value, from: &Value) {
    let Value::Object(from) = from else {
        *into = from.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let Some(map) = into.as_object_mut() else { return };
    for (key, value) in from {
        match value.is_null() {
            true => drop(map.remove(key)),
            false => merge_rfc7386(map.entry(key).or_insert(Value::Null), value),
        }
    }
}

/// Whoever changes a field takes it from its former owners.
pub(super) fn own_as_update(before: &Value, after: &mut Value, (manager, now): (&str, &str)) {
    let changed = fields::changed(before, after);
    let mut entries = entries(after);
    for entry in &mut entries {
        fields::prune(&mut entry["fieldsV1"], Some(&*after));
        fields::subtract(&mut entry["fieldsV1"], &changed);
    }
    let own = entries.iter_mut().find(|entry| is(entry, manager, "Update"));
    let more = match own {
        _ if fields::is_end(&changed) => None,
        Some(own) => {
            fields::unite(&mut own["fieldsV1"], changed);
            own["time"] = json!(now);
            None
        }
        None => Some(entry((manager, "Update"), (changed, now), after)),
    };
    write_entries(after, entries, more);
}

fn is(entry: &Value, manager: &str, operation: &str) -> bool {
    entry["manager"] == manager && entry["operation"] == operation
}

fn entry((manager, operation): (&str, &str), (fields, now): (Value, &str), of: &Value) -> Value {
    json!({
        "manager": manager, "operation": operation, "time": now,
        "apiVersion": of["apiVersion"], "fieldsType": "FieldsV1", "fieldsV1": fields,
    })
}

/// Takes the entries out of an object.
fn entries(object: &mut Value) -> Vec<Value> {
    match object["metadata"]["managedFields"].take() {
        Value::Array(entries) => entries,
        _ => Vec::new(),
    }
}

fn write_entries(object: &mut Value, entries: Vec<Value>, more: impl IntoIterator<Item = Value>) {
    let entries = entries.into_iter().chain(more);
    let entries = entries.filter(|entry| !fields::is_end(&entry["fieldsV1"]));
    object["metadata"]["managedFields"] = entries.collect();
}

/// What every object of a kind has.
pub(super) fn defaults(object: &mut Value, at: &Place) {
    object["kind"] = json!(view::kind(at));
    object["apiVersion"] = json!(at.api_version);
    if !at.namespace.is_empty() {
        object["metadata"]["namespace"] = json!(at.namespace);
    }
    strings_to_data(object);
    if at.resource == "secrets" && object["type"].is_null() {
        object["type"] = json!("Opaque");
    }
}

fn strings_to_data(object: &mut Value) {
    let strings = object.as_object_mut().and_then(|object| object.remove("stringData"));
    for (key, value) in strings.as_ref().and_then(Value::as_object).into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        object["data"][key] = json!(super::encode(text.as_bytes()));
    }
}

/// What no object may be.
pub(super) fn judge(object: &Value) -> Result<(), Reply> {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    match owners.filter(|owner| owner["controller"] == true).count() {
        0 | 1 => Ok(()),
        _ => Err(Reply::invalid(
            "metadata.ownerReferences",
            "Only one reference can have Controller set to true",
        )),
    }
}

/// Whether something has to be done before an object may go.
pub(super) fn is_held(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty())
}
