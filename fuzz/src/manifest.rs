//! Manifests in a file: what the API server would refuse is refused, and what is left can be used.

use std::path::PathBuf;
use std::sync::LazyLock;

use tempfile::TempDir;
use tokenward::error::Reason;
use tokenward::manifests::{cross_check, read};

use super::shared;

/// One folder for as long as the process lives; each thread has a file of its own in it.
static FOLDER: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::tempdir().unwrap_or_else(|error| panic!("{error}")));

fn file() -> PathBuf {
    FOLDER.path().join(format!("{:?}.yaml", std::thread::current().id()))
}

/// Reads a file of manifests.
pub fn run(data: &[u8]) {
    let file = file();
    std::fs::write(&file, data).unwrap_or_else(|error| panic!("{error}"));
    let reading = read(&[file]);
    for complaint in reading.complaints.iter().chain(&cross_check(&reading.manifests, "platform")) {
        assert!(!complaint.to_string().is_empty());
    }
    for provider in reading.manifests.providers.values() {
        match shared::compile(&provider.object.spec.document) {
            Ok(endpoint) => {
                let (asking, supplies) = (shared::asking(&endpoint), shared::supplies(&endpoint));
                let _ = endpoint.request(&asking, &supplies, &shared::occasion());
                let _ = endpoint.sign(&asking, (&supplies, &shared::occasion()));
            }
            Err(error) => assert_eq!(error.reason(), Reason::InvalidProvider, "{error}"),
        }
    }
}
