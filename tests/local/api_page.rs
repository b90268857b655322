//! `docs/api.md` says what the CRDs hold.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::catalogue_page::flat;
use crate::generated::is_current;

const HEAD: &str = "\
# API reference

Every field of the four kinds, as [the CRDs](../crds/tokenward.yaml) have it: `kubectl explain` says the
same on a cluster. A path ends in `[]` for the items of a list, and has `*` for the names of a map. Where
two kinds have a field in common it is told once. Fields that the CRD does not know are dropped by the API
server, which warns of them; `tokenward check` refuses them. `make docs` writes this page.

";

/// A property: its path, and its schema.
type Field<'a> = (String, &'a Value, bool);

fn schemas() -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/tokenward.yaml");
    let text = fs::read_to_string(file).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text);
    documents.map(|crd| serde::Deserialize::deserialize(crd).unwrap()).collect()
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut told = BTreeMap::new();
    for crd in schemas() {
        kind(&mut page, &crd["spec"], &mut told);
    }
    page
}

/// One kind. `told` holds the subtrees of kinds before, with the kind.
fn kind(page: &mut String, spec: &Value, told: &mut BTreeMap<String, (String, Value)>) {
    let names = &spec["names"];
    let name = names["kind"].as_str().unwrap();
    let version = &spec["versions"][0];
    let schema = &version["schema"]["openAPIV3Schema"];
    let short = names["shortNames"][0].as_str().unwrap();
    let scope = spec["scope"].as_str().unwrap();
    let group = spec["group"].as_str().unwrap();
    let served = version["name"].as_str().unwrap();
    let what = flat(schema["description"].as_str().unwrap());
    writeln!(page, "## {name}\n").unwrap();
    writeln!(page, "`{group}/{served}`, {scope}, short `{short}`. {what}").unwrap();
    for rule in rules(schema) {
        writeln!(page, "\nRefused: {rule}.").unwrap();
    }
    if let Some(fields) = version["selectableFields"].as_array() {
        let paths: Vec<String> = fields
            .iter()
            .map(|field| format!("`{}`", &field["jsonPath"].as_str().unwrap()[1..]))
            .collect();
        writeln!(page, "\nField selectors: {}.", paths.join(", ")).unwrap();
    }
    for part in ["spec", "status"] {
        let schema = &schema["properties"][part];
        writeln!(page, "\n### {name} {part}\n").unwrap();
        for rule in rules(schema) {
            writeln!(page, "Refused: {rule}.\n").unwrap();
        }
        page.push_str("| field | type | |\n|---|---|---|\n");
        rows(page, &children(part, schema), (name, told));
    }
    page.push('\n');
}

fn rows(
    page: &mut String,
    fields: &[Field<'_>],
    (kind, told): (&str, &mut BTreeMap<String, (String, Value)>),
) {
    for (path, schema, required) in fields {
        let below = children(path, schema);
        if let Some((other, same)) = told.get(path)
            && !below.is_empty()
            && same == *schema
        {
            let part = path.split('.').next().unwrap();
            let link = format!("[{other} {part}](#{}-{part})", other.to_lowercase());
            let what = told_of(schema, *required);
            writeln!(page, "| `{path}` | {} | {what} Fields as in {link} |", type_of(schema))
                .unwrap();
            continue;
        }
        writeln!(page, "| `{path}` | {} | {} |", type_of(schema), told_of(schema, *required))
            .unwrap();
        told.entry(path.clone()).or_insert_with(|| (kind.to_owned(), (*schema).clone()));
        rows(page, &below, (kind, &mut *told));
    }
}

/// The properties below, in their order; those of items and of a map's values as well.
fn children<'a>(path: &str, schema: &'a Value) -> Vec<Field<'a>> {
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name))
    };
    if let Some(properties) = schema["properties"].as_object() {
        return properties
            .iter()
            .map(|(name, schema)| (format!("{path}.{name}"), schema, required(name)))
            .collect();
    }
    match (&schema["items"], &schema["additionalProperties"]) {
        (Value::Object(_), _) => children(&format!("{path}[]"), &schema["items"]),
        (_, Value::Object(_)) => children(&format!("{path}.*"), &schema["additionalProperties"]),
        _ => vec![],
    }
}

fn type_of(schema: &Value) -> String {
    let of = |schema: &Value| match type_of(schema).as_str() {
        "object" => "objects".to_owned(),
        other => format!("{other}s"),
    };
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", of(&schema["items"])),
        Some("object") if schema["additionalProperties"].is_object() => {
            format!("map of {}", of(&schema["additionalProperties"]))
        }
        Some(simple) => match schema["format"].as_str() {
            Some("date-time") => "time".to_owned(),
            _ => simple.to_owned(),
        },
        None => "any value".to_owned(),
    }
}

/// What it means, and what may stand there.
fn told_of(schema: &Value, required: bool) -> String {
    let mut told = Vec::new();
    if let Some(description) = schema["description"].as_str() {
        let description = flat(description);
        told.push(format!("{}.", description.trim_end_matches('.')));
    }
    if required {
        told.push("Required.".to_owned());
    }
    if !schema["default"].is_null() {
        told.push(format!("By default `{}`.", words(&schema["default"])));
    }
    told.extend(constraints(schema));
    for (what, inner) in [("Each", &schema["items"]), ("Each", &schema["additionalProperties"])] {
        if inner["properties"].is_null() {
            let inner = constraints(inner);
            told.extend(inner.iter().map(|text| format!("{what}: {}", lowered(text))));
        }
    }
    told.join(" ")
}

fn constraints(schema: &Value) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().map(|v| format!("`{}`", words(v))).collect();
        told.push(format!("One of {}.", values.join(", ")));
    }
    for (least, most, what) in [
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items"),
        ("minProperties", "maxProperties", " entries"),
        ("minimum", "maximum", ""),
    ] {
        let bound = |key: &str| schema[key].as_f64().map(|bound| bound.to_string());
        match (bound(least), bound(most)) {
            (Some(least), Some(most)) => told.push(format!("{least} to {most}{what}.")),
            (Some(least), None) => told.push(format!("{least}{what} at least.")),
            (None, Some(most)) => told.push(format!("{most}{what} at most.")),
            (None, None) => {}
        }
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        told.push(format!("Matches `{}`.", pattern.replace('|', "\\|")));
    }
    told.extend(rules(schema).into_iter().map(|rule| format!("Refused otherwise: {rule}.")));
    told
}

/// What the validation rules say when they refuse.
fn rules(schema: &Value) -> Vec<String> {
    let rules = schema["x-kubernetes-validations"].as_array();
    let message = |rule: &Value| flat(rule["message"].as_str().unwrap());
    rules.into_iter().flatten().map(message).collect()
}

fn words(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn lowered(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_lowercase().chain(characters).collect())
        .unwrap_or_default()
}

#[test]
fn the_api_page_is_current() {
    is_current("docs/api.md", &page());
}

#[test]
fn every_field_is_described() {
    fn walk(path: &str, schema: &Value, missing: &mut Vec<String>) {
        for (path, schema, _) in children(path, schema) {
            if schema["description"].is_null() {
                missing.push(path.clone());
            }
            walk(&path, schema, missing);
        }
    }
    let mut missing = Vec::new();
    for crd in schemas() {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for part in ["spec", "status"] {
            walk(&format!("{kind} {part}"), &schema["properties"][part], &mut missing);
        }
    }
    assert!(missing.is_empty(), "no description: {missing:#?}");
}

/// What a namespaced object refers to lies in its own namespace: there is no field to say otherwise.
#[test]
fn no_reference_of_a_namespaced_kind_names_a_namespace() {
    fn walk(path: &str, schema: &Value, found: &mut Vec<String>) {
        for (path, schema, _) in children(path, schema) {
            let name = path.rsplit('.').next().unwrap().to_lowercase();
            if name.contains("namespace") {
                found.push(path.clone());
            }
            walk(&path, schema, found);
        }
    }
    let mut kinds = 0;
    for crd in schemas() {
        if crd["spec"]["scope"] != "Namespaced" {
            continue;
        }
        kinds += 1;
        let mut found = Vec::new();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        walk("spec", &schema["properties"]["spec"], &mut found);
        assert!(found.is_empty(), "{found:?}");
    }
    assert_eq!(kinds, 2);
}
