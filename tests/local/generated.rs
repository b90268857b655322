//! Files that are made from the code and committed: `make docs`, `make deploy`.

#![allow(dead_code, reason = "several binaries share it, and not all of them use all of it")]

use std::fs;
use std::path::Path;

/// Holds a file against what it is made from; with `TOKENWARD_BLESS` it is written anew first.
pub fn is_current(file: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("TOKENWARD_BLESS").is_some() {
        fs::write(&path, made).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == made, "{file} is stale: `make docs deploy` writes it anew");
}

/// The same of what stands between two marks of a file.
pub fn part_is_current(file: &str, (start, end): (&str, &str), made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let there = fs::read_to_string(&path).unwrap();
    let (before, rest) = there.split_once(start).expect("the first mark is there");
    let (_, after) = rest.split_once(end).expect("the second mark is there");
    is_current(file, &format!("{before}{start}{made}{end}{after}"));
}
