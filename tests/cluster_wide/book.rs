//! The book, typed: its commands work, its manifests are taken, its values suit the chart.
//!
//! There is no node here, so no pod runs: the operator is a process, beside what Helm has installed.
//! Where there is one, tests/e2e/newcomer.rs types the first page as it stands.
//! What is for good (definitions, the operator's namespace) is tried without being done.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use provider_simulator::System;

use crate::harness::{LOOPBACK, World, kubectl, try_kubectl};
use crate::readme::{Cleanup, run, with_simulator};
use crate::typed::{ROOT, fenced};

/// The release, beside what the other tests have installed.
const RELEASE: &str = "book";

/// Every page of the book.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages.extend(self::pages(&path));
        } else if path.extension().is_some_and(|ending| ending == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    pages
}

fn docs() -> PathBuf {
    Path::new(ROOT).join("docs")
}

fn helm() -> PathBuf {
    let output = Command::new(Path::new(ROOT).join("hack/helm/helm")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

/// A release of its own in a namespace of its own, without the definitions, which are there.
fn aside(script: &str, namespace: &str) -> String {
    let helm = format!("{} ", helm().display());
    let names = [
        ("helm install tokenward", format!("helm install {RELEASE} --set crds.enabled=false")),
        ("helm upgrade tokenward", format!("helm upgrade {RELEASE}")),
        // Nor its hooks.
        ("helm uninstall tokenward", format!("helm uninstall {RELEASE} --no-hooks")),
        // No pod runs.
        ("rollout status", "get".to_owned()),
        (" --timeout=3m", String::new()),
        ("deployment/tokenward", format!("deployment/{RELEASE}-tokenward")),
        ("--create-namespace", String::new()),
        ("kubectl delete", "kubectl delete --dry-run=server".to_owned()),
        ("namespace tokenward-system", format!("namespace {namespace}")),
        ("-n tokenward-system", format!("-n {namespace}")),
    ];
    let script = names.iter().fold(script.to_owned(), |text, (old, new)| text.replace(old, new));
    script.replace("helm ", &helm)
}

// Whoever types blocks a thread, and the simulator answers meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_book_works() {
    let _alone = crate::ONE_AT_A_TIME.lock().await;
    let world = World::new("book").await;
    let _cleanup = Cleanup::first();
    let _workloads = Undo(&["delete", "--ignore-not-found", "-f", "deploy/rbac-workloads.yaml"]);
    // What a release leaves outside its namespace where a test ended before it was uninstalled.
    let label = format!("app.kubernetes.io/instance={RELEASE}");
    let kinds = "clusterroles,clusterrolebindings,validatingadmissionpolicies,\
                 validatingadmissionpolicybindings";
    let _ = try_kubectl(&["delete", kinds, "-l", &label], "");
    let _operator = world.bare_operator(&LOOPBACK);
    let endpoint = world.sim.endpoint(System::Oauth2);

    let first = docs().join("getting-started.md");
    for (info, text) in fenced(&first) {
        match info.as_str() {
            "yaml" => drop(kubectl(&["apply", "-f", "-"], &with_simulator(&text, &endpoint))),
            "sh cluster" => drop(run(&aside(&text, &world.namespace))),
            other => panic!("{other} has no meaning here"),
        }
    }
    let secret = run("kubectl -n web get secret shop-token -o yaml");
    assert!(secret.contains("tokenward.dev/expires-at"), "{secret}");
    run(&aside("helm uninstall tokenward --namespace tokenward-system", &world.namespace));

    let mut typed = 0;
    for page in pages(&docs()).into_iter().filter(|page| *page != first) {
        for (_, text) in fenced(&page).into_iter().filter(|(info, _)| info == "sh cluster") {
            typed += 1;
            let text = match page.ends_with("operations/install.md") {
                true => aside(&text, &world.namespace),
                false => text,
            };
            run(&text);
        }
    }
    assert!(typed >= 10, "{typed}");
}

/// What a test did to the cluster, taken back.
struct Undo(&'static [&'static str]);

impl Drop for Undo {
    fn drop(&mut self) {
        let _ = try_kubectl(self.0, "");
    }
}

#[tokio::test]
async fn the_api_server_takes_the_manifests_of_operations() {
    let _alone = crate::ONE_AT_A_TIME.lock().await;
    World::new("book").await;
    let _cleanup = Cleanup::first();
    kubectl(&["create", "namespace", "web"], "");
    let mut taken = 0;
    for page in pages(&docs().join("operations")) {
        for (_, text) in fenced(&page).into_iter().filter(|(info, _)| info == "yaml") {
            kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", "-"], &text);
            taken += 1;
        }
    }
    assert!(taken >= 5, "{taken}");
}

#[test]
fn the_readme_installs_as_the_book_does() {
    let blocks = |page: PathBuf, info: &str| -> Vec<String> {
        let fenced = fenced(&page).into_iter().filter(|(found, _)| found == info);
        fenced.map(|(_, text)| text).collect()
    };
    let readme = blocks(Path::new(ROOT).join("README.md"), "sh helm");
    assert_eq!(readme.len(), 1);
    assert_eq!(readme[0], blocks(docs().join("getting-started.md"), "sh cluster")[0]);
}

#[test]
fn the_chart_takes_the_values() {
    let helm = helm();
    let mut taken = 0;
    for page in pages(&docs()) {
        for (_, text) in fenced(&page).into_iter().filter(|(info, _)| info == "yaml values") {
            let mut command = Command::new(&helm);
            command.args(["template", "tokenward", "charts/tokenward", "--values", "-"]);
            command.current_dir(ROOT).stdin(Stdio::piped()).stdout(Stdio::null());
            let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}\n{text}\n{said}", page.display());
            taken += 1;
        }
    }
    assert!(taken >= 3, "{taken}");
}
