//! Helm, and what it makes of the chart.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;
use serde_yaml::Value;

use crate::harness::kubeconfig;

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A release that is not called as deploy/ and the other tests call theirs.
pub struct Release<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
}

/// The one that deploy/ stands for.
pub const SHIPPED: Release<'_> = Release { name: "tokenward", namespace: "tokenward-system" };

/// An object of the chart: as Helm wrote it, and read.
#[derive(Debug)]
pub struct Object {
    pub text: String,
    pub value: Value,
}

impl Object {
    pub fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap()
    }

    pub fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap()
    }

    pub fn hook(&self) -> Option<&str> {
        self.value["metadata"]["annotations"]["helm.sh/hook"].as_str()
    }

    /// The pod that it is, or makes.
    pub fn pod(&self) -> Option<Value> {
        let mut pod = match self.kind() {
            "Pod" => self.value.clone(),
            "Deployment" | "Job" => {
                let mut pod = self.value["spec"]["template"].clone();
                pod["apiVersion"] = "v1".into();
                pod["kind"] = "Pod".into();
                pod["metadata"]["name"] = self.name().into();
                pod
            }
            _ => return None,
        };
        pod["metadata"]["namespace"] = self.value["metadata"]["namespace"].clone();
        Some(pod)
    }
}

fn binary() -> &'static str {
    static HELM: OnceLock<String> = OnceLock::new();
    HELM.get_or_init(|| {
        let script = Path::new(ROOT).join("hack/helm/helm");
        let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "Helm could not be built");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    })
}

/// Helm, before the cluster under test.
pub fn helm(args: &[&str], values: &str) -> Result<String, String> {
    let mut child = Command::new(binary())
        .args(args)
        .args(["--kubeconfig".as_ref(), kubeconfig().as_os_str()])
        .current_dir(ROOT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It does not read what it was not asked to.
    let _ = child.stdin.take().unwrap().write_all(values.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

/// Everything that the chart makes of these values, hooks and tests among it.
pub fn try_render(release: &Release<'_>, values: &str) -> Result<Vec<Object>, String> {
    let args = ["template", release.name, "charts/tokenward", "-n", release.namespace, "-f", "-"];
    let printed = helm(&args, values)?;
    let mut objects = vec![];
    for text in printed.split("\n---\n") {
        let text = text.trim_start_matches("---\n");
        let value = Value::deserialize(serde_yaml::Deserializer::from_str(text)).unwrap();
        if !value.is_null() {
            objects.push(Object { text: text.to_owned(), value });
        }
    }
    Ok(objects)
}

/// The same, of values that are good.
pub fn render(release: &Release<'_>, values: &str) -> Vec<Object> {
    try_render(release, values).unwrap_or_else(|complaint| panic!("{values}\n{complaint}"))
}

/// The arguments of the operator's container.
pub fn arguments(objects: &[Object]) -> Vec<String> {
    let deployment = objects.iter().find(|object| object.kind() == "Deployment").unwrap();
    let pod = deployment.pod().unwrap();
    let args = pod["spec"]["containers"][0]["args"].as_sequence().unwrap();
    args.iter().map(|arg| arg.as_str().unwrap().to_owned()).collect()
}
