//! Structural schemas, as CRDs hold them, applied to manifests.
//!
//! A walker of our own: what a general JSON Schema validator leaves out (unknown fields, sets,
//! lines of the file, what is allowed instead) is most of what a reader of the message needs.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::complaint::{Finding, Place};
use super::yaml::{Content, Entry, Node, element, member};
use crate::api::schema as patterns;
use crate::error::nearest;

/// Pattern of a DNS-1123 label.
pub(super) const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

/// A schema. A keyword that is not known here is an error, so that no rule is passed over.
#[derive(Deserialize, Debug, Default)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Schema {
    #[serde(rename = "type")]
    type_: Option<Type>,
    properties: BTreeMap<String, Schema>,
    required: Vec<String>,
    additional_properties: Option<Box<Schema>>,
    items: Option<Box<Schema>>,
    #[serde(rename = "enum")]
    allowed: Option<Vec<Value>>,
    pattern: Option<Pattern>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    min_items: Option<usize>,
    max_items: Option<usize>,
    max_properties: Option<usize>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    default: Option<Value>,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    free: bool,
    #[serde(rename = "x-kubernetes-list-type")]
    list_type: Option<ListType>,
    /// Judged by [`super::rules`].
    #[serde(rename = "x-kubernetes-validations")]
    _rules: Option<serde::de::IgnoredAny>,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    _list_map_keys: Option<serde::de::IgnoredAny>,
    #[serde(rename = "description")]
    _description: Option<serde::de::IgnoredAny>,
    #[serde(rename = "format")]
    _format: Option<serde::de::IgnoredAny>,
    #[serde(rename = "title")]
    _title: Option<serde::de::IgnoredAny>,
    #[serde(rename = "$schema")]
    _dialect: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum ListType {
    Set,
    Map,
    Atomic,
}

#[derive(Debug)]
struct Pattern(Regex);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pattern = String::deserialize(deserializer)?;
        Regex::new(&pattern).map(Self).map_err(serde::de::Error::custom)
    }
}

impl Schema {
    /// Lets nobody ask for `name` at this level; others do.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.properties.remove(name);
        self.required.retain(|required| required != name);
        self
    }

    /// Puts another schema in the place of a property's.
    pub(super) fn with(mut self, name: &str, schema: Self) -> Self {
        self.properties.insert(name.to_owned(), schema);
        self
    }

    /// Takes out what is null, as the API server does before it fills in defaults: all but the
    /// items of lists and what has no schema.
    pub(super) fn prune(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|key, field| !field.is_null() || self.property(key).is_none());
                for (key, field) in fields.iter_mut() {
                    if let Some(schema) = self.property(key) {
                        schema.prune(field);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    for item in items {
                        schema.prune(item);
                    }
                }
            }
            _ => {}
        }
    }

    fn property(&self, key: &str) -> Option<&Self> {
        self.properties.get(key).or(self.additional_properties.as_deref())
    }
}

/// A walk over one document. Messages never hold a value, except one that is not among those
/// listed: a Secret has no such field.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) findings: Vec<Finding>,
}

/// Where the walk has got to.
#[derive(Clone, Copy)]
struct At<'a> {
    place: Place,
    path: &'a str,
}

impl Walk {
    /// Judges a node by a schema.
    pub(super) fn check(&mut self, schema: &Schema, node: &Node, path: &str) {
        self.visit(schema, node, At { place: node.place, path });
    }

    /// Judges an entry; a finding about it stands at its key.
    pub(super) fn check_entry(&mut self, schema: &Schema, entry: &Entry, path: &str) {
        self.visit(schema, &entry.value, At { place: entry.place, path });
    }

    fn say(&mut self, at: At<'_>, message: impl Into<String>) {
        self.findings.push(Finding::error(at.place, at.path, message));
    }

    fn visit(&mut self, schema: &Schema, node: &Node, at: At<'_>) {
        if schema.free && schema.type_.is_none() {
            return;
        }
        match (schema.type_, &node.content) {
            (Some(Type::Object) | None, Content::Map(entries)) => self.object(schema, entries, at),
            (Some(Type::Array) | None, Content::List(items)) => self.list(schema, items, at),
            (type_, Content::Scalar(value)) if type_.is_none_or(|type_| type_.takes(value)) => {
                self.scalar(schema, value, at);
            }
            (type_, content) => {
                let wanted = type_.map_or("another type", Type::name);
                self.say(at, format!("must be {wanted}, not {}", describe(content, type_)));
            }
        }
    }

    fn object(&mut self, schema: &Schema, entries: &[Entry], at: At<'_>) {
        for entry in entries {
            let path = member(at.path, &entry.key);
            match schema.property(&entry.key) {
                // Taken for left out.
                Some(_) if entry.value.is_null() => {}
                Some(schema) => self.check_entry(schema, entry, &path),
                None if schema.free => {}
                None => {
                    let hint = nearest(&entry.key, schema.properties.keys().map(String::as_str));
                    let at = At { place: entry.place, path: &path };
                    self.say(at, format!("unknown field{hint}"));
                }
            }
        }
        let given = |name: &str| entries.iter().any(|e| e.key == name && !e.value.is_null());
        let missing: Vec<&String> = schema.required.iter().filter(|name| !given(name)).collect();
        for name in missing {
            let path = member(at.path, name);
            // Where it is there, but null.
            let there = entries.iter().find(|entry| entry.key == *name).map(|entry| entry.place);
            let at = At { place: there.unwrap_or(at.place), path: &path };
            self.say(at, "is required");
        }
        self.count(entries.len(), (None, schema.max_properties, "entries"), at);
    }

    fn list(&mut self, schema: &Schema, items: &[Node], at: At<'_>) {
        self.count(items.len(), (schema.min_items, schema.max_items, "items"), at);
        let mut seen: Vec<(Value, Place)> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = element(at.path, index);
            if let Some(schema) = &schema.items {
                self.check(schema, item, &path);
            }
            if schema.list_type == Some(ListType::Set) {
                let value = item.to_value();
                match seen.iter().find(|(known, _)| *known == value) {
                    Some((_, first)) => {
                        let message = format!("is in the list already (line {})", first.line);
                        self.say(At { place: item.place, path: &path }, message);
                    }
                    None => seen.push((value, item.place)),
                }
            }
        }
    }

    fn scalar(&mut self, schema: &Schema, value: &Value, at: At<'_>) {
        if let Some(allowed) = &schema.allowed
            && !allowed.contains(value)
        {
            let list: Vec<String> = allowed.iter().map(Value::to_string).collect();
            self.say(at, format!("must be one of {}, not {value}", list.join(", ")));
        }
        if let Some(text) = value.as_str() {
            let bounds = (schema.min_length, schema.max_length, "characters");
            self.count(text.chars().count(), bounds, at);
            if let Some(Pattern(pattern)) = &schema.pattern
                && !pattern.is_match(text)
            {
                self.say(at, phrase(pattern.as_str()));
            }
        }
        if let Some(number) = value.as_f64()
            && !(schema.minimum.is_none_or(|minimum| number >= minimum)
                && schema.maximum.is_none_or(|maximum| number <= maximum))
        {
            self.say(at, range(schema.minimum, schema.maximum));
        }
    }

    fn count(&mut self, count: usize, bounds: (Option<usize>, Option<usize>, &str), at: At<'_>) {
        let (least, most, what) = bounds;
        if let Some(most) = most.filter(|most| count > *most) {
            self.say(at, format!("has {count} {what}: at most {most} are allowed"));
        }
        if let Some(least) = least.filter(|least| count < *least) {
            self.say(at, format!("has {count} {what}: at least {least} must be there"));
        }
    }
}

impl Type {
    fn takes(self, value: &Value) -> bool {
        match self {
            Self::Object | Self::Array => false,
            Self::String => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Object => "a mapping",
            Self::Array => "a list",
            Self::String => "a string",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
        }
    }
}

/// What is there instead, without showing it, and how to mend the commonest slips.
fn describe(content: &Content, wanted: Option<Type>) -> &'static str {
    let text = wanted == Some(Type::String);
    match content {
        Content::Map(_) => "a mapping",
        Content::List(_) => "a list",
        Content::Scalar(Value::Null) => "null: give it a value or leave it out",
        Content::Scalar(Value::Bool(_)) if text => {
            "a boolean, for which YAML takes yes, no, on, off, y and n too: put it in quotes"
        }
        Content::Scalar(Value::Bool(_)) => "a boolean",
        Content::Scalar(Value::Number(_)) if text => "a number: put it in quotes",
        Content::Scalar(Value::Number(_)) => "a number",
        Content::Scalar(_) => "a string",
    }
}

/// A pattern in words, where it is one of ours.
fn phrase(pattern: &str) -> String {
    match pattern {
        patterns::OBJECT_NAME => "must be an object's name (a DNS-1123 subdomain): lower-case \
            letters, digits, - and ., starting and ending with a letter or digit"
            .to_owned(),
        LABEL => "must be a namespace's name: lower-case letters, digits and -, starting and \
            ending with a letter or digit"
            .to_owned(),
        patterns::DURATION => "must be a duration, as 30s or 1h30m".to_owned(),
        patterns::PLACE => {
            "must be a place in the answer: a JSON Pointer, as /access_token, header:NAME or body"
                .to_owned()
        }
        other => format!("must match {other}"),
    }
}

fn range(minimum: Option<f64>, maximum: Option<f64>) -> String {
    match (minimum, maximum) {
        (Some(minimum), Some(maximum)) => format!("must lie between {minimum} and {maximum}"),
        (Some(minimum), None) => format!("must be at least {minimum}"),
        (_, maximum) => format!("must be at most {}", maximum.unwrap_or_default()),
    }
}
