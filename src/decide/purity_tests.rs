//! That decisions are pure is not left to trust: what the files of this folder name is read.

use std::path::Path;

use rstest::rstest;

/// What paths may begin with.
const KNOWN: &[&str] = &[
    "std::collections::",
    "std::fmt::",
    "std::iter::",
    "std::sync::Arc",
    "chrono::",
    "serde::",
    "crate::api",
    "crate::error",
    "super::",
    // Imported from one of the above.
    "keys::",
    "conditions::",
    "clippy::",
    // Of the language itself.
    "str::",
    "f64::",
    "u32::",
    "u64::",
    "i64::",
];

/// What may not be said at all.
const NEVER: &[&str] = &[
    "now()",
    "Utc::now",
    "Local",
    "Instant",
    "SystemTime",
    "async ",
    ".await",
    "tokio",
    "kube",
    "reqwest",
    "tracing",
    "println!",
    "thread",
    "static mut",
    "unsafe",
    "include",
    "extern",
];

/// The code of a file without comments, texts and tests.
fn code(source: &str) -> String {
    let before_tests = ["#[cfg(test)]\nmod tests", "#[cfg(test)]\n#[path"]
        .iter()
        .filter_map(|mark| source.find(mark))
        .min();
    let lines = source[..before_tests.unwrap_or(source.len())].lines();
    let without_comments = lines.map(|line| line.split("//").next().unwrap_or_default());
    // Every second part lies between quotes.
    without_comments.flat_map(|line| line.split('"').step_by(2).chain(["\n"])).collect()
}

/// What a file says that it may not. `root` is the folder's `mod.rs`, which names its files.
fn faults(source: &str, root: &str) -> Vec<String> {
    let code = code(source);
    let paths = code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    let strange = |path: &&str| {
        let foreign = path.starts_with(char::is_lowercase) && path.contains("::");
        let first = path.split("::").next().unwrap_or_default();
        let sibling = root.lines().any(|line| line == format!("mod {first};"));
        foreign && !sibling && !KNOWN.iter().any(|known| path.starts_with(known))
    };
    // `use name;` and `use name as other;` bring in what the rule above does not see.
    let bare = code.lines().filter_map(|line| line.trim().strip_prefix("use "));
    let bare = bare.filter(|used| !used.contains("::"));
    let never = NEVER.iter().copied().filter(|word| code.contains(word));
    paths.filter(strange).chain(bare).chain(never).map(str::to_owned).collect()
}

#[test]
fn decide_is_pure() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/decide");
    let root = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
    let mut read = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let for_tests =
            name.ends_with("_tests") || root.contains(&format!("#[cfg(test)]\nmod {name};"));
        if !for_tests {
            read += 1;
            let source = std::fs::read_to_string(&path).unwrap();
            assert_eq!(faults(&source, &root), [""; 0], "{}", path.display());
        }
    }
    assert!(read >= 9, "only {read} files were read");
}

#[rstest]
#[case("use std::fs;")]
#[case("use std::{fs, fmt};")]
#[case("use crate::{api, act};")]
#[case("use crate::clock::Clock;")]
#[case("use kube as k;")]
#[case("use reqwest;")]
#[case("fn f() -> u8 { std::env::args().count() as u8 }")]
#[case("let now = chrono::Utc::now();")]
#[case("use std::time::Instant;")]
#[case("async fn f() {}")]
#[case("use rand::random;")]
#[case("use super::x; use serde_json::json;")]
fn what_is_not_pure_is_found(#[case] line: &str) {
    assert_ne!(faults(line, "mod schedule;"), [""; 0], "{line}");
}

#[rstest]
#[case("// use std::fs;")]
#[case("let text = \"std::fs::read\";")]
#[case("use chrono::{DateTime, Utc};")]
#[case("#[cfg(test)]\nmod tests { use std::fs; }")]
fn what_is_pure_is_not(#[case] line: &str) {
    assert_eq!(faults(line, "mod schedule;"), [""; 0], "{line}");
}
