//! What the docs show works: every YAML block is valid, every command is one that a test runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A fenced block: where it is, what its fence says, and its text.
pub struct Block {
    place: String,
    pub info: String,
    pub text: String,
}

/// Every page: those of the root and of the book.
pub fn documents() -> Vec<PathBuf> {
    let mut documents = vec![];
    let mut folders = vec![PathBuf::from(ROOT)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.starts_with(Path::new(ROOT).join("docs")) {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                documents.push(path);
            }
        }
    }
    documents.sort();
    documents
}

/// The fenced blocks of every page.
pub fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(info), None) => {
                    let place = format!("{}:{}", document.display(), number + 1);
                    open = Some(Block { place, info: info.to_owned(), text: String::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.text.extend([line, "\n"]),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", document.display());
    }
    blocks
}

#[test]
fn every_yaml_block_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for block in blocks().iter().filter(|block| block.info.starts_with("yaml")) {
        // Values of the chart are its schema's matter.
        if block.info == "yaml values" {
            continue;
        }
        let file = folder.path().join("block.yaml");
        fs::write(&file, &block.text).unwrap();
        let output =
            Command::new(env!("CARGO_BIN_EXE_tokenward")).arg("check").arg(&file).output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{}: {complaints}", block.place);
        checked += 1;
    }
    assert!(checked >= 2);
}

/// Blocks marked `quickstart` and `terminal` are typed by the test of the README on a cluster, those
/// marked `helm` and `cluster` by the test of the book; a plain one may hold make targets only, which
/// `make test` runs or the reader sees listed.
#[test]
fn every_command_is_one_that_is_run() {
    let makefile = fs::read_to_string(Path::new(ROOT).join("Makefile")).unwrap();
    for block in blocks().iter().filter(|block| block.info.starts_with("sh")) {
        let readme = block.place.contains("README.md");
        match block.info.as_str() {
            "sh quickstart" | "sh terminal" | "sh helm" if readme => continue,
            "sh cluster" if !readme => continue,
            _ => {}
        }
        for line in block.text.lines() {
            let target =
                line.strip_prefix("make ").unwrap_or_else(|| panic!("{}: {line}", block.place));
            assert!(makefile.contains(&format!("\n{target}: ")), "{}: {line}", block.place);
        }
    }
}

/// Commands and flags that the text names exist.
#[test]
fn every_make_target_in_the_text_exists() {
    let makefile = fs::read_to_string(Path::new(ROOT).join("Makefile")).unwrap();
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for (at, found) in text.match_indices("`make ") {
            let typed = text[at + found.len()..].split('`').next().unwrap();
            // Variables may follow.
            let target = typed.split(' ').next().unwrap();
            assert!(
                makefile.contains(&format!("\n{target}: ")),
                "{}: make {target}",
                document.display()
            );
        }
    }
}

#[test]
fn every_preset_has_an_example() {
    for preset in tokenward::catalogue::entries().keys() {
        let file = Path::new(ROOT).join("examples/providers").join(format!("{preset}.yaml"));
        let text =
            fs::read_to_string(&file).unwrap_or_else(|_| panic!("{} is missing", file.display()));
        assert!(text.contains(&format!("preset: {preset}\n")), "{}", file.display());
    }
}

#[test]
fn the_example_of_a_cluster_token_fits_together() {
    let folder = Path::new(ROOT).join("examples/fan-out");
    let output =
        Command::new(env!("CARGO_BIN_EXE_tokenward")).arg("check").arg(&folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.contains("warning:")), (Some(0), false), "{said}");
}
