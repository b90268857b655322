//! New tokens, until all are Ready.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use tokio::time::sleep;

use crate::audit::{Request, kinds};
use crate::field::{Field, QUIET, is_ready, namespace};
use crate::spread::{Spread, milliseconds, seconds};
use crate::stage::{Actor, Stage};

/// How often the audit log is read.
const LOOK: Duration = Duration::from_millis(100);
/// Longer than a machine takes that can do it at all.
const PATIENCE: Duration = Duration::from_mins(10);
/// With fewer, all are Ready before another one could come.
const MANY: u32 = 1000;
/// What is Ready in hundredths when another token comes.
const INTERRUPTED_AT: [usize; 3] = [20, 45, 70];

/// Creates the tokens, starts an operator, and waits until all are Ready. The rate stands beside what
/// a bare client reaches.
pub async fn run(stage: &Stage, field: &Field, ceiling: f64) -> Actor {
    let began = Instant::now();
    field.create(stage.tokens).await;
    println!("{} tokens were created in {:.1} s", stage.tokens, began.elapsed().as_secs_f64());
    let mut actor = stage.start();
    let filled = actor.until_filled().await;
    let (cpu, server_cpu) = (actor.process.cpu(), stage.api_server.cpu());
    let Outcome { last, newcomers } = until_ready(stage, field, &mut actor).await;
    let cpu = actor.process.cpu() - cpu;
    let server_cpu = stage.api_server.cpu() - server_cpu;
    let took = seconds(last - filled);
    let tokens = f64::from(stage.tokens);
    let requests = kinds(actor.audit.between(filled, last));
    stage.note("cold-start/seconds", (took, "s"));
    stage.note_beside("cold-start/rate", (tokens / took, "/s"), ceiling);
    stage.note("cold-start/share-of-ceiling", (tokens / took / ceiling * 100.0, "%"));
    stage.note("cold-start/cpu-per-token", (cpu / tokens, "ms"));
    stage.note("cold-start/server-cpu-per-token", (server_cpu / tokens, "ms"));
    stage.note_requests("cold-start/api-requests-per-token", &requests, tokens);
    if stage.tokens >= MANY {
        let of = |at: usize| Spread::of(newcomers.iter().map(|pair| pair[at])).at(50.0);
        stage.note("cold-start/fresh-token-elsewhere", (of(0), "ms"));
        stage.note("cold-start/fresh-token-among-them", (of(1), "ms"));
    }
    assert!(field.ready().await >= stage.tokens as usize, "all are Ready");
    let memory = actor.process.memory();
    stage.note("cold-start/resident", (memory.resident, "MiB"));
    stage.note("cold-start/peak", (memory.peak, "MiB"));
    actor
}

/// The same, as a beginning of something else.
pub async fn run_unnoted(stage: &Stage, field: &Field) -> Actor {
    field.create(stage.tokens).await;
    let mut actor = stage.start();
    actor.until_filled().await;
    until_ready(stage, field, &mut actor).await;
    actor
}

/// What came of a cold start.
struct Outcome {
    /// When the last of the tokens was Ready.
    last: DateTime<Utc>,
    /// How many milliseconds others took that came meanwhile, in a namespace of few and in one of
    /// many.
    newcomers: Vec<[f64; 2]>,
}

/// Waits until all tokens are Ready. Meanwhile others come.
async fn until_ready(stage: &Stage, field: &Field, actor: &mut Actor) -> Outcome {
    let all = stage.tokens as usize;
    let deadline = Instant::now() + PATIENCE;
    let (mut progress, mut newcomers) = (Progress::default(), Vec::new());
    loop {
        actor.audit.read();
        progress.take(&actor.audit.requests);
        let ready = progress.ready.len();
        if ready >= all {
            return Outcome { last: *progress.ready.values().max().unwrap(), newcomers };
        }
        assert!(Instant::now() < deadline, "{ready} of {all} tokens were Ready after {PATIENCE:?}");
        let turn = newcomers.len();
        let next = INTERRUPTED_AT.get(turn).filter(|_| stage.tokens >= MANY);
        if next.is_some_and(|percent| ready * 100 >= all * percent) {
            let elsewhere = newcomer(field, QUIET, turn).await;
            newcomers.push([elsewhere, newcomer(field, &namespace(0), turn).await]);
        }
        sleep(LOOK).await;
    }
}

/// Creates one more token: milliseconds until a watch sees it Ready.
async fn newcomer(field: &Field, namespace: &str, turn: usize) -> f64 {
    let name = format!("newcomer-{turn}");
    let mut states = pin!(watch_object(field.tokens_in(namespace), &name).default_backoff());
    // It is not there yet, and the watch is.
    states.next().await.unwrap().unwrap();
    let began = Utc::now();
    field.create_one(namespace, &name).await;
    while let Some(state) = states.next().await {
        if state.unwrap().as_ref().is_some_and(is_ready) {
            break;
        }
    }
    milliseconds(Utc::now() - began)
}

/// What became of the tokens, as far as requests were looked at.
#[derive(Default)]
struct Progress {
    seen: usize,
    written: HashSet<String>,
    /// When each was Ready: when its status was written after its target.
    ready: HashMap<String, DateTime<Utc>>,
}

impl Progress {
    fn take(&mut self, requests: &[Request]) {
        let new = &requests[self.seen..];
        self.seen = requests.len();
        for request in new.iter().filter(|request| request.name.starts_with("t-")) {
            if request.writes_target() {
                self.written.insert(request.name.clone());
            } else if request.writes_status() && self.written.contains(&request.name) {
                self.ready.entry(request.name.clone()).or_insert(request.answered);
            }
        }
    }
}
