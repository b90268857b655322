//! Provider documents: the embedded catalogue, and how a document overlays another.

mod documents;
mod overlay;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::ProviderDocument;
use crate::error::{Error, Reason, nearest};

/// One entry of the catalogue.
#[derive(Deserialize, Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The provider, as people call it.
    pub title: String,
    /// Pages that the document's claims come from.
    pub source: Vec<String>,
    /// What was checked against what, or `none`.
    pub verified: String,
    /// For people: limits, quirks, what to set up at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// The variables that the document wants.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Input>,
    /// The keys of the credentials Secret that it wants, each with a line for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<String, String>,
    /// The document, as values: what is left out must stay left out until all is merged.
    #[serde(flatten)]
    pub document: Value,
}

/// A declared variable.
#[derive(Deserialize, Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// For people.
    pub description: String,
    /// A value, as it might be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// What its value looks like.
    pub format: Format,
    /// Its value where none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether a value must be given.
    #[serde(default)]
    pub required: bool,
}

/// What a variable's value looks like.
#[derive(Deserialize, Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    /// A whole URL, or its beginning.
    Url,
    /// A host, with or without a port.
    Host,
    /// One segment of a path.
    PathSegment,
    /// Anything.
    Text,
}

/// A document with everything that it extends merged in.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The document. No `preset` is left.
    pub document: ProviderDocument,
    /// The variables that its presets declare.
    pub inputs: BTreeMap<String, Input>,
}

/// Longest chain of presets; the catalogue's own is two.
const MAX_DEPTH: usize = 8;

/// Read when they are asked for: an operator uses a handful of them.
static CATALOGUE: LazyLock<BTreeMap<&'static str, LazyLock<Option<Entry>, Reader>>> =
    LazyLock::new(|| documents::DOCUMENTS.iter().map(lazily).collect());

type Reader = Box<dyn FnOnce() -> Option<Entry> + Send>;

fn lazily(
    (name, text): &(&'static str, &'static str),
) -> (&'static str, LazyLock<Option<Entry>, Reader>) {
    let text = *text;
    // A document that does not parse fails the test below, never a running operator.
    (name, LazyLock::new(Box::new(move || serde_yaml::from_str(text).ok())))
}

/// The catalogue, by preset name.
pub fn entries() -> BTreeMap<&'static str, &'static Entry> {
    CATALOGUE.iter().filter_map(|(name, entry)| Some((*name, entry.as_ref()?))).collect()
}

/// The names of all presets.
pub fn names() -> impl Iterator<Item = &'static str> {
    CATALOGUE.keys().copied()
}

/// Merges a document over its preset, and that over its own.
pub fn merge(document: &ProviderDocument) -> Result<Merged, Error> {
    let mut layers = vec![to_value(document)?];
    let mut inputs = BTreeMap::new();
    let mut preset = document.preset.clone();
    while let Some(name) = preset {
        let entry = find(&name).map_err(|error| error.at("spec.preset"))?;
        for (variable, input) in &entry.inputs {
            inputs.entry(variable.clone()).or_insert_with(|| input.clone());
        }
        layers.push(entry.document.clone());
        if layers.len() > MAX_DEPTH {
            return Err(Error::new(
                Reason::InvalidProvider,
                format!("preset {name:?} extends itself"),
            ));
        }
        preset = entry.document.get("preset").and_then(Value::as_str).map(str::to_owned);
    }
    let merged = layers.into_iter().rev().fold(Value::Null, overlay::overlay);
    // Both layers were well formed, so this cannot fail; its error would quote the document.
    let mut document: ProviderDocument = serde_json::from_value(merged)
        .map_err(|_| Error::new(Reason::InvalidProvider, "the merged document is malformed"))?;
    document.preset = None;
    Ok(Merged { document, inputs })
}

/// One entry of the catalogue.
pub fn find(name: &str) -> Result<&'static Entry, Error> {
    let found = CATALOGUE.get(name).and_then(|entry| entry.as_ref());
    found.ok_or_else(|| {
        let hint = nearest(name, names());
        Error::new(Reason::InvalidProvider, format!("the catalogue has no document {name:?}{hint}"))
    })
}

fn to_value(document: &ProviderDocument) -> Result<Value, Error> {
    serde_json::to_value(document)
        .map_err(|_| Error::new(Reason::InvalidProvider, "the document is malformed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_parses_and_says_where_it_is_from() {
        assert_eq!(entries().len(), documents::DOCUMENTS.len());
        for (name, entry) in entries() {
            let document: ProviderDocument =
                serde_json::from_value(entry.document.clone()).unwrap();
            merge(&document).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!entry.source.is_empty(), "{name} names no source");
            for link in &entry.source {
                // A page of the past may have been plain http; it is read by people only.
                let scheme = link.split_once("://").map(|(scheme, _)| scheme);
                assert!(matches!(scheme, Some("https" | "http")), "{name}: {link}");
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_embedded() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/catalogue");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|file| {
                file.unwrap()
                    .file_name()
                    .into_string()
                    .unwrap()
                    .strip_suffix(".yaml")
                    .map(str::to_owned)
            })
            .collect();
        files.sort();
        let embedded: Vec<&str> = documents::DOCUMENTS.iter().map(|(name, _)| *name).collect();
        assert_eq!(files, embedded);
    }

    #[test]
    fn a_document_holds_no_field_that_is_not_read() {
        for (name, text) in documents::DOCUMENTS {
            let raw: Value = serde_yaml::from_str(text).unwrap();
            let entry: Entry = serde_yaml::from_str(text).unwrap();
            let document: ProviderDocument = serde_json::from_value(entry.document).unwrap();
            let read = serde_json::to_value(document).unwrap();
            for (key, value) in raw.as_object().unwrap() {
                if !matches!(
                    key.as_str(),
                    "title" | "source" | "verified" | "notes" | "inputs" | "credentials"
                ) {
                    assert_read(name, value, read.get(key).unwrap_or(&Value::Null));
                }
            }
        }
    }

    /// Every key is there again; a value may be written otherwise, as 1h is 3600s.
    fn assert_read(name: &str, raw: &Value, read: &Value) {
        assert!(!read.is_null(), "{name}: {raw} is not read");
        for (key, value) in raw.as_object().into_iter().flatten() {
            assert_read(name, value, read.get(key).unwrap_or(&Value::Null));
        }
        for (index, value) in raw.as_array().into_iter().flatten().enumerate() {
            assert_read(name, value, read.get(index).unwrap_or(&Value::Null));
        }
    }

    #[test]
    fn an_unknown_preset_is_named_with_its_nearest_neighbour() {
        let document =
            ProviderDocument { preset: Some("optimizely-cms-sas".into()), ..Default::default() };
        let error = merge(&document).unwrap_err();
        assert_eq!(error.reason(), Reason::InvalidProvider);
        assert!(
            error.message().contains("optimizely-cms-sas")
                && error.message().contains("did you mean \"optimizely-cms-saas\"?"),
            "{error}"
        );
    }

    #[test]
    fn a_sibling_takes_what_it_does_not_change_from_its_preset() {
        let document = ProviderDocument {
            preset: Some("optimizely-cms-saas-basic".into()),
            ..Default::default()
        };
        let merged = merge(&document).unwrap();
        let request = merged.document.request.unwrap();
        assert_eq!(
            request.url.as_deref(),
            Some("https://{{ host }}/_cms/{{ version }}/oauth/token")
        );
        assert_eq!(request.encoding, Some(crate::api::Encoding::Form));
        assert!(merged.inputs.contains_key("host"));
    }
}
