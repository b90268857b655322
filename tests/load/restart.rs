//! A restart with tokens that are good.

use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use tokio::time::sleep;

use crate::audit::kinds;
use crate::field::{Field, QUIET, is_ready};
use crate::spread::{float, milliseconds};
use crate::stage::{Actor, Stage};

/// Until a process has come to rest.
const REST: Duration = Duration::from_secs(2);

/// Starts an operator anew and waits until every token is scheduled; what is noted begins with
/// `name`.
pub async fn run(stage: &Stage, field: &Field, name: &str) -> Actor {
    observe(stage, field, (stage.start(), name)).await
}

/// The same with streamed lists, and ends it.
pub async fn run_streamed(stage: &Stage, field: &Field) {
    let actor = stage.start_with(&["--lists", "Streamed"]);
    observe(stage, field, (actor, "restart-streamed")).await.operator.terminate().await;
}

async fn observe(stage: &Stage, field: &Field, (mut actor, name): (Actor, &str)) -> Actor {
    let filled = actor.until_filled().await;
    let witness = format!("witness-{}", actor.started.timestamp());
    let scheduled = scheduled(field, &witness).await;
    sleep(REST).await;
    actor.audit.read();
    let since_start = |time: DateTime<Utc>| (milliseconds(time - actor.started), "ms");
    let mut watches = actor.audit.requests.iter().filter(|request| request.verb == "watch");
    let note = |what: &str, figure| stage.note(&format!("{name}/{what}"), figure);
    note("first-watch", since_start(watches.next().unwrap().received));
    note("filled", since_start(filled));
    note("scheduled", since_start(scheduled));
    let asked = field.requests();
    let asked = asked.iter().filter(|(name, request)| {
        (actor.started..scheduled).contains(&request.time) && *name != witness
    });
    note("token-requests", (float(asked.count()), ""));
    let requests = kinds(actor.audit.between(actor.started, scheduled));
    stage.note_requests(&format!("{name}/api-requests"), &requests, 1.0);
    let memory = actor.process.memory();
    note("resident", (memory.resident, "MiB"));
    note("anonymous", (memory.anonymous, "MiB"));
    note("peak", (memory.peak, "MiB"));
    // After what it would cost: ten thousand series are some memory.
    let ready = actor.metric("tokenward_tokens", "reason=\"");
    assert!(ready >= f64::from(stage.tokens), "{ready} tokens are known");
    note("resident-when-scraped", (actor.process.memory().resident, "MiB"));
    actor
}

/// When all that was there before was decided: tokens are taken up in the order in which they come,
/// so that one that comes now is asked for after that.
async fn scheduled(field: &Field, witness: &str) -> DateTime<Utc> {
    field.create_one(QUIET, witness).await;
    let mut states = pin!(watch_object(field.tokens_in(QUIET), witness).default_backoff());
    while let Some(state) = states.next().await {
        if state.unwrap().as_ref().is_some_and(is_ready) {
            break;
        }
    }
    let requests = field.requests();
    requests.iter().find(|(name, _)| name == witness).unwrap().1.time
}
