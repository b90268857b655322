//! The core kinds: Secrets, whose values are wrapped at once, and Namespaces, for their labels.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretBox;

use super::complaint::Finding;
use super::metadata::Identity;
use super::yaml::{Entry, Node};
use crate::oauth::{CredentialValues, Credentials};

/// A Secret, as a manifest gives it.
#[derive(Debug)]
pub struct SecretManifest {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its type; `Opaque` by default.
    pub type_: String,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its values: `data` decoded, `stringData` over it. Never shown.
    pub values: CredentialValues,
}

impl Clone for SecretManifest {
    fn clone(&self) -> Self {
        Self {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            type_: self.type_.clone(),
            annotations: self.annotations.clone(),
            values: self.copy_values(),
        }
    }
}

impl SecretManifest {
    /// The values, to ask a provider with.
    pub fn credentials(&self) -> Credentials {
        Credentials::new(format!("{}/{}", self.namespace, self.name), self.copy_values())
    }

    fn copy_values(&self) -> CredentialValues {
        use secrecy::ExposeSecret;
        self.values.iter().map(|(key, value)| (key.clone(), wrap(value.expose_secret()))).collect()
    }
}

/// A Namespace, as a manifest gives it.
#[derive(Clone, Debug)]
pub struct NamespaceManifest {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Reads a Secret that fits its schema. What is said of it holds no value.
pub(super) fn read(identity: &Identity, node: &Node) -> Result<SecretManifest, Vec<Finding>> {
    let mut values = CredentialValues::new();
    let mut findings = Vec::new();
    for entry in node.get("data").map_or(&[][..], Node::entries) {
        match decode(entry) {
            Ok(value) => drop(values.insert(entry.key.clone(), wrap(&value))),
            Err(message) => findings.push(at("data", entry, message)),
        }
    }
    for entry in node.get("stringData").map_or(&[][..], Node::entries) {
        let value = entry.value.text().unwrap_or_default();
        values.insert(entry.key.clone(), wrap(value.as_bytes()));
        if !is_key(&entry.key) {
            findings.push(at("stringData", entry, KEY_RULE));
        }
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let type_ = node.get("type").and_then(Node::text).filter(|type_| !type_.is_empty());
    Ok(SecretManifest {
        namespace: identity.namespace.clone(),
        name: identity.name.clone(),
        type_: type_.unwrap_or("Opaque").to_owned(),
        annotations: identity.annotations.clone(),
        values,
    })
}

const KEY_RULE: &str = "a key holds letters, digits, -, _ and . only, at most 253";

fn decode(entry: &Entry) -> Result<Vec<u8>, &'static str> {
    if !is_key(&entry.key) {
        return Err(KEY_RULE);
    }
    let text = entry.value.text().unwrap_or_default();
    // Folded blocks bring line breaks, which Go's decoder passes over too.
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    STANDARD.decode(text).map_err(|_| "is not base64: give text under stringData")
}

fn at(field: &str, entry: &Entry, message: &str) -> Finding {
    // What is no key may be a value that lost its key: it is not repeated.
    let path = if is_key(&entry.key) { format!("{field}.{}", entry.key) } else { field.to_owned() };
    Finding::error(entry.place, &path, message)
}

fn is_key(key: &str) -> bool {
    (1..=253).contains(&key.len())
        && !matches!(key, "." | "..")
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn wrap(value: &[u8]) -> SecretBox<Vec<u8>> {
    SecretBox::new(Box::new(value.to_vec()))
}
