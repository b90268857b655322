//! Five minutes without an operator: what was due meanwhile comes spread, and so does what follows.
//! While nobody works, a crowd of Secrets comes that are none of ours.

use std::process::Command;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use provider_simulator::Behaviour;
use serde_json::json;
use tokio::time::{sleep, sleep_until};

use crate::cold_start;
use crate::crowd;
use crate::field::Field;
use crate::restart;
use crate::spread::{Spread, buckets, float, seconds};
use crate::stage::Stage;

const STOP: Duration = Duration::from_mins(5);
/// Seconds that tokens live, and how long before their end they are refreshed: after two minutes.
/// When work resumes all are overdue, and all are good.
const LIFE: i64 = 600;
const LEAD: &str = "8m";
/// Of those that come after what was measured.
const LONG: i64 = 3600;
const LOOK: Duration = Duration::from_millis(500);
/// Far more than two minutes, and a minute of spreading.
const PATIENCE: Duration = Duration::from_mins(6);

/// What happens while nobody works.
pub struct Meanwhile {
    /// Secrets that are made.
    pub secrets: u32,
    /// What is run after that.
    pub command: Option<String>,
}

/// The whole of it.
pub async fn run(stage: &Stage, meanwhile: &Meanwhile) {
    let field = Field::new(stage.client.clone(), json!({"refresh": {"lead": LEAD}})).await;
    field.set(&Behaviour::living(LIFE));
    let actor = cold_start::run_unnoted(stage, &field).await;
    actor.operator.terminate().await;
    let stopped = Instant::now();
    let alone = restart::run(stage, &field, "crowd/none").await;
    let memory = alone.process.memory().resident;
    alone.operator.terminate().await;
    crowd::create(&stage.client, meanwhile.secrets).await;
    meanwhile.run_command();
    sleep_until((stopped + STOP).into()).await;

    let actor = stage.start();
    stage.note("overdue/stop", (stopped.elapsed().as_secs_f64(), "s"));
    let overdue = refreshed_once(stage, &field, actor.started).await;
    note_wave(stage, "overdue/first-wave", &overdue);
    let next = refreshed_once(stage, &field, *overdue.iter().max().unwrap()).await;
    note_wave(stage, "overdue/next-wave", &next);
    field.set(&Behaviour::living(LONG));
    let expired = actor.metric("tokenward_token_expired_seconds_total", "");
    stage.note("overdue/expired", (expired, "s"));
    actor.operator.terminate().await;
    if meanwhile.secrets > 0 {
        let crowded = restart::run(stage, &field, "crowd/all").await;
        let more = crowded.process.memory().resident - memory;
        stage.note("crowd/more-resident", (more, "MiB"));
        crowded.operator.terminate().await;
    }
}

impl Meanwhile {
    fn run_command(&self) {
        if let Some(command) = &self.command {
            println!("meanwhile: {command}");
            let status = Command::new("sh").args(["-c", command]).status().unwrap();
            assert!(status.success(), "{command}: {status}");
        }
    }
}

/// Waits until every token was asked for after that: when each was for the first time.
async fn refreshed_once(stage: &Stage, field: &Field, after: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut first = std::collections::HashMap::new();
        for (name, request) in field.requests() {
            if name.starts_with("t-") && request.time > after {
                first.entry(name).or_insert(request.time);
            }
        }
        if first.len() >= stage.tokens as usize {
            return first.into_values().collect();
        }
        assert!(Instant::now() < deadline, "{} were refreshed", first.len());
        sleep(LOOK).await;
    }
}

/// How a wave of requests is spread.
fn note_wave(stage: &Stage, name: &str, times: &[DateTime<Utc>]) {
    let took = seconds(*times.iter().max().unwrap() - *times.iter().min().unwrap());
    let by_second = Spread::of(buckets(times, Duration::from_secs(1)));
    let in_ten = buckets(times, Duration::from_secs(10));
    let mean = float(times.len()) / float(in_ten.len());
    let most = in_ten.iter().copied().fold(0.0, f64::max);
    println!("        in ten seconds each: {in_ten:?}");
    stage.note(&format!("{name}/seconds"), (took, "s"));
    stage.note(&format!("{name}/rate-p50"), (by_second.at(50.0), "/s"));
    stage.note(&format!("{name}/rate-max"), (by_second.at(100.0), "/s"));
    stage.note(&format!("{name}/max-to-mean"), (most / mean, ""));
}
