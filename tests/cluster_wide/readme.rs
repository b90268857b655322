//! The README, typed from top to bottom as a newcomer would.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};

use crate::harness::{kubeconfig, kubectl, try_kubectl};
use crate::typed::{self, ROOT, fenced, typed};

/// The README's fenced blocks with this info string.
fn blocks(info: &str) -> Vec<String> {
    let fenced = fenced(&Path::new(ROOT).join("README.md")).into_iter();
    fenced.filter(|(found, _)| found == info).map(|(_, text)| text).collect()
}

/// A manifest of a page, with the simulator in the place of its provider and its client's.
pub fn with_simulator(manifest: &str, endpoint: &str) -> String {
    manifest.replace("https://login.example.com/oauth/token", endpoint).replace(
        "{client_id: shop, client_secret: s3cr3t}",
        &format!("{{client_id: {CLIENT_ID:?}, client_secret: {CLIENT_SECRET:?}}}"),
    )
}

fn bash(script: &str) -> Command {
    let tools = kubeconfig().with_file_name("bin");
    let own = Path::new(env!("CARGO_BIN_EXE_tokenward")).parent().unwrap();
    let mut command = typed::bash(script, &[&tools, own]);
    command.env("KUBECONFIG", kubeconfig());
    command
}

/// What runs in a terminal of its own; ended with it, children and all.
struct Terminal(Child);

impl Terminal {
    fn open(script: &str) -> Self {
        use std::os::unix::process::CommandExt;
        // The cluster under test may be another one than the README's own.
        let script = script.replace("KUBECONFIG=target/cluster/kubeconfig ", "");
        let mut command = bash(&script);
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Self(command.spawn().unwrap())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-TERM", "--", &group]).status();
        let _ = self.0.wait();
    }
}

/// Deletes what the README, or the book, made, even where the test fails.
pub struct Cleanup;

impl Cleanup {
    /// A namespace of an earlier run may still be going.
    pub fn first() -> Self {
        let delete = ["delete", "namespace", "web", "--ignore-not-found", "--timeout=120s"];
        let _ = try_kubectl(&delete, "");
        Self
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let _ =
            try_kubectl(&["delete", "namespace", "web", "--wait=false", "--ignore-not-found"], "");
        let _ = try_kubectl(&["delete", "clusteroauthprovider", "login", "--ignore-not-found"], "");
    }
}

/// Types these commands, and tells what they printed.
pub fn run(script: &str) -> String {
    typed(&mut bash(script))
}

#[tokio::test]
async fn every_command_of_the_readme_works() {
    let _alone = crate::ONE_AT_A_TIME.lock().await;
    crate::harness::World::new("readme").await;
    let _cleanup = Cleanup::first();
    let quickstart = blocks("sh quickstart");
    let [install, four] = quickstart.as_slice() else { panic!("two quickstart blocks") };
    // The control plane is up already, whichever it is.
    let install: String =
        install.lines().filter(|l| l.starts_with("kubectl")).collect::<Vec<_>>().join("\n");
    run(&install);
    // The terminals shall start what they name, not build it while others wait: so it is built as
    // they do, for with all of the workspace the same crates have other features.
    for script in blocks("sh terminal") {
        let (_, wanted) = script.split_once("cargo run --bin ").expect("a terminal runs a binary");
        let bin = wanted.split_whitespace().next().unwrap();
        run(&format!("cargo build --quiet --bin {bin}"));
    }
    let _terminals: Vec<Terminal> =
        blocks("sh terminal").iter().map(|script| Terminal::open(script)).collect();
    let printed = run(four);
    assert_eq!(printed.matches(" True ").count(), 4, "{printed}");
    assert!(printed.contains("tokenward.dev/expires-at"), "{printed}");

    // "Your own token", with the simulator in the place of login.example.com.
    for block in blocks("yaml") {
        let block = with_simulator(&block, "http://127.0.0.1:8085/oauth2/token");
        kubectl(&["apply", "-f", "-"], &block);
    }
    run("kubectl -n web wait --for=condition=Ready oct/shop --timeout=60s");
    let issued = "kubectl -n web get oct shop -o jsonpath='{.status.token.issuedAt}'";
    let before = run(issued);

    // The table of everyday commands.
    let text = std::fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let commands =
        text.split('`').filter(|span| span.starts_with("kubectl ") && !span.contains('\n'));
    let commands: Vec<&str> = commands.collect();
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        run(command);
    }
    run(
        "kubectl -n web wait --for=jsonpath='{.status.conditions[?(@.type==\"Fresh\")].reason}'=Suspended oct/shop --timeout=60s",
    );
    assert!(run(issued) >= before);
}
