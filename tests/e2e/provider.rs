//! The provider simulator, as a pod, and its control API through a port-forward.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::cluster::{Cluster, PATIENCE, until};

pub const NAMESPACE: &str = "e2e-provider";
const PORT: u16 = 8085;

pub struct Provider {
    forward: Option<Forward>,
    lifetime: u32,
    /// What it has recorded, as far as it was asked.
    log: Vec<Value>,
    /// Where pods reach it.
    pub address: String,
}

/// A use of a token, as the simulator saw it.
#[derive(Debug, Clone)]
pub struct Use {
    pub time: DateTime<Utc>,
    pub workload: String,
    /// The token, by its serial; `None` for one that was never given out.
    pub token: Option<u64>,
    /// Why it was refused.
    pub refusal: Option<String>,
    pub valid: bool,
}

impl Provider {
    /// Starts it anew: it knows nothing of an earlier run.
    pub fn start(cluster: &Cluster, lifetime: u32) -> Self {
        let image = &cluster.settings.simulator;
        cluster.apply(&format!(
            "
apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: simulator, namespace: {NAMESPACE}}}
spec:
  automountServiceAccountToken: false
  securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
  containers:
    - name: simulator
      image: {image}
      imagePullPolicy: Never
      args: [--listen=0.0.0.0:{PORT}, --beyond-loopback, --lifetime=oauth2={lifetime}]
      securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
      readinessProbe: {{httpGet: {{path: /_simulator/healthz, port: {PORT}}}, periodSeconds: 1}}
"
        ));
        let address = until("the simulator runs", PATIENCE, || {
            let pod = cluster.get(&["pod", "simulator", "-n", NAMESPACE])?;
            let ready = pod["status"]["containerStatuses"][0]["ready"] == true;
            ready.then(|| pod["status"]["podIP"].as_str().map(str::to_owned))?
        });
        Self { forward: None, lifetime, log: Vec::new(), address: format!("{address}:{PORT}") }
    }

    /// Lets a client ask for tokens.
    pub fn admit(&mut self, cluster: &Cluster, id: &str, secret: &str) {
        let client = json!({"id": id, "secret": secret}).to_string();
        self.ask(cluster, "POST", ("credentials/oauth2", &client));
    }

    /// No request for a token gets an answer any more: connections end.
    pub fn stop_answering(&mut self, cluster: &Cluster) {
        let behaviour = json!({"lifetime": self.lifetime, "faults": [{"fault": "drop"}]});
        self.ask(cluster, "PUT", ("behaviour/oauth2", &behaviour.to_string()));
    }

    pub fn answer_again(&mut self, cluster: &Cluster) {
        let behaviour = json!({"lifetime": self.lifetime});
        self.ask(cluster, "PUT", ("behaviour/oauth2", &behaviour.to_string()));
    }

    /// How many requests for a token have come to nothing since then. Whose it was does not matter: a
    /// provider that is down is asked for one token only.
    pub fn failures(&mut self, cluster: &Cluster, since: DateTime<Utc>) -> usize {
        self.read_log(cluster);
        let of = |entry: &&Value| entry["system"] == "oauth2" && entry["outcome"] != "issued";
        self.log.iter().filter(of).filter(|entry| time(entry) >= since).count()
    }

    /// All uses since the start.
    pub fn uses(&mut self, cluster: &Cluster) -> Vec<Use> {
        self.read_log(cluster);
        self.known_uses()
    }

    /// Those that it has told already.
    pub fn known_uses(&self) -> Vec<Use> {
        self.log.iter().filter(|entry| entry["endpoint"] == "resource").map(usage).collect()
    }

    /// Waits until a workload uses a token in a way that is wanted.
    pub fn await_use(
        &mut self,
        cluster: &Cluster,
        workload: &str,
        wanted: impl Fn(&Use) -> bool,
    ) -> Use {
        let patience = Duration::from_secs(self.lifetime.into()) + PATIENCE;
        until(&format!("{workload} uses its token"), patience, || {
            let uses = self.uses(cluster);
            uses.into_iter().find(|used| used.workload == workload && wanted(used))
        })
    }

    fn read_log(&mut self, cluster: &Cluster) {
        let last = self.log.last().and_then(|entry| entry["seq"].as_u64()).unwrap_or_default();
        let answer = self.ask(cluster, "GET", (&format!("requests?after={last}"), ""));
        let newer: Vec<Value> = serde_json::from_str(&answer).unwrap();
        self.log.extend(newer);
    }

    /// A port-forward ends with the API server: then there is another one.
    fn ask(&mut self, cluster: &Cluster, method: &str, (path, body): (&str, &str)) -> String {
        until("the simulator answers", PATIENCE, || {
            let forward = match self.forward.take() {
                Some(forward) => forward,
                None => Forward::start(cluster)?,
            };
            let (status, answer) = exchange(forward.port, method, (path, body)).ok()?;
            assert!(status.starts_with('2'), "{method} {path}: {status} {answer}");
            self.forward = Some(forward);
            Some(answer)
        })
    }
}

fn time(entry: &Value) -> DateTime<Utc> {
    entry["time"].as_str().unwrap().parse().unwrap()
}

fn usage(entry: &Value) -> Use {
    let headers = entry["headers"].as_array().unwrap();
    let agent = headers.iter().find(|header| header[0] == "user-agent");
    Use {
        time: time(entry),
        workload: agent.and_then(|agent| agent[1].as_str()).unwrap_or_default().to_owned(),
        token: entry["judged"]["used"].as_u64(),
        refusal: entry["refusal"].as_str().map(str::to_owned),
        valid: entry["outcome"] == "admitted",
    }
}

struct Forward {
    child: Child,
    port: u16,
}

impl Forward {
    fn start(cluster: &Cluster) -> Option<Self> {
        let mut child = Command::new(&cluster.settings.kubectl)
            .args(["port-forward", "-n", NAMESPACE, "pod/simulator", &format!(":{PORT}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        // Before anything can fail: dropped, it ends the process.
        let mut forward = Self { child, port: 0 };
        // Forwarding from 127.0.0.1:40123 -> 8085
        let port = first.split(" -> ").next()?.rsplit(':').next()?;
        forward.port = port.parse().ok()?;
        // It says so of each connection, and must not be left waiting for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Some(forward)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status and the body of an answer of the control API.
fn exchange(
    port: u16,
    method: &str,
    (path, body): (&str, &str),
) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let length = body.len();
    write!(
        stream,
        "{method} /_simulator/{path} HTTP/1.1\r\nhost: simulator\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let broken = || std::io::Error::other("no whole answer");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.split(' ').nth(1).ok_or_else(broken)?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    match length {
        Some(length) if length.parse() != Ok(body.len()) => Err(broken()),
        _ => Ok((status.to_owned(), body.to_owned())),
    }
}
