//! What `tokenward check` says of a manifest, the API server says too.

use std::path::PathBuf;
use std::process::Command;

use crate::harness::World;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5);
    files
}

/// The API server's word on a manifest, sent as it is: kubectl would mend some of it on the way.
async fn post(world: &World, text: &str) -> Result<String, String> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().to_owned()
    };
    let (group, kind) = (field("apiVersion:"), field("kind:").to_lowercase());
    let root = if group == "v1" { "/api/v1".to_owned() } else { format!("/apis/{group}") };
    let place = match kind.as_str() {
        "clusteroauthprovider" | "clusteroauthclienttoken" | "namespace" => String::new(),
        _ => "/namespaces/default".to_owned(),
    };
    let uri = format!("{root}{place}/{kind}s?dryRun=All&fieldValidation=Strict");
    let request = http::Request::post(uri)
        .header("content-type", "application/yaml")
        .body(text.as_bytes().to_vec())
        .unwrap();
    world.client.request_text(request).await.map_err(|error| match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    })
}

#[tokio::test]
async fn the_api_server_refuses_what_check_refuses() {
    let world = World::new("invalid").await;
    let mut differences = Vec::new();
    for file in files("invalid") {
        let text = std::fs::read_to_string(&file).unwrap();
        let says = text.lines().next().unwrap().strip_prefix("# says: ").unwrap().to_owned();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        match post(&world, &text).await {
            Ok(_) => differences.push(format!("{name}: the API server takes it")),
            Err(complaint) if !complaint.contains(&says) => {
                differences.push(format!("{name}: {says:?} is not in: {complaint}"));
            }
            Err(_) => {}
        }
        let check =
            Command::new(env!("CARGO_BIN_EXE_tokenward")).arg("check").arg(&file).output().unwrap();
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
        let text = std::fs::read_to_string(&file).unwrap();
        for text in text.split("\n---\n") {
            let verdict = post(&world, text).await;
            // That a name is taken is no matter of validity.
            let taken = matches!(&verdict, Err(complaint) if complaint.ends_with("already exists"));
            assert!(verdict.is_ok() || taken, "{}: {verdict:?}", file.display());
        }
    }
}
