//! Those whom the recipes are for, as far as they can be had here: promtool, and others' CRDs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::harness::{PATIENCE, kubectl, try_kubectl};

/// Where a script under `hack` has put what it brings; it does so the first time.
fn brought(script: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("hack").join(script);
    let output = Command::new(&script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{} failed", script.display());
    String::from_utf8(output.stdout).unwrap().trim_end().into()
}

/// Prometheus' own reader of configurations.
pub fn promtool() -> Command {
    Command::new(brought("prometheus/promtool"))
}

/// Makes the API server know the consumers' resources, and refuse what their schemas do not have.
pub async fn install_crds() {
    let folder = brought("consumer-crds");
    let folder = folder.to_str().unwrap();
    let apply = ["apply", "--server-side", "--force-conflicts", "-o", "name", "-f", folder];
    let crds = kubectl(&apply, "");
    kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "-f", folder], "");
    // Discovery, by which kubectl finds them, tells of them a moment later.
    let told = async {
        for crd in crds.lines() {
            let resource = crd.split_once('/').unwrap().1;
            while try_kubectl(&["get", resource, "--all-namespaces"], "").is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap();
}
