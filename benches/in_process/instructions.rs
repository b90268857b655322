//! How many instructions each piece of work takes, as callgrind counts them, held against those of
//! `benches/instructions.json`. `TOKENWARD_BLESS=1` writes that anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::NOOP;
use crate::parts::rounds::Rounds;
use crate::parts::subjects::SUBJECTS;
use crate::parts::{note, target};

/// What of a difference is none: the hashes of maps are other ones in each process.
const TOLERANCE: f64 = 0.03;
/// How often each is done while instructions are counted.
const TIMES: u64 = 200;
/// Under callgrind everything takes fifty times as long.
const TOKENS: usize = 200;
const ROUNDS: u64 = 5_000;

/// Instructions that were counted once, and by what.
#[derive(Deserialize, Serialize)]
struct Baseline {
    machine: String,
    toolchain: String,
    instructions: BTreeMap<String, u64>,
}

/// Does one piece of work over and over, and prints how often.
pub fn work_on(name: &str) {
    let mut times = TIMES;
    if name == NOOP {
        let rounds = Rounds::of(TOKENS);
        measured(&mut || times = rounds.run(ROUNDS));
    } else {
        let (_, make) = SUBJECTS.into_iter().find(|(known, _)| *known == name).unwrap();
        let mut work = make();
        // What is made once is not counted.
        work();
        measured(&mut || (0..times).for_each(|_| work()));
    }
    println!("{times}");
}

/// Callgrind counts while this runs, and knows it by its name.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

/// Counts the instructions of everything, notes them, and tells what takes more than it did.
pub fn count() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!(
            "NOT COUNTED: instructions. Valgrind is not installed (Debian: apt install valgrind)"
        );
        return;
    }
    let names = SUBJECTS.map(|(name, _)| name).into_iter().chain([NOOP]);
    let counted: BTreeMap<String, u64> =
        names.map(|name| (name.to_owned(), instructions(name))).collect();
    for (name, instructions) in &counted {
        note(&format!("instructions/{name}"), *instructions as f64, "");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.json");
    if std::env::var_os("TOKENWARD_BLESS").is_some() {
        let machine = std::env::consts::ARCH.to_owned();
        let baseline = Baseline { machine, toolchain: toolchain(), instructions: counted };
        fs::write(file, serde_json::to_string_pretty(&baseline).unwrap() + "\n").unwrap();
        return;
    }
    compare(&counted, &serde_json::from_slice(&fs::read(file).unwrap()).unwrap());
}

fn compare(counted: &BTreeMap<String, u64>, baseline: &Baseline) {
    let Baseline { machine, toolchain: by, instructions } = baseline;
    if machine != std::env::consts::ARCH || *by != toolchain() {
        println!("the baseline was counted on {machine} with {by}: expect differences");
    }
    println!("{:28} {:>12} {:>12}", "instructions", "counted", "baseline");
    for (name, counted) in counted {
        let Some(before) = instructions.get(name) else {
            println!("{name:28} {counted:>12} {:>12}", "none");
            continue;
        };
        let change = *counted as f64 / *before as f64 - 1.0;
        let verdict = match change {
            more if more > TOLERANCE => "REGRESSION",
            less if less < -TOLERANCE => "better: TOKENWARD_BLESS=1 keeps it",
            _ => "",
        };
        println!("{name:28} {counted:>12} {before:>12} {:+6.1} % {verdict}", change * 100.0);
    }
}

/// The instructions of one piece of work.
fn instructions(name: &str) -> u64 {
    let report = report(name);
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*instructions*measured*"])
        .arg(format!("--callgrind-out-file={}", report.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["under-callgrind", name])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
    let times: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    let report = fs::read_to_string(report).unwrap();
    let total = report.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
    total.trim().parse::<u64>().unwrap() / times
}

/// What `callgrind_annotate` reads.
fn report(name: &str) -> PathBuf {
    let folder = target().join("bench/callgrind");
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

fn toolchain() -> String {
    let output = Command::new("rustc").arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.split(' ').take(2).collect::<Vec<_>>().join(" ")
}
