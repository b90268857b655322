//! Every use of a token, counted by what went wrong meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

use crate::provider::Use;

/// A workload that uses its token twice a second is not silent for so long, unless it has none.
const SILENCE: TimeDelta = TimeDelta::seconds(20);

pub struct Report {
    out: PathBuf,
    phases: Vec<(DateTime<Utc>, &'static str)>,
    /// Workloads that were away, and from when.
    pauses: Vec<(String, DateTime<Utc>)>,
}

impl Report {
    pub fn new(out: &Path) -> Self {
        std::fs::create_dir_all(out).unwrap();
        Self { out: out.to_owned(), phases: Vec::new(), pauses: Vec::new() }
    }

    /// From now on something else goes wrong.
    pub fn begin(&mut self, name: &'static str) {
        let now = Utc::now();
        println!("{} {name}", now.format("%T"));
        self.phases.push((now, name));
    }

    /// A workload is away from then on, until it uses its token again.
    pub fn pause(&mut self, workload: &str, from: DateTime<Utc>) {
        self.pauses.push((workload.to_owned(), from));
    }

    /// Lists all uses in a file, tells their counts, and fails if one was not valid.
    pub fn tell(&self, uses: &[Use]) {
        let mut list = String::new();
        let mut counts: BTreeMap<(usize, &str), Count> = BTreeMap::new();
        for used in uses {
            let phase = self.phases.iter().rposition(|(from, _)| *from <= used.time).unwrap_or(0);
            let count = counts.entry((phase, &used.workload)).or_default();
            count.uses += 1;
            count.valid += usize::from(used.valid);
            count.tokens.extend(used.token);
            let verdict =
                used.refusal.as_deref().unwrap_or(if used.valid { "valid" } else { "failed" });
            let token = used.token.map_or_else(|| "-".to_owned(), |serial| serial.to_string());
            let time = used.time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
            let (workload, phase) = (&used.workload, self.phases[phase].1);
            writeln!(list, "{time}\t{workload}\ttoken {token}\t{verdict}\t{phase}").unwrap();
        }
        let file = self.out.join("uses.tsv");
        std::fs::write(&file, list).unwrap();
        println!("{:<22}{:<12}{:>6}{:>7}  tokens", "", "workload", "uses", "valid");
        for ((phase, workload), count) in &counts {
            let Count { uses, valid, tokens } = count;
            let name = self.phases[*phase].1;
            println!("{name:<22}{workload:<12}{uses:>6}{valid:>7}  {tokens:?}");
        }
        let invalid: Vec<_> = uses.iter().filter(|used| !used.valid).collect();
        println!(
            "{} uses, {} of them not valid; all in {}",
            uses.len(),
            invalid.len(),
            file.display()
        );
        assert!(invalid.is_empty(), "{invalid:#?}");
        let workloads: BTreeSet<_> = uses.iter().map(|used| &used.workload).collect();
        for workload in workloads {
            self.unbroken(workload, uses);
        }
    }

    /// A use that did not happen cannot be invalid: there must be none missing.
    fn unbroken(&self, workload: &str, uses: &[Use]) {
        let mut times = uses.iter().filter(|used| used.workload == workload).map(|used| used.time);
        let mut last = times.next().unwrap();
        for time in times {
            let away = self
                .pauses
                .iter()
                .any(|(name, from)| name == workload && *from <= time && last <= *from + SILENCE);
            assert!(
                time - last < SILENCE || away,
                "{workload} used no token from {last} to {time}"
            );
            last = time;
        }
    }
}

#[derive(Default)]
struct Count {
    uses: usize,
    valid: usize,
    tokens: BTreeSet<u64>,
}

#[test]
fn a_refused_use_fails_the_suite_and_is_in_the_list() {
    let out = tempfile::tempdir().unwrap();
    let mut report = Report::new(out.path());
    report.begin("provider down");
    let usage = |refusal: Option<&str>| Use {
        time: Utc::now(),
        workload: "shop".to_owned(),
        token: Some(1),
        refusal: refusal.map(str::to_owned),
        valid: refusal.is_none(),
    };
    report.tell(&[usage(None)]);
    let both = [usage(None), usage(Some("expired"))];
    std::panic::catch_unwind(|| report.tell(&both)).unwrap_err();
    let list = std::fs::read_to_string(out.path().join("uses.tsv")).unwrap();
    let verdicts: Vec<_> = list.lines().map(|line| line.split('\t').nth(3).unwrap()).collect();
    assert_eq!(verdicts, ["valid", "expired"]);
}
