//! kubectl and Helm, as a user has them.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::settings::Settings;

/// Where the release is.
pub const SYSTEM: &str = "tokenward-system";
/// How long is waited for what must happen at once. It bounds a hang, it is no measurement.
pub const PATIENCE: Duration = Duration::from_mins(3);

pub struct Cluster {
    pub settings: Settings,
}

impl Cluster {
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        said(Command::new(&self.settings.kubectl).arg("--request-timeout=20s").args(arguments))
    }

    pub fn helm(&self, arguments: &[&str]) -> String {
        let said = said(Command::new(&self.settings.helm).args(["-n", SYSTEM]).args(arguments));
        said.unwrap_or_else(|error| panic!("helm {arguments:?}: {error}\n{}", self.scene()))
    }

    /// What a person would look at next.
    fn scene(&self) -> String {
        let look = |arguments: &[&str]| self.kubectl(arguments).unwrap_or_else(|error| error);
        let ours = "--selector=app.kubernetes.io/instance=tokenward";
        [
            look(&["get", "pods", "-A", "-o", "wide"]),
            look(&["get", "events", "-n", SYSTEM, "--sort-by=.lastTimestamp"]),
            look(&["logs", "-n", SYSTEM, ours, "--prefix", "--tail=30"]),
        ]
        .join("\n")
    }

    /// What is there, unless it is not or nobody answers.
    pub fn get(&self, arguments: &[&str]) -> Option<Value> {
        let all: Vec<_> = ["get", "-o", "json"].iter().chain(arguments).copied().collect();
        serde_json::from_str(&self.kubectl(&all).ok()?).ok()
    }

    pub fn apply(&self, manifests: &str) {
        let applied = until("kubectl apply works", PATIENCE, || {
            let mut child = Command::new(&self.settings.kubectl)
                .args(["apply", "--server-side", "--force-conflicts", "-f", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(manifests.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            match output.status.success() {
                true => Some(Ok(())),
                // A new CRD or a new namespace is not known to everybody at once.
                false if complaint.contains("invalid") => Some(Err(complaint)),
                false => None,
            }
        });
        applied.unwrap();
    }

    /// Deletes, and waits until it is gone; what is not there is gone.
    pub fn delete(&self, arguments: &[&str]) {
        let all: Vec<_> =
            ["delete", "--ignore-not-found", "--wait"].iter().chain(arguments).copied().collect();
        until(&format!("{all:?}"), PATIENCE, || self.kubectl(&all).ok());
    }

    /// Takes away what an earlier run made: the release, the definitions, these namespaces.
    pub fn clear(&self, namespaces: &[&str]) {
        if self.get(&["namespace", SYSTEM]).is_some() {
            self.helm(&["uninstall", "tokenward", "--ignore-not-found", "--wait", "--timeout=3m"]);
        }
        self.delete(&["crd", "--selector=app.kubernetes.io/name=tokenward"]);
        self.delete(&[&["namespace"], namespaces].concat());
    }

    /// Who leads: the name of the pod, a slash, and what tells its processes apart.
    pub fn leader(&self) -> Option<String> {
        let lease = self.get(&["lease", "tokenward", "-n", SYSTEM])?;
        let holder = lease["spec"]["holderIdentity"].as_str()?;
        (!holder.is_empty()).then(|| holder.to_owned())
    }

    /// The images of the operator's pods.
    pub fn images(&self) -> Vec<String> {
        let pods = self.get(&["pods", "-n", SYSTEM, "-l", "app.kubernetes.io/name=tokenward"]);
        let pods = pods.unwrap_or_default();
        let image = |pod: &Value| pod["spec"]["containers"][0]["image"].as_str().map(str::to_owned);
        pods["items"].as_array().into_iter().flatten().filter_map(image).collect()
    }
}

pub fn said(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// Looks until there is something to see.
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "waited {patience:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(500));
    }
}
