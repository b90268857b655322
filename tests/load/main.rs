//! How fast, how small, how far: the shipped operator on a real control plane, beside what that takes
//! from a bare client. `make bench` runs it (`hack/bench`); a phase alone, on a control plane that
//! tells what it is asked:
//!
//! ```text
//! TOKENWARD_CLUSTER_AUDIT=1 hack/cluster/up
//! cargo test --profile simulation --test load -- steady --tokens 100
//! ```
//!
//! Every phase wants a control plane without tokens. `TOKENWARD_TEST_PROGRAM` names the operator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "it fails by saying what it expected, and measures by the real clock"
)]

#[path = "../cluster/harness/mod.rs"]
mod harness;

mod audit;
mod bytes;
mod ceiling;
mod cold_start;
mod crowd;
mod field;
mod figures;
mod goals;
mod idle;
mod overdue;
mod pace;
#[allow(dead_code, reason = "plots are drawn for docs/performance.md")]
mod plot;
mod process;
#[allow(dead_code, reason = "all but the goals is told by docs/performance.md")]
mod report;
mod restart;
mod spread;
mod stage;
mod steady;

use std::path::PathBuf;

use chrono::Utc;
use clap::{Args, Parser, Subcommand};

use field::Field;
use figures::Notebook;
use overdue::Meanwhile;
use pace::Pace;
use stage::Stage;

#[derive(Parser)]
#[command(about = "Measures tokenward on a control plane")]
struct Arguments {
    /// Where figures are noted
    #[arg(long, global = true, default_value = "target/bench/figures.jsonl")]
    figures: PathBuf,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    #[command(flatten)]
    Measure(Phase),
    /// What was measured, beside the goals
    Report,
}

#[derive(Subcommand)]
enum Phase {
    /// What the API server and the simulator take from a bare client
    Ceiling,
    /// Sizes, a start and memory without any token
    Idle,
    /// N new tokens until all are Ready
    ColdStart(Size),
    /// A cold start, and a restart with N good tokens
    Restart(Size),
    /// Both, and refreshes as they fall due
    Steady(Size),
    /// Five minutes without an operator; meanwhile a crowd of other Secrets
    Overdue(Stop),
}

#[derive(Args)]
struct Size {
    /// How many tokens
    #[arg(long)]
    tokens: u32,
    /// Count the bytes of a refresh as well
    #[arg(long)]
    bytes: bool,
}

#[derive(Args)]
struct Stop {
    /// How many tokens
    #[arg(long, default_value_t = 1000)]
    tokens: u32,
    /// Secrets that are made while the operator is down
    #[arg(long, default_value_t = 50_000)]
    secrets: u32,
    /// What is run after that while the operator is down
    #[arg(long)]
    meanwhile: Option<String>,
}

impl Phase {
    fn tokens(&self) -> u32 {
        match self {
            Self::Ceiling | Self::Idle => 0,
            Self::ColdStart(size) | Self::Restart(size) | Self::Steady(size) => size.tokens,
            Self::Overdue(stop) => stop.tokens,
        }
    }
}

#[tokio::main]
async fn main() {
    let Arguments { figures, task } = Arguments::parse();
    std::fs::create_dir_all(figures.parent().unwrap()).unwrap();
    let notebook = Notebook::at(&figures);
    let Task::Measure(phase) = task else {
        return print!("{}", report::page(report::Known(&notebook.read().unwrap())));
    };
    let stage = Stage::new(phase.tokens(), notebook).await;
    match phase {
        Phase::Ceiling => ceiling::run(&stage).await,
        Phase::Idle => idle::run(&stage).await,
        Phase::Overdue(Stop { secrets, meanwhile, .. }) => {
            overdue::run(&stage, &Meanwhile { secrets, command: meanwhile }).await;
        }
        Phase::ColdStart(_) | Phase::Restart(_) | Phase::Steady(_) => life(&stage, &phase).await,
    }
}

/// A cold start, and what comes after it.
async fn life(stage: &Stage, phase: &Phase) {
    let ceiling = ceiling::short(stage).await;
    let pace = Pace::of(stage.tokens, ceiling);
    let field = Field::new(stage.client.clone(), pace.spec()).await;
    field.set(&pace.first_lives());
    let actor = cold_start::run(stage, &field, ceiling).await;
    field.set(&pace.lives());
    let cold_start = actor.started..Utc::now();
    actor.operator.terminate().await;
    if !matches!(phase, Phase::ColdStart(_)) {
        restart::run_streamed(stage, &field).await;
    }
    match phase {
        Phase::Restart(_) => drop(restart::run(stage, &field, "restart").await),
        Phase::Steady(size) => {
            let actor = steady::run(stage, &field, (pace, cold_start)).await;
            actor.operator.terminate().await;
            if size.bytes {
                bytes::run(stage).await;
            }
        }
        _ => {}
    }
}
