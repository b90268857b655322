//! Many worlds, one that happens twice, and some in which a bug is to be noticed.
//! `make simulation SEEDS=7` shows one again.

use std::collections::HashSet;
use std::sync::Mutex;

use rstest::rstest;
use simulation::entropy::load;
use simulation::judge::Verdict;
use simulation::plan::{Lives, Plan, Size};
use simulation::run::{Report, run, run_all};
use simulation::sabotage::Sabotage;

/// Worlds that are tried with every test run. `make simulation` tries more.
const SEEDS: u64 = 100;

fn complaint(report: &Report) -> String {
    let Report { seed, size, verdict, .. } = report;
    let violations = verdict.violations.join("\n  ");
    let (tokens, hours) = (size.tokens, size.span.as_secs() / 3600);
    let lives = if size.lives == Lives::Long { "long" } else { "mixed" };
    let again = format!("make simulation SEEDS={seed} TOKENS={tokens} HOURS={hours} LIVES={lives}");
    format!("{again}\n  {violations}\n{}", verdict.before.join("\n"))
}

#[test]
fn in_many_worlds_no_rule_is_broken() {
    let reports = Mutex::new(Vec::new());
    run_all(0..SEEDS, Size::SMALL, |report| reports.lock().unwrap().push(report));
    let reports = reports.into_inner().unwrap();
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
    let used_up = sum(|report| report.verdict.used_up);
    let foreign = sum(|report| report.verdict.taken_over);
    // Shown by --nocapture.
    println!(
        "{judged} ends, {late} refreshes, {floors} floors, {lost} lost, {used_up} used up, {foreign} taken over"
    );
    assert!(judged > 10_000 && late > 10_000 && floors > 10_000, "{judged} {late} {floors}");
    assert!(lost > 0, "no crash ever came between a provider's answer and its being kept");
    assert!(used_up > 0 && foreign > 0, "{used_up} {foreign}");
}

#[test]
fn nor_in_a_month_of_a_thousand_tokens() {
    let report = run(Plan::of(1, Size::FULL));
    assert!(report.verdict.violations.is_empty(), "{}", complaint(&report));
    let Verdict { judged_ends, floors, lateness, .. } = report.verdict;
    println!("{judged_ends} ends, {} refreshes, {floors} floors", lateness.len());
    assert!(
        judged_ends > 2000 && lateness.len() > 200 && floors > 10_000,
        "{judged_ends} {} {floors}",
        lateness.len()
    );
}

#[test]
fn hash_maps_have_the_order_of_the_seed() {
    let order = |seed| {
        let drawn = std::thread::spawn(move || {
            load(seed);
            (0..1000).collect::<HashSet<u32>>().into_iter().collect::<Vec<_>>()
        });
        drawn.join().unwrap()
    };
    assert_eq!(order(7), order(7));
    assert_ne!(order(7), order(8));
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
