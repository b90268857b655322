//! What a page shows, and how it is typed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The fenced blocks of a page, in their order: info string and text.
pub fn fenced(page: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(page).unwrap();
    let block = |fenced: &str| fenced.split_once('\n').map(|(i, t)| (i.to_owned(), t.to_owned()));
    text.split("```").skip(1).step_by(2).filter_map(block).collect()
}

/// A shell in the checkout that finds its programs in these folders first.
pub fn bash(script: &str, folders: &[&Path]) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = folders.iter().map(|folder| PathBuf::from(*folder));
    let path = std::env::join_paths(own.chain(std::env::split_paths(&path))).unwrap();
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", script]).current_dir(ROOT).env("PATH", path);
    command
}

/// Runs it to its end, and tells what it printed.
pub fn typed(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, complaint) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{said}{complaint}");
    said
}
