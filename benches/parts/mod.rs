//! What is measured in process, shared by the benchmarks.

#![allow(dead_code, reason = "several binaries share it, and not all of them use all of it")]

pub mod cluster;
#[path = "../../tests/load/figures.rs"]
pub mod figures;
pub mod rounds;
pub mod subjects;
pub mod token;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use figures::{Figure, Notebook};

/// Where builds and figures go.
pub fn target() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Notes a figure that does not depend on how many tokens there are.
pub fn note(name: &str, value: f64, unit: &str) {
    let folder = target().join("bench");
    fs::create_dir_all(&folder).unwrap();
    let (name, unit) = (name.to_owned(), unit.to_owned());
    let figure = Figure { name, tokens: None, value, unit, ceiling: None };
    Notebook::at(&folder.join("figures.jsonl")).note(&figure).unwrap();
}
