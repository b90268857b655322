//! The image as it is built without Docker: the same bytes each time, and nothing in it that the
//! program does not need.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The fields of a blob's descriptor lead to the blob.
fn blob(layout: &Path, descriptor: &Value) -> PathBuf {
    let digest = descriptor["digest"].as_str().unwrap();
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Builds it in a shell with this umask; answers with what the script says.
fn build(umask: &str, file: &Path, program: &Path) -> String {
    let script =
        format!("umask {umask} && exec hack/image/build example.com/tokenward:test \"$@\"");
    run(Command::new("bash")
        .args(["-c", &script, "build"])
        .args([file, program])
        .env("SOURCE_DATE_EPOCH", "1700000000"))
}

#[test]
fn the_image_is_the_same_each_time_and_holds_what_the_program_needs() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    // Debug information would be most of it.
    let program = folder.path().join("tokenward");
    run(Command::new("strip").arg("-o").arg(&program).arg(env!("CARGO_BIN_EXE_tokenward")));
    let said = build("022", &one, &program);
    run(Command::new("touch").arg(&program));
    assert_eq!(said, build("077", &two, &program));
    assert!(said.starts_with("example.com/tokenward:test@sha256:"), "{said}");
    assert!(std::fs::read(&one).unwrap() == std::fs::read(&two).unwrap(), "the archives differ");

    let layout = folder.path().join("layout");
    std::fs::create_dir(&layout).unwrap();
    run(Command::new("tar").arg("-xf").arg(&one).arg("-C").arg(&layout));
    let index = json(&layout.join("index.json"));
    let entry = &index["manifests"][0];
    assert_eq!(said.trim().split_once('@').unwrap().1, entry["digest"]);
    let manifest = json(&blob(&layout, entry));
    let config = json(&blob(&layout, &manifest["config"]));
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/tokenward"]));
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
    assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);

    let layer = blob(&layout, &manifest["layers"][0]);
    let listed = run(Command::new("tar").arg("-tvf").arg(&layer).arg("--numeric-owner"));
    let files: BTreeSet<_> = listed
        .lines()
        .filter(|line| !line.starts_with('d'))
        .map(|line| line.rsplit_once(" ./").unwrap().1.to_owned())
        .collect();
    for line in listed.lines() {
        assert!(line.contains(" 0/0 "), "root's: {line}");
        assert_eq!(line.as_bytes()[8], b'-', "written by nobody else: {line}");
        assert_eq!(line.as_bytes()[7], b'r', "read by everybody: {line}");
    }
    let mut wanted: BTreeSet<_> = [
        "etc/group",
        "etc/nsswitch.conf",
        "etc/passwd",
        "etc/ssl/certs/ca-certificates.crt",
        "tokenward",
    ]
    .map(str::to_owned)
    .into();
    let libraries = run(Command::new("ldd").arg(&program));
    wanted.extend(
        libraries.split_whitespace().filter_map(|word| word.strip_prefix('/')).map(str::to_owned),
    );
    assert!(wanted.len() > 7, "the C library and its loader: {libraries}");
    assert_eq!(files, wanted);
}

#[test]
fn what_cannot_be_an_image_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("tokenwrd");
    let output = Command::new("hack/image/build")
        .arg("example.com/tokenward:test")
        .args([&folder.path().join("out"), &missing])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("tokenwrd is no program; build it first"), "{said}");
    assert!(!folder.path().join("out").exists());
}
