//! Refreshes as they fall due.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokenward::api::annotations::{EXPIRES_AT, REFRESH_AT, parse_time};
use tokenward::api::{MANAGED_BY, MANAGER};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::audit::kinds;
use crate::field::Field;
use crate::pace::Pace;
use crate::spread::{Spread, float, milliseconds, seconds};
use crate::stage::{Actor, Stage};

/// The least and the longest that is looked at, in seconds.
const WINDOW: (f64, f64) = (30.0, 90.0);
/// What a refresh may be early by: clocks are read one after the other.
const EARLY: TimeDelta = TimeDelta::seconds(2);

/// Restarts the operator, waits until refreshes are evenly spread after that cold start, and looks at
/// them.
pub async fn run(
    stage: &Stage,
    field: &Field,
    (pace, cold_start): (Pace, Range<DateTime<Utc>>),
) -> Actor {
    let mut actor = crate::restart::run(stage, field, "restart").await;
    let first = TimeDelta::from_std(Duration::from_secs_f64(pace.first)).unwrap();
    if Utc::now() > cold_start.start + first {
        println!("the cold start and the restart took too long: some tokens were due before");
    }
    let dues = Dues::watch(stage.client.clone());
    let spread = cold_start.end + first - Utc::now();
    sleep(spread.to_std().unwrap_or_default()).await;
    let window = Duration::from_secs_f64(pace.interval.clamp(WINDOW.0, WINDOW.1));
    let seen = Seen::during(stage, &mut actor, window).await;
    seen.note_costs(stage, &actor);
    note_lateness(stage, (field, &actor), (&seen, &dues));
    let memory = actor.process.memory();
    stage.note("steady/resident", (memory.resident, "MiB"));
    stage.note("steady/anonymous", (memory.anonymous, "MiB"));
    stage.note("steady/peak", (memory.peak, "MiB"));
    stage.note("steady/expired", (actor.metric("tokenward_token_expired_seconds_total", ""), "s"));
    actor
}

/// What was used in a stretch of time.
struct Seen {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// Milliseconds of the operator and of the API server.
    cpu: f64,
    server_cpu: f64,
    /// API requests by the operator's own count.
    told: f64,
}

impl Seen {
    async fn during(stage: &Stage, actor: &mut Actor, window: Duration) -> Self {
        let requests = |actor: &Actor| actor.metric("tokenward_api_requests_total", "");
        let told = requests(actor);
        let (from, cpu, server_cpu) = (Utc::now(), actor.process.cpu(), stage.api_server.cpu());
        sleep(window).await;
        let (to, cpu) = (Utc::now(), actor.process.cpu() - cpu);
        let server_cpu = stage.api_server.cpu() - server_cpu;
        let told = requests(actor) - told;
        actor.audit.read();
        Self { from, to, cpu, server_cpu, told }
    }

    /// How many milliseconds the API server itself took to read Secrets, or to write them.
    fn answers(&self, actor: &Actor, verb: &str) -> Spread {
        let asked = actor.audit.between(self.from, self.to);
        let asked = asked.filter(|request| request.resource == "secrets" && request.verb == verb);
        Spread::of(asked.map(|request| milliseconds(request.answered - request.received)))
    }

    fn note_costs(&self, stage: &Stage, actor: &Actor) {
        let written = actor.audit.between(self.from, self.to).filter(|r| r.writes_target());
        let refreshes = float(written.count());
        let each = |cpu: f64| (cpu / refreshes, "ms");
        stage.note("steady/rate", (refreshes / seconds(self.to - self.from), "/s"));
        stage.note("steady/cpu-per-refresh", each(self.cpu));
        stage.note("steady/server-cpu-per-refresh", each(self.server_cpu));
        let requests = kinds(actor.audit.between(self.from, self.to));
        stage.note_requests("steady/api-requests-per-refresh", &requests, refreshes);
        stage.note("steady/api-requests-per-refresh-told", (self.told / refreshes, ""));
    }
}

/// How late requests came, and targets were written.
fn note_lateness(stage: &Stage, (field, actor): (&Field, &Actor), (seen, dues): (&Seen, &Dues)) {
    let window = seen.from..seen.to;
    let requests = field.requests();
    let asked = requests.iter().filter(|(_, request)| window.contains(&request.time));
    let asked =
        asked.filter_map(|(name, request)| Some((dues.before(name, request.time)?, request.time)));
    let asked = Spread::of(asked.map(|((due, _), at)| milliseconds(at - due)));
    let written = actor.audit.between(seen.from, seen.to).filter(|request| request.writes_target());
    let written: Vec<_> = written
        .filter_map(|request| {
            Some((dues.before(&request.name, request.answered)?, request.answered))
        })
        .collect();
    let left = Spread::of(written.iter().map(|((_, expiry), at)| seconds(*expiry - *at)));
    let written = Spread::of(written.iter().map(|((due, _), at)| milliseconds(*at - *due)));
    // The credentials are read before it is asked, and the target is written after that.
    let (read, write) = (seen.answers(actor, "get"), seen.answers(actor, "patch"));
    for (what, late, parts) in
        [("start", asked, &[&read][..]), ("written", written, &[&read, &write])]
    {
        println!("        {what}: {} refreshes", late.count());
        for (name, percent) in [("p50", 50.0), ("p99", 99.0), ("max", 100.0)] {
            let server = parts.iter().map(|part| part.at(percent)).sum();
            let late = (late.at(percent), "ms");
            stage.note_beside(&format!("steady/{what}-late-{name}"), late, server);
        }
    }
    stage.note("steady/least-life-left", (left.at(0.0), "s"));
}

/// When a token was due, and when the same expires.
type Told = BTreeMap<DateTime<Utc>, DateTime<Utc>>;

/// When tokens were due and expire, as their targets told.
struct Dues {
    told: Arc<Mutex<HashMap<String, Told>>>,
    watching: JoinHandle<()>,
}

impl Dues {
    /// From now on, what is there among it.
    fn watch(client: Client) -> Self {
        let told: Arc<Mutex<HashMap<String, Told>>> = Arc::default();
        let noted = Arc::clone(&told);
        let config = watcher::Config::default().labels(&format!("{MANAGED_BY}={MANAGER}"));
        let changes =
            watcher(Api::<PartialObjectMeta<Secret>>::all(client), config).default_backoff();
        let note = move |secret: PartialObjectMeta<Secret>| {
            let time = |key| secret.annotations().get(key).and_then(|value| parse_time(value));
            if let (Some(due), Some(expiry)) = (time(REFRESH_AT), time(EXPIRES_AT)) {
                noted.lock().unwrap().entry(secret.name_any()).or_default().insert(due, expiry);
            }
            std::future::ready(Ok(()))
        };
        let watching = tokio::spawn(async move {
            changes.applied_objects().try_for_each(note).await.unwrap();
        });
        Self { told, watching }
    }

    /// When a token was due that was refreshed then, and when it expired.
    fn before(&self, name: &str, at: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let told = self.told.lock().unwrap();
        let (due, expiry) = told.get(name)?.range(..=at + EARLY).next_back()?;
        Some((*due, *expiry))
    }
}

impl Drop for Dues {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
