//! The control plane under test.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::OnceCell;

/// The administrator's kubeconfig.
pub fn kubeconfig() -> PathBuf {
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cluster/kubeconfig");
    match std::env::var_os("TOKENWARD_TEST_KUBECONFIG") {
        Some(path) => path.into(),
        None if local.exists() => local,
        None => panic!("no control plane: run `make cluster`, or set TOKENWARD_TEST_KUBECONFIG"),
    }
}

/// Runs kubectl as administrator; panics with its complaint where it fails.
pub fn kubectl(args: &[&str], input: &str) -> String {
    match try_kubectl(args, input) {
        Ok(output) => output,
        Err(complaint) => panic!("kubectl {}: {complaint}", args.join(" ")),
    }
}

/// Runs kubectl as administrator.
pub fn try_kubectl(args: &[&str], input: &str) -> Result<String, String> {
    let own = kubeconfig().with_file_name("bin").join("kubectl");
    let program = if own.exists() { own } else { "kubectl".into() };
    let mut child = Command::new(program)
        .arg("--kubeconfig")
        .arg(kubeconfig())
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).map_err(|error| error.to_string())?;
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

/// An administrator's client.
pub async fn admin() -> Client {
    // TLS wants its provider once a process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = Kubeconfig::read_from(kubeconfig()).unwrap();
    let mut config =
        Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
    config.read_timeout = Some(Duration::from_mins(5));
    Client::try_from(config).unwrap()
}

static INSTALLED: OnceCell<()> = OnceCell::const_new();

/// Installs the CRDs and the operator's ServiceAccount and RBAC, once.
pub async fn install() {
    INSTALLED
        .get_or_init(|| async {
            let root = env!("CARGO_MANIFEST_DIR");
            let apply = ["apply", "--server-side", "--force-conflicts", "-f"];
            for file in [
                "crds/tokenward.yaml",
                "deploy/rbac.yaml",
                "deploy/secrets-policy.yaml",
                "deploy/workloads-policy.yaml",
            ] {
                kubectl(&[&apply[..], &[&format!("{root}/{file}")]].concat(), "");
            }
            // Whoever tried the docs out on this cluster may have given more than the base rules.
            let further = ["tokenward-revocation", "tokenward-workloads"];
            let delete = ["delete", "clusterrolebinding", "--ignore-not-found"];
            kubectl(&[&delete[..], &further[..]].concat(), "");
            let crds = [
                "oauthclienttokens",
                "oauthproviders",
                "clusteroauthproviders",
                "clusteroauthclienttokens",
            ];
            let crds: Vec<String> =
                crds.iter().map(|crd| format!("crd/{crd}.tokenward.dev")).collect();
            let mut wait = vec!["wait", "--for=condition=Established", "--timeout=60s"];
            wait.extend(crds.iter().map(String::as_str));
            kubectl(&wait, "");
        })
        .await;
}

/// A kubeconfig of a ServiceAccount, for a process of its own.
pub fn service_account_kubeconfig(namespace: &str, name: &str, folder: &Path) -> PathBuf {
    // That of a new namespace is made a moment after it.
    let account = format!("serviceaccount/{name}");
    kubectl(&["-n", namespace, "wait", "--for=create", &account, "--timeout=60s"], "");
    let token = kubectl(&["-n", namespace, "create", "token", name, "--duration=2h"], "");
    let mut config = Kubeconfig::read_from(kubeconfig()).unwrap();
    for user in &mut config.auth_infos {
        user.auth_info = Some(kube::config::AuthInfo {
            token: Some(token.trim().to_owned().into()),
            ..kube::config::AuthInfo::default()
        });
    }
    for context in &mut config.contexts {
        if let Some(context) = &mut context.context {
            context.namespace = Some(namespace.to_owned());
        }
    }
    let path = folder.join("kubeconfig");
    std::fs::write(&path, serde_json::to_vec(&config).unwrap()).unwrap();
    path
}
