//! Names, namespaces, labels and annotations.

use std::collections::BTreeMap;
use std::fmt::Write;

use aws_lc_rs::digest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::complaint::Finding;
use super::rules::{self, Kind};
use super::sourced::Key;
use super::yaml::{Entry, Node};

/// Where objects are that name no namespace.
const DEFAULT_NAMESPACE: &str = "default";

/// Which object it is, as far as it says so.
pub(super) struct Identity {
    pub(super) kind: Kind,
    /// Empty for cluster-scoped kinds.
    pub(super) namespace: String,
    /// Empty where it is not given.
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

impl Identity {
    pub(super) fn of(kind: Kind, node: &Node) -> Self {
        let metadata = node.get("metadata");
        let text = |key: &str| metadata?.get(key)?.text().filter(|text| !text.is_empty());
        let texts = |key: &str| {
            let entries = metadata.and_then(|metadata| metadata.get(key));
            let entries = entries.map_or(&[][..], Node::entries).iter();
            entries.filter_map(|e| Some((e.key.clone(), e.value.text()?.to_owned()))).collect()
        };
        let namespace =
            kind.is_namespaced().then(|| text("namespace").unwrap_or(DEFAULT_NAMESPACE));
        Self {
            kind,
            namespace: namespace.unwrap_or_default().to_owned(),
            name: text("name").unwrap_or_default().to_owned(),
            labels: texts("labels"),
            annotations: texts("annotations"),
        }
    }

    pub(super) fn key(&self) -> Key {
        (self.namespace.clone(), self.name.clone())
    }

    /// `KIND NAMESPACE/NAME`, as far as it is known.
    pub(super) fn title(&self) -> String {
        let kind = self.kind.name();
        match (self.namespace.as_str(), self.name.as_str()) {
            (_, "") => kind.to_owned(),
            ("", name) => format!("{kind} {name}"),
            (namespace, name) => format!("{kind} {namespace}/{name}"),
        }
    }

    /// What a typed object carries. The uid is the same whenever the same object is read.
    pub(super) fn meta(&self) -> ObjectMeta {
        let some = |map: &BTreeMap<_, _>| (!map.is_empty()).then(|| map.clone());
        ObjectMeta {
            name: Some(self.name.clone()),
            namespace: (!self.namespace.is_empty()).then(|| self.namespace.clone()),
            uid: Some(self.uid()),
            generation: Some(1),
            labels: some(&self.labels),
            annotations: some(&self.annotations),
            ..ObjectMeta::default()
        }
    }

    /// A UUID (version 8: of one's own making) from kind, namespace and name.
    fn uid(&self) -> String {
        let text = format!("{}/{}/{}", self.kind.name(), self.namespace, self.name);
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        let mut hex = String::new();
        for byte in hash.as_ref() {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        let part = |range| hex.get(range).unwrap_or_default();
        format!(
            "{}-{}-8{}-8{}-{}",
            part(0..8),
            part(8..12),
            part(13..16),
            part(17..20),
            part(20..32)
        )
    }
}

/// Judges an object's metadata.
pub(super) fn check(identity: &Identity, node: &Node) -> Vec<Finding> {
    let Some(entry) = node.entry("metadata") else {
        return vec![Finding::error(node.place, "metadata.name", "is required")];
    };
    let mut findings = rules::check_metadata(entry);
    if !identity.kind.is_namespaced() {
        // Passed over by the API server, whatever it says: a warning below.
        findings.retain(|finding| finding.path != "metadata.namespace");
    }
    if !findings.is_empty() {
        return findings;
    }
    if identity.name.is_empty() {
        let message = match entry.value.get("generateName") {
            Some(_) => "is required: generateName names nothing before the object is created",
            None => "is required",
        };
        findings.push(Finding::error(entry.place, "metadata.name", message));
    }
    if identity.kind == Kind::Namespace && (identity.name.contains('.') || identity.name.len() > 63)
    {
        let message = "a namespace's name holds lower-case letters, digits and -, at most 63";
        findings.push(Finding::error(entry.place, "metadata.name", message));
    }
    if let Some(namespace) =
        entry.value.entry("namespace").filter(|_| !identity.kind.is_namespaced())
    {
        let message = format!("is ignored: {} is cluster-scoped", identity.kind.name());
        findings.push(Finding::warning(namespace.place, "metadata.namespace", message));
    }
    for field in ["labels", "annotations"] {
        let entries = entry.value.get(field).map_or(&[][..], Node::entries);
        findings.extend(entries.iter().filter_map(|entry| check_label(field, entry)));
    }
    findings
}

fn check_label(field: &str, entry: &Entry) -> Option<Finding> {
    let path = format!("metadata.{field}.{}", entry.key);
    let wrong = |message: &str| Some(Finding::error(entry.place, &path, message));
    if !is_qualified_name(&entry.key) {
        return wrong(
            "a key is [PREFIX/]NAME: NAME of letters, digits, -, _ and ., at most 63, PREFIX a \
             domain name",
        );
    }
    let value = entry.value.text().unwrap_or_default();
    if field == "labels" && !value.is_empty() && !is_label_text(value) {
        return wrong("a label's value holds letters, digits, -, _ and . only, at most 63");
    }
    None
}

fn is_qualified_name(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => {
            is_label_text(name)
                && prefix.len() <= 253
                && prefix.split('.').all(|part| {
                    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                    !part.is_empty()
                        && part.chars().all(inner)
                        && !part.starts_with('-')
                        && !part.ends_with('-')
                })
        }
        None => is_label_text(key),
    }
}

fn is_label_text(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}
