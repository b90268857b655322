//! The control plane, an operator on it, and what is noted of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use kube::Client;
use tempfile::TempDir;

use crate::audit::Audit;
use crate::figures::{Figure, Notebook};
use crate::harness::{
    ADMIN, OPERATOR_NAMESPACE, Operator, Proxy, admin, install, kubeconfig,
    service_account_kubeconfig,
};
use crate::process::Process;

/// The simulators listen on loopback.
const LOOPBACK: [&str; 2] = ["--egress-allow-cidr", "127.0.0.0/8"];

/// Where everything happens.
pub struct Stage {
    /// An administrator.
    pub client: Client,
    /// The API server.
    pub api_server: Process,
    /// How many tokens there are to be.
    pub tokens: u32,
    notebook: Notebook,
    folder: TempDir,
}

/// An operator that was started.
pub struct Actor {
    /// Its process and log.
    pub operator: Operator,
    /// Its process.
    pub process: Process,
    /// When it was started.
    pub started: DateTime<Utc>,
    /// What it asks of the API server.
    pub audit: Audit,
    /// How long the log was before.
    mark: usize,
}

impl Stage {
    /// On the control plane that the environment names, or that of this checkout.
    pub async fn new(tokens: u32, notebook: Notebook) -> Self {
        install().await;
        let api_server = Process::in_file(&state("run/kube-apiserver.pid"));
        let folder = tempfile::tempdir().unwrap();
        service_account_kubeconfig(OPERATOR_NAMESPACE, "tokenward", folder.path());
        Self { client: admin().await, api_server, tokens, notebook, folder }
    }

    /// Starts the operator under its own ServiceAccount.
    pub fn start(&self) -> Actor {
        self.start_with(&[])
    }

    /// The same with these arguments as well.
    pub fn start_with(&self, more: &[&str]) -> Actor {
        self.start_by(&self.folder.path().join("kubeconfig"), more)
    }

    /// The same behind something that counts bytes.
    pub async fn start_counted(&self) -> (Actor, Proxy) {
        let own = self.folder.path().join("kubeconfig");
        let behind = self.folder.path().join("behind");
        std::fs::create_dir_all(&behind).unwrap();
        let proxy = Proxy::to_api_server(&own).await;
        let actor = self.start_by(&proxy.kubeconfig(&own, &behind), &[]);
        (actor, proxy)
    }

    fn start_by(&self, kubeconfig: &Path, more: &[&str]) -> Actor {
        let log = self.folder.path().join("log");
        let mark = std::fs::metadata(&log).map_or(0, |file| file.len());
        let audit = Audit::follow(&state("logs/audit.log"));
        let args: Vec<String> =
            [&LOOPBACK[..], &ADMIN, more].concat().iter().map(|arg| (*arg).to_owned()).collect();
        let started = Utc::now();
        let operator = Operator::start(kubeconfig, log, &args);
        let process = Process::of(operator.pid());
        Actor { operator, process, started, audit, mark: usize::try_from(mark).unwrap() }
    }

    /// Notes what was measured at this number of tokens.
    pub fn note(&self, name: &str, (value, unit): (f64, &str)) {
        self.write(&Figure {
            name: name.to_owned(),
            tokens: Some(self.tokens),
            value,
            unit: unit.to_owned(),
            ceiling: None,
        });
    }

    /// The same, beside what the machine can do.
    pub fn note_beside(&self, name: &str, (value, unit): (f64, &str), ceiling: f64) {
        self.write(&Figure {
            name: name.to_owned(),
            tokens: Some(self.tokens),
            value,
            unit: unit.to_owned(),
            ceiling: Some(ceiling),
        });
    }

    /// Notes how many requests there were in all and of each kind, for each of so many.
    pub fn note_requests(&self, name: &str, kinds: &BTreeMap<String, u32>, each: f64) {
        self.note(name, (f64::from(kinds.values().sum::<u32>()) / each, ""));
        for (kind, requests) in kinds {
            self.note(&format!("{name}/{kind}"), (f64::from(*requests) / each, ""));
        }
    }

    /// Notes what does not depend on a number of tokens.
    pub fn note_of_machine(&self, name: &str, (value, unit): (f64, &str)) {
        self.write(&Figure {
            name: name.to_owned(),
            tokens: None,
            value,
            unit: unit.to_owned(),
            ceiling: None,
        });
    }

    fn write(&self, figure: &Figure) {
        let Figure { name, tokens, value, unit, ceiling } = figure;
        let tokens = tokens.map_or_else(String::new, |tokens| tokens.to_string());
        let beside = ceiling.map_or_else(String::new, |most| format!("  of {most:.1}"));
        println!("{tokens:>6}  {name:<44}{value:>12.2} {unit}{beside}");
        self.notebook.note(figure).unwrap();
    }
}

impl Actor {
    /// Waits until its caches are filled, and tells when that was.
    pub async fn until_filled(&self) -> DateTime<Utc> {
        const FILLED: &str = "caches are filled";
        self.operator.wait_for_log_after(self.mark, FILLED).await;
        let log = self.operator.log();
        let said = log[self.mark..].lines().find(|line| line.contains(FILLED)).unwrap();
        said.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// The sum of all series of a metric whose labels hold this.
    pub fn metric(&self, name: &str, labels: &str) -> f64 {
        sum(&self.operator.admin("/metrics").1, name, labels)
    }
}

/// The sum of all series of a metric whose labels hold this.
pub fn sum(metrics: &str, name: &str, labels: &str) -> f64 {
    let series = metrics.lines().filter_map(|line| line.strip_prefix(name));
    let series = series.filter(|rest| rest.starts_with(['{', ' ']) && rest.contains(labels));
    series.filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// A file of the control plane's state.
fn state(file: &str) -> PathBuf {
    kubeconfig().with_file_name(file)
}
