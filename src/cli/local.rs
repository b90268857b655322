//! `tokenward local`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::{Failure, block_on, print};
use crate::local::{LocalSettings, Runner, Source};
use crate::manifests::{Complaint, Severity, fingerprint, read_outside};
use crate::runtime::{init_telemetry, stop_signal};
use crate::settings::{CommonArgs, LocalArgs, PLATFORM_NAMESPACE};

/// How often the manifests are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What is said of cluster tokens.
const NO_FAN_OUT: &str = "is for a cluster, whose namespaces come and go: write an OAuthClientToken \
                          for each namespace, or leave it out of these manifests";

/// Where manifests are, and where they are not.
#[derive(Clone)]
struct Inputs {
    paths: Vec<PathBuf>,
    out: Vec<PathBuf>,
    /// The fingerprint of what was read, or of what is about to be.
    known: u64,
}

pub(super) fn run(common: &CommonArgs, args: &LocalArgs) -> Result<(), Failure> {
    let collector = args.trace.collector().map_err(Failure::Usage)?;
    let _traces = init_telemetry(&common.logs(), collector.as_ref()).map_err(Failure::Usage)?;
    let inputs = Inputs::new(args);
    let source = inputs.read().map_err(|complaints| Failure::Usage(listed(&complaints)))?;
    let settings = LocalSettings { out: args.out.clone(), transport: common.transport() };
    block_on(async {
        let stopping = stop_signal().map_err(|error| Failure::Failed(error.to_string()))?;
        let runner = Runner::open(settings, source, stopping).map_err(Failure::Failed)?;
        let runner = Arc::new(runner);
        if args.once { once(runner).await } else { keep(runner, inputs).await }
    })
}

/// Fetches what is due and says how each token stands.
async fn once(runner: Arc<Runner>) -> Result<(), Failure> {
    let mut bad = Vec::new();
    for verdict in runner.once().await {
        match (verdict.ready, verdict.trouble) {
            (true, None) => print(&format!("{}: good\n", verdict.token))?,
            (true, Some(trouble)) => {
                print(&format!("{}: good still, but {trouble}\n", verdict.token))?;
            }
            (false, trouble) => {
                let trouble = trouble.unwrap_or_else(|| "not ready".to_owned());
                bad.push(format!("{}: {trouble}", verdict.token));
            }
        }
    }
    match bad.is_empty() {
        true => Ok(()),
        false => Err(Failure::Failed(bad.join("\ntokenward: "))),
    }
}

/// Keeps tokens fresh and reads manifests again when they change.
async fn keep(runner: Arc<Runner>, mut inputs: Inputs) -> Result<(), Failure> {
    let (changes, sources) = mpsc::channel(1);
    let looking = tokio::spawn(async move {
        let mut last = inputs.known;
        loop {
            tokio::time::sleep(LOOK).await;
            let now = inputs.fingerprint();
            // What is still being written is left alone until it stands.
            let stands = std::mem::replace(&mut last, now) == now;
            if now == inputs.known || !stands {
                continue;
            }
            inputs.known = now;
            match inputs.read() {
                Ok(source) => {
                    info!("the manifests changed");
                    if changes.send(source).await.is_err() {
                        return;
                    }
                }
                Err(complaints) => {
                    error!(
                        "the manifests changed and are wrong; the former ones stay:\n{}",
                        listed(&complaints)
                    );
                }
            }
        }
    });
    runner.keep(sources).await;
    looking.abort();
    Ok(())
}

impl Inputs {
    fn new(args: &LocalArgs) -> Self {
        let mut inputs = Self { paths: args.paths.clone(), out: vec![args.out.clone()], known: 0 };
        inputs.known = inputs.fingerprint();
        inputs
    }

    /// Everything that the manifests say, if nothing in them is wrong.
    fn read(&self) -> Result<Source, Vec<Complaint>> {
        let reading = read_outside(&self.paths, &self.out);
        let (errors, warnings): (Vec<_>, Vec<_>) = reading
            .complaints
            .into_iter()
            .partition(|complaint| complaint.severity == Severity::Error);
        for warning in warnings {
            warn!("{warning}");
        }
        let cluster_tokens = reading.manifests.cluster_tokens.values();
        let refused = cluster_tokens.map(|token| token.complain(Severity::Error, "", NO_FAN_OUT));
        let errors: Vec<_> = errors.into_iter().chain(refused).collect();
        if errors.is_empty() {
            Ok(Source::new(reading.manifests, PLATFORM_NAMESPACE))
        } else {
            Err(errors)
        }
    }

    fn fingerprint(&self) -> u64 {
        fingerprint(&self.paths, &self.out)
    }
}

fn listed(complaints: &[Complaint]) -> String {
    let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    lines.join("\ntokenward: ")
}
