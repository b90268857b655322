//! What tokenward's own code takes, without any network: by Criterion, and in instructions, which a
//! busy machine does not change.
//!
//! `cargo bench --bench in_process` does both and notes the figures. With `-- NAME` Criterion alone
//! measures what is called so, with `-- instructions` nothing is done but counting those.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "as in tests")]
#![allow(clippy::print_stdout, reason = "it tells what it measured")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(clippy::cast_precision_loss, reason = "figures have three digits")]

mod instructions;
#[path = "../parts/mod.rs"]
mod parts;

use std::fs;
use std::time::{Duration, Instant};

use criterion::Criterion;
use serde_json::Value;
use tikv_jemallocator::Jemalloc;

use self::parts::rounds::Rounds;
use self::parts::subjects::SUBJECTS;

// As in the program.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Criterion's group, and what the names of its figures begin with.
const GROUP: &str = "in-process";
/// The reconciliation that finds nothing to do, all in.
const NOOP: &str = "noop";
/// As many as the goals are about.
const TOKENS: usize = 10_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["under-callgrind", name] => instructions::work_on(name),
        ["instructions", ..] => instructions::count(),
        [name, ..] if !name.starts_with('-') => _ = time(),
        _ => {
            let requests = time();
            parts::note(&format!("{GROUP}/{NOOP}-api-requests"), requests as f64, "");
            note();
            instructions::count();
        }
    }
}

/// Measures times; tells how often the API server was asked by what finds nothing to do.
fn time() -> u64 {
    let mut criterion = Criterion::default()
        .output_directory(&parts::target().join("criterion"))
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let mut group = criterion.benchmark_group(GROUP);
    for (name, make) in SUBJECTS {
        let mut work = make();
        group.bench_function(name, |bencher| bencher.iter(&mut work));
    }
    let (mut started, mut requests) = (None, 0);
    group.bench_function(NOOP, |bencher| {
        let rounds = started.get_or_insert_with(|| Rounds::of(TOKENS));
        let before = rounds.requests();
        bencher.iter_custom(|wanted| {
            let began = Instant::now();
            let done = rounds.run(wanted);
            began.elapsed().mul_f64(wanted as f64 / done as f64)
        });
        requests = rounds.requests() - before;
    });
    group.finish();
    criterion.final_summary();
    requests
}

/// Notes what Criterion found.
fn note() {
    for name in SUBJECTS.map(|(name, _)| name).into_iter().chain([NOOP]) {
        let file = parts::target().join("criterion").join(GROUP).join(name);
        let text = fs::read(file.join("new/estimates.json")).unwrap();
        let found: Value = serde_json::from_slice(&text).unwrap();
        let nanoseconds = found["median"]["point_estimate"].as_f64().unwrap();
        parts::note(&format!("{GROUP}/{name}"), nanoseconds / 1e3, "µs");
    }
}
