//! `cargo run -p simulation -- SEED`: one world again, or many of them.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use simulation::judge::Verdict;
use simulation::plan::{Lives, Size};
use simulation::run::{Report, run_all};

const USAGE: &str =
    "simulation SEED | FIRST..END [TOKENS HOURS [mixed | long]]: 50 tokens for 48 hours by default";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((seeds, size)) = understood(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let broken = AtomicBool::new(false);
    run_all(seeds, size, |report| {
        broken.fetch_or(!report.verdict.violations.is_empty(), Relaxed);
        tell(&report);
    });
    if broken.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn tell(report: &Report) {
    let mut told = line(report);
    let Verdict { violations, before, .. } = &report.verdict;
    told.extend(violations.iter().take(5).map(|violation| format!("\n  {violation}")));
    told.extend(before.iter().map(|step| format!("\n    {step}")));
    println!("{told}");
}

fn understood(arguments: &[String]) -> Option<(Range<u64>, Size)> {
    let (seeds, size) = arguments.split_first()?;
    let seeds = if let Some((first, end)) = seeds.split_once("..") {
        first.parse().ok()?..end.parse().ok()?
    } else {
        let seed = seeds.parse().ok()?;
        seed..seed + 1
    };
    let size = match size {
        [] => Size::SMALL,
        [tokens, hours, lives @ ..] => {
            let span = Duration::from_hours(hours.parse().ok()?);
            let lives = match lives {
                [] => Lives::Mixed,
                [word] if word == "mixed" => Lives::Mixed,
                [word] if word == "long" => Lives::Long,
                _ => return None,
            };
            Size { tokens: tokens.parse().ok()?, span, lives }
        }
        _ => return None,
    };
    Some((seeds, size))
}

fn line(report: &Report) -> String {
    let Report { seed, verdict, trace, steps, processes, took, .. } = report;
    let mut late = verdict.lateness.clone();
    late.sort_unstable();
    let p99 = late.get(late.len() * 99 / 100).copied().unwrap_or_default();
    format!(
        "seed {seed}: {} broken; {} requests ({} held against the floor), {} writes, {} ends \
         ({} judged, {} excused), {} refreshes judged for lateness (p99 {p99} ms), {} held against a \
         budget (used up {} times), {} and {} \
         refresh tokens lost (window, two at once), {processes} processes, {steps} steps, trace \
         {trace:016x}, {:.1} s",
        verdict.violations.len(),
        verdict.asked,
        verdict.floors,
        verdict.writes,
        verdict.ends,
        verdict.judged_ends,
        verdict.excused_ends,
        late.len(),
        verdict.budgeted,
        verdict.used_up,
        verdict.lost_in_window,
        verdict.lost_to_two,
        took.as_secs_f64(),
    )
}
