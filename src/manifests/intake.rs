//! From documents to objects: which kind each is, what it breaks, what it becomes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::complaint::{Complaint, Finding, Severity};
use super::metadata::{self, Identity};
use super::rules::{self, Kind, OUR_VERSION};
use super::secret::{self, NamespaceManifest};
use super::sourced::{Key, Manifests, Sourced};
use super::yaml::{self, Content, Node, element};
use crate::api::GROUP;
use crate::error::nearest;

/// Takes manifests in, one file after the other.
#[derive(Default)]
pub(super) struct Intake {
    pub(super) manifests: Manifests,
    pub(super) complaints: Vec<Complaint>,
    /// Where each object was first seen.
    seen: BTreeMap<(Kind, Key), (PathBuf, usize)>,
}

impl Intake {
    /// Reads a file.
    pub(super) fn file(&mut self, file: &Path) {
        match std::fs::read(file).map(Zeroizing::new) {
            Ok(bytes) => match std::str::from_utf8(&bytes) {
                Ok(text) => self.text(file, text),
                Err(_) => self.complaints.push(Complaint::of_file(file, "is not UTF-8 text")),
            },
            Err(error) => {
                self.complaints.push(Complaint::of_file(file, format!("cannot be read: {error}")));
            }
        }
    }

    /// Reads a file's text.
    pub(super) fn text(&mut self, file: &Path, text: &str) {
        for document in yaml::documents(text.strip_prefix('\u{feff}').unwrap_or(text)) {
            match document {
                Ok(node) if node.is_null() => {}
                Ok(node) => self.document(file, &node, ""),
                Err(problem) => {
                    let finding = Finding::error(problem.place, "", problem.message);
                    self.say(file, None, finding);
                }
            }
        }
    }

    fn say(&mut self, file: &Path, object: Option<&str>, finding: Finding) {
        self.complaints.push(Complaint {
            severity: finding.severity,
            file: file.to_owned(),
            place: Some(finding.place),
            object: object.map(str::to_owned),
            path: finding.path,
            message: finding.message,
        });
    }

    /// Takes a document, or an item of a list (`path`), in.
    fn document(&mut self, file: &Path, node: &Node, path: &str) {
        match classify(node) {
            Ok(Class::List) => {
                for finding in rules::duplicate_keys(node, path) {
                    self.say(file, None, finding);
                }
                if let Some(Content::List(items)) = node.get("items").map(|items| &items.content) {
                    for (index, item) in items.iter().enumerate() {
                        self.document(file, item, &element("items", index));
                    }
                }
            }
            Ok(Class::Ours(kind)) => self.object(file, kind, node),
            Ok(Class::Foreign(title)) => {
                let message = "is skipped: tokenward does not read this kind";
                self.say(file, Some(&title), Finding::warning(node.place, path, message));
            }
            Err((at, message)) => {
                let (path, place) = match at {
                    "" => (path.to_owned(), node.place),
                    key => {
                        let place = node.entry(key).map_or(node.place, |entry| entry.place);
                        (if path.is_empty() { key.into() } else { yaml::member(path, key) }, place)
                    }
                };
                self.say(file, None, Finding::error(place, &path, message));
            }
        }
    }

    fn object(&mut self, file: &Path, kind: Kind, node: &Node) {
        let identity = Identity::of(kind, node);
        let title = identity.title();
        let id = (kind, identity.key());
        self.manifests.checked += 1;
        let mut findings = rules::duplicates(node, "");
        findings.extend(metadata::check(&identity, node));
        findings.extend(rules::check_fields(kind, node));
        if let Some((first, line)) = self.seen.get(&id).filter(|_| !identity.name.is_empty()) {
            let message = format!("is there twice, first in {}:{line}", first.display());
            self.say(file, Some(&title), Finding::error(node.place, "", message));
            return;
        }
        self.seen.insert(id.clone(), (file.to_owned(), node.place.line));
        if findings.iter().all(|finding| finding.severity == Severity::Warning) {
            findings.extend(self.insert(file, &identity, node));
        }
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            self.manifests.broken.insert(id);
        }
        for finding in findings {
            self.say(file, Some(&title), finding);
        }
    }

    /// Keeps an object that fits its schema, unless it breaks another rule.
    fn insert(&mut self, file: &Path, identity: &Identity, node: &Node) -> Vec<Finding> {
        let manifests = &mut self.manifests;
        let source = Source { file, identity, node };
        let result = match identity.kind {
            Kind::Token => source.typed().map(|token| source.keep(token, &mut manifests.tokens)),
            Kind::Provider => source.typed().map(|p| source.keep(p, &mut manifests.providers)),
            Kind::ClusterProvider => {
                source.typed().map(|p| source.keep(p, &mut manifests.cluster_providers))
            }
            Kind::ClusterToken => {
                source.typed().map(|token| source.keep(token, &mut manifests.cluster_tokens))
            }
            Kind::Secret => secret::read(identity, node)
                .map(|secret| source.keep(secret, &mut manifests.secrets)),
            Kind::Namespace => {
                let (name, labels) = (identity.name.clone(), identity.labels.clone());
                let namespace = NamespaceManifest { name, labels };
                source.keep(namespace, &mut manifests.namespaces);
                Ok(())
            }
        };
        result.err().unwrap_or_default()
    }
}

/// An object on its way in.
#[derive(Clone, Copy)]
struct Source<'a> {
    file: &'a Path,
    identity: &'a Identity,
    node: &'a Node,
}

impl Source<'_> {
    /// The typed object, defaults filled in, if it keeps the CEL rules.
    fn typed<T: DeserializeOwned>(self) -> Result<T, Vec<Finding>> {
        let (node, kind) = (self.node, self.identity.kind);
        let malformed = |error: serde_json::Error| {
            vec![Finding::error(node.place, "spec", format!("malformed: {error}"))]
        };
        let mut value = json!({
            "apiVersion": kind.api_version(),
            "kind": kind.name(),
            "metadata": serde_json::to_value(self.identity.meta()).map_err(malformed)?,
            "spec": node.get("spec").map_or(Value::Null, Node::to_value),
        });
        let findings = rules::default_and_check_rules(kind, &mut value, node);
        if !findings.is_empty() {
            return Err(findings);
        }
        serde_json::from_value(value).map_err(malformed)
    }

    fn keep<T>(self, object: T, objects: &mut BTreeMap<Key, Sourced<T>>) {
        let sourced = Sourced {
            object,
            file: self.file.to_owned(),
            line: self.node.place.line,
            title: self.identity.title(),
            places: self.node.places(),
        };
        objects.insert(self.identity.key(), sourced);
    }
}

enum Class {
    Ours(Kind),
    List,
    /// `KIND NAME` of another kind.
    Foreign(String),
}

/// What a document is, or the field that does not say so and why.
fn classify(node: &Node) -> Result<Class, (&'static str, String)> {
    if !matches!(node.content, Content::Map(_)) {
        let message = "is no manifest: a mapping with apiVersion, kind and metadata is needed";
        return Err(("", message.to_owned()));
    }
    let text = |key: &'static str| {
        let value = node.get(key).and_then(Node::text).filter(|text| !text.is_empty());
        value.ok_or_else(|| (key, "is required, as a string".to_owned()))
    };
    let (api_version, kind) = (text("apiVersion")?, text("kind")?);
    if kind.ends_with("List")
        && matches!(node.get("items"), Some(Node { content: Content::List(_), .. }))
    {
        return Ok(Class::List);
    }
    let known = Kind::ALL.into_iter().find(|known| known.name() == kind);
    if let Some(known) = known.filter(|known| known.api_version() == api_version) {
        return Ok(Class::Ours(known));
    }
    let ours = || Kind::ALL.iter().filter(|k| k.api_version() == OUR_VERSION).map(|k| k.name());
    match (api_version.split('/').next(), known) {
        (Some(GROUP), None) => {
            Err(("kind", format!("{GROUP} has no kind {kind:?}{}", nearest(kind, ours()))))
        }
        (_, Some(known)) if known.api_version() == OUR_VERSION => {
            Err(("apiVersion", format!("must be {OUR_VERSION}, not {api_version:?}")))
        }
        (Some(GROUP), Some(known)) => {
            Err(("apiVersion", format!("must be {}, not {api_version:?}", known.api_version())))
        }
        _ => {
            let name = node.get("metadata").and_then(|metadata| metadata.get("name")?.text());
            Ok(Class::Foreign(format!("{kind} {}", name.unwrap_or("without a name"))))
        }
    }
}

/// Sorts complaints as a reader of the files meets them.
pub(super) fn sort(complaints: &mut [Complaint]) {
    complaints.sort_by(|a, b| {
        let key = |c: &Complaint| c.place.unwrap_or_default();
        a.file.cmp(&b.file).then(key(a).cmp(&key(b)))
    });
}
