//! What `tokenward check` says of a manifest, the API server says too.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::{World, try_kubectl};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5);
    files
}

/// The API server's word on a manifest.
fn apply(world: &World, file: &std::path::Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).unwrap();
    // The data names the default namespace or none; this test has one of its own.
    let text = text.replace("namespace: default", &format!("namespace: {}", world.namespace));
    try_kubectl(
        &["-n", &world.namespace, "apply", "--dry-run=server", "--validate=strict", "-f", "-"],
        &text,
    )
}

#[tokio::test]
async fn the_api_server_refuses_what_check_refuses() {
    let world = World::new("invalid").await;
    let mut differences = Vec::new();
    for file in files("invalid") {
        let text = std::fs::read_to_string(&file).unwrap();
        let says = text.lines().next().unwrap().strip_prefix("# says: ").unwrap().to_owned();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        match apply(&world, &file) {
            Ok(_) => differences.push(format!("{name}: the API server takes it")),
            Err(complaint) if !complaint.contains(&says) => {
                differences.push(format!("{name}: {says:?} is not in: {complaint}"));
            }
            Err(_) => {}
        }
        let check = Command::new(env!("CARGO_BIN_EXE_tokenward")).arg("check").arg(&file).output().unwrap();
        let complaint = String::from_utf8_lossy(&check.stderr).into_owned();
        if check.status.code() != Some(2) || !complaint.contains(&says) {
            differences.push(format!("{name}: check says {complaint}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test]
async fn the_api_server_takes_what_check_takes() {
    let world = World::new("valid").await;
    for file in files("valid") {
        apply(&world, &file).unwrap_or_else(|complaint| panic!("{}: {complaint}", file.display()));
        let check = Command::new(env!("CARGO_BIN_EXE_tokenward")).arg("check").arg(&file).output().unwrap();
        assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stderr));
    }
}
