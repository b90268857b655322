//! Many worlds, and one that happens twice. `cargo run -p simulation -- SEED` shows one again.

use std::sync::atomic::{AtomicU64, Ordering};

use rstest::rstest;
use simulation::plan::{Plan, Size};
use simulation::run::{Report, run};
use simulation::sabotage::Sabotage;

/// Worlds that are tried with every test run.
const SEEDS: u64 = 100;

fn complaint(report: &Report) -> String {
    let Report { seed, verdict, .. } = report;
    let violations = verdict.violations.join("\n  ");
    format!("cargo run -p simulation -- {seed}\n  {violations}\n{}", verdict.before.join("\n"))
}

#[test]
fn in_a_hundred_worlds_no_rule_is_broken() {
    let next = AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let reports: Vec<Report> = std::thread::scope(|scope| {
        let work = || {
            let seeds = std::iter::from_fn(|| {
                Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < SEEDS)
            });
            seeds.map(|seed| run(Plan::of(seed, Size::SMALL))).collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let broken: Vec<String> = reports
        .iter()
        .filter(|report| !report.verdict.violations.is_empty())
        .map(complaint)
        .collect();
    assert!(broken.is_empty(), "{} of {SEEDS}\n{}", broken.len(), broken.join("\n"));
    // What was never looked at proves nothing.
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    let judged = sum(|report| report.verdict.judged_ends);
    let late = sum(|report| report.verdict.lateness.len() as u64);
    let floors = sum(|report| report.verdict.floors);
    let lost = sum(|report| report.verdict.lost_in_window);
    assert!(judged > 50_000 && late > 50_000 && floors > 50_000, "{judged} {late} {floors}");
    assert!(lost > 0, "no crash ever came between a provider's answer and its being kept");
}

#[test]
fn the_same_seed_is_the_same_world() {
    let size = Size { span: Size::SMALL.span / 4, ..Size::SMALL };
    let trace = |seed| run(Plan::of(seed, size)).trace;
    assert_eq!(trace(3), trace(3));
    assert_ne!(trace(3), trace(4));
}

#[rstest]
#[case(Sabotage::SlowClock, "expired")]
#[case(Sabotage::FastClock, "floor")]
#[case(Sabotage::NoLimits, "budget")]
#[case(Sabotage::NothingKept, "refresh token")]
#[case(Sabotage::NothingForeign, "ownership")]
#[case(Sabotage::OneLine, "starvation")]
fn a_bug_is_noticed(#[case] sabotage: Sabotage, #[case] rule: &str) {
    let report = run(Plan::sabotaged(sabotage));
    let (first, others) = report.verdict.violations.split_first().expect("it goes unnoticed");
    assert!(first.starts_with(rule), "{first}\n{others:?}");
}
