//! What Linux tells of a process.

use std::path::{Path, PathBuf};

/// Milliseconds of what `/proc` counts processor time in: `USER_HZ`, the same on every architecture we
/// build for.
const TICK: f64 = 10.0;

/// A process.
#[derive(Clone, Debug)]
pub struct Process(PathBuf);

/// Memory of a process, in MiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now.
    pub resident: f64,
    /// The part of it that is no file's.
    pub anonymous: f64,
    /// The most that ever was resident.
    pub peak: f64,
}

impl Process {
    /// That of this number.
    pub fn of(pid: u32) -> Self {
        Self(format!("/proc/{pid}").into())
    }

    /// That whose number stands in this file.
    pub fn in_file(path: &Path) -> Self {
        let pid = std::fs::read_to_string(path).unwrap();
        Self::of(pid.trim().parse().unwrap())
    }

    /// Milliseconds of processor time so far, of threads that have ended too.
    pub fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(self.0.join("stat")).unwrap();
        // The name before may hold spaces.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        TICK * (ticks(11) + ticks(12))
    }

    /// Its memory.
    pub fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(self.0.join("status")).unwrap();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            let kibibytes = line.trim_start_matches(':').split_whitespace().next().unwrap();
            kibibytes.parse::<f64>().unwrap() / 1024.0
        };
        Memory { resident: of("VmRSS"), anonymous: of("RssAnon"), peak: of("VmHWM") }
    }
}
