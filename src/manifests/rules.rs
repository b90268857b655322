//! The kinds that are read, each with the rules that the API server holds it to: schema, CEL rules
//! and names. All come from the types; none is written down again.

use std::collections::HashMap;
use std::sync::LazyLock;

use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::cel::{self, CompiledSchema};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::complaint::Finding;
use super::schema::{LABEL, Schema, Walk};
use super::sourced::place_in;
use super::yaml::{Content, Entry, Node, element, member};
use crate::api::CLUSTER_TOKEN;
use crate::api::schema::OBJECT_NAME;

/// A kind that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Token,
    Provider,
    ClusterProvider,
    ClusterToken,
    Secret,
    Namespace,
}

/// `apiVersion` of our kinds.
pub(super) const OUR_VERSION: &str = "tokenward.dev/v1alpha1";

impl Kind {
    pub(super) const ALL: [Self; 6] = [
        Self::Token,
        Self::Provider,
        Self::ClusterProvider,
        Self::ClusterToken,
        Self::Secret,
        Self::Namespace,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Token => "OAuthClientToken",
            Self::Provider => "OAuthProvider",
            Self::ClusterProvider => "ClusterOAuthProvider",
            Self::ClusterToken => CLUSTER_TOKEN,
            Self::Secret => "Secret",
            Self::Namespace => "Namespace",
        }
    }

    pub(super) fn api_version(self) -> &'static str {
        match self {
            Self::Token | Self::Provider | Self::ClusterProvider | Self::ClusterToken => {
                OUR_VERSION
            }
            Self::Secret | Self::Namespace => "v1",
        }
    }

    pub(super) fn is_namespaced(self) -> bool {
        !matches!(self, Self::ClusterProvider | Self::ClusterToken | Self::Namespace)
    }
}

/// The rules of one of our kinds.
struct Rules {
    kind: &'static str,
    schema: Schema,
    raw: Value,
    compiled: CompiledSchema,
}

struct RuleBook {
    ours: Vec<Rules>,
    metadata: Schema,
    secret: Schema,
    namespace: Schema,
}

/// Read once; a schema that cannot be read is told with every object, and never passed over.
static RULES: LazyLock<Result<RuleBook, String>> =
    LazyLock::new(|| RuleBook::new().map_err(|error| error.to_string()));

/// What every object has, and what is judged apart or is not for people to write.
const COMMON: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

impl RuleBook {
    fn new() -> Result<Self, serde_json::Error> {
        let mut ours = Vec::new();
        for crd in crate::api::crds() {
            let schema = crd.spec.versions.first().and_then(|version| version.schema.as_ref());
            let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_ref());
            let raw = serde_json::to_value(schema)?;
            let kind = Kind::ALL.iter().map(|kind| kind.name()).find(|k| *k == crd.spec.names.kind);
            ours.push(Rules {
                kind: kind.unwrap_or_default(),
                schema: without_common(serde_json::from_value(raw.clone())?),
                compiled: cel::compile_schema(&raw),
                raw,
            });
        }
        let name = json!({"type": "string", "maxLength": 253, "pattern": OBJECT_NAME});
        let namespace = json!({"type": "string", "maxLength": 63, "pattern": LABEL});
        // Nobody writes it by hand, and its insides have no schema.
        let managed_fields = json!({"x-kubernetes-preserve-unknown-fields": true});
        let metadata = core_schema::<ObjectMeta>()?
            .with("name", serde_json::from_value(name)?)
            .with("namespace", serde_json::from_value(namespace)?)
            .with("managedFields", serde_json::from_value(managed_fields)?);
        Ok(Self {
            ours,
            metadata,
            secret: without_common(core_schema::<Secret>()?),
            namespace: without_common(core_schema::<Namespace>()?),
        })
    }
}

fn without_common(schema: Schema) -> Schema {
    COMMON.iter().fold(schema, |schema, name| schema.without(name))
}

fn core_schema<T: JsonSchema>() -> Result<Schema, serde_json::Error> {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    serde_json::from_value(settings.into_generator().into_root_schema_for::<T>().to_value())
}

/// Judges everything of an object but its metadata.
pub(super) fn check_fields(kind: Kind, node: &Node) -> Vec<Finding> {
    let book = match &*RULES {
        Ok(book) => book,
        Err(error) => return vec![unreadable(node, error)],
    };
    let body = Node {
        place: node.place,
        content: Content::Map(
            node.entries()
                .iter()
                .filter(|entry| !COMMON.contains(&entry.key.as_str()))
                .cloned()
                .collect(),
        ),
    };
    let schema = match kind {
        Kind::Secret => &book.secret,
        Kind::Namespace => &book.namespace,
        _ => match book.ours.iter().find(|rules| rules.kind == kind.name()) {
            Some(rules) => &rules.schema,
            None => return vec![unreadable(node, "it is missing")],
        },
    };
    let mut walk = Walk::default();
    walk.check(schema, &body, "");
    walk.findings
}

/// Judges an object's metadata: all that can be told without the values of its fields.
pub(super) fn check_metadata(entry: &Entry) -> Vec<Finding> {
    let Ok(book) = &*RULES else { return vec![] };
    let mut walk = Walk::default();
    walk.check_entry(&book.metadata, entry, "metadata");
    walk.findings
}

/// Fills in the schema's defaults and judges an object of ours by its CEL rules. `value` must have
/// passed [`check_fields`].
pub(super) fn default_and_check_rules(kind: Kind, value: &mut Value, node: &Node) -> Vec<Finding> {
    let Ok(book) = &*RULES else { return vec![] };
    let Some(rules) = book.ours.iter().find(|rules| rules.kind == kind.name()) else {
        return vec![];
    };
    rules.schema.prune(value);
    *value = cel::apply_defaults(&rules.raw, value);
    let Err(errors) = cel::validate_compiled(&rules.compiled, value, None) else { return vec![] };
    let places = node.places();
    errors
        .into_iter()
        .map(|error| {
            let path = error.field_path.trim_start_matches('.');
            Finding::error(place_in(&places, path), path, error.message)
        })
        .collect()
}

fn unreadable(node: &Node, error: &str) -> Finding {
    Finding::error(node.place, "", format!("the kind's own schema cannot be read: {error}"))
}

/// Keys that are written twice, at any depth. The API server's strict decoding refuses them; to
/// most parsers the last wins, which surprises whoever reads the first.
pub(super) fn duplicates(node: &Node, path: &str) -> Vec<Finding> {
    match &node.content {
        Content::Scalar(_) => vec![],
        Content::List(items) => {
            let items = items.iter().enumerate();
            items.flat_map(|(index, item)| duplicates(item, &element(path, index))).collect()
        }
        Content::Map(entries) => {
            let mut findings = duplicate_keys(node, path);
            for entry in entries {
                findings.extend(duplicates(&entry.value, &member(path, &entry.key)));
            }
            findings
        }
    }
}

/// Keys of a mapping that are written twice.
pub(super) fn duplicate_keys(node: &Node, path: &str) -> Vec<Finding> {
    let mut first = HashMap::new();
    let mut findings = Vec::new();
    for entry in node.entries() {
        if let Some(line) = first.insert(entry.key.as_str(), entry.place.line) {
            let message = format!("the key is there twice, first in line {line}");
            findings.push(Finding::error(entry.place, &member(path, &entry.key), message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_read_whole_and_every_rule_compiles() {
        let book = RULES.as_ref().unwrap();
        assert_eq!(book.ours.len(), 4);
        for rules in &book.ours {
            assert!(Kind::ALL.iter().any(|kind| kind.name() == rules.kind), "{}", rules.kind);
            compiles(&rules.compiled);
        }
    }

    fn compiles(schema: &CompiledSchema) {
        assert!(!schema.has_errors(), "{:?}", schema.compilation_errors());
        schema.properties.values().for_each(compiles);
        schema.items.iter().for_each(|items| compiles(items));
        schema.additional_properties.iter().for_each(|values| compiles(values));
    }
}
