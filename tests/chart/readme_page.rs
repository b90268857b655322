//! The chart's README lists every value, from values.yaml and its comments.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::generated::part_is_current;
use crate::helm::ROOT;

const START: &str = "<!-- values: make docs -->\n";
const END: &str = "<!-- end of the values -->\n";

/// A value of the chart's, or the head of those that follow.
enum Entry {
    Section(String),
    Value { path: String, about: String },
}

/// What stands in values.yaml, in its order: each key that is written there, with the comment above.
fn entries(text: &str) -> Vec<Entry> {
    let (mut entries, mut about, mut parents) = (vec![], String::new(), Vec::<&str>::new());
    for line in text.lines() {
        let depth = (line.len() - line.trim_start().len()) / 2;
        let line = line.trim_start();
        match (line.strip_prefix("# -- "), line.strip_prefix("# "), line.split_once(':')) {
            (Some(title), ..) => entries.push(Entry::Section(title.to_owned())),
            (_, Some(comment), _) => {
                about.extend([if about.is_empty() { "" } else { " " }, comment]);
            }
            (None, None, Some((key, _))) => {
                parents.truncate(depth);
                parents.push(key);
                let about = std::mem::take(&mut about);
                entries.push(Entry::Value { path: parents.join("."), about });
            }
            // What stands alone is about no value.
            _ => about.clear(),
        }
    }
    entries
}

fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

/// Whether the chart knows this value and looks at no part of it on its own.
fn is_whole(schema: &Value, path: &str) -> bool {
    let path = path.replace('.', ".properties.");
    at(&schema["properties"], &path).is_some_and(|schema| schema.get("properties").is_none())
}

fn table() -> String {
    let read = |file: &str| {
        fs::read_to_string(Path::new(ROOT).join("charts/tokenward").join(file)).unwrap()
    };
    let text = read("values.yaml");
    let values: Value = serde_yaml::from_str(&text).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let mut table = String::new();
    for entry in entries(&text) {
        match entry {
            Entry::Section(title) => {
                write!(table, "\n### {title}\n\n| value | default | |\n|---|---|---|\n").unwrap();
            }
            Entry::Value { path, about } if is_whole(&schema, &path) => {
                assert!(!about.is_empty(), "values.yaml says nothing about {path}");
                let default = at(&values, &path).unwrap();
                writeln!(table, "| `{path}` | `{default}` | {about} |").unwrap();
            }
            Entry::Value { .. } => {}
        }
    }
    table
}

#[test]
fn chart_page_is_current() {
    part_is_current("charts/tokenward/README.md", (START, END), &format!("{}\n", table()));
}
