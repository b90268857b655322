//! How much memory tokenward's own code asks for, by a counting allocator: in a binary of its own,
//! for what counts takes time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "as in tests")]
#![allow(clippy::print_stdout, reason = "it tells what it measured")]
#![allow(clippy::cast_precision_loss, reason = "figures have three digits")]

#[path = "../parts/mod.rs"]
mod parts;

use dhat::{HeapStats, Profiler};

use self::parts::rounds::Rounds;
use self::parts::subjects::SUBJECTS;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// How often each is done while it is counted.
const TIMES: u64 = 100;
const TOKENS: usize = 500;
const ROUNDS: u64 = 5_000;

fn main() {
    println!("{:28} {:>12} {:>12}", "a time", "allocations", "bytes");
    for (name, make) in SUBJECTS {
        let mut work = make();
        // What is made once is not counted.
        work();
        tell(name, || {
            (0..TIMES).for_each(|_| work());
            TIMES
        });
    }
    let rounds = Rounds::of(TOKENS);
    tell("noop", || rounds.run(ROUNDS));
}

/// Counts while something is done as often as it says, notes it and prints it.
fn tell(name: &str, work: impl FnOnce() -> u64) {
    let profiler = Profiler::builder().testing().build();
    let times = work() as f64;
    let HeapStats { total_blocks, total_bytes, .. } = HeapStats::get();
    drop(profiler);
    let (blocks, bytes) = (total_blocks as f64 / times, total_bytes as f64 / times);
    parts::note(&format!("allocations/{name}"), blocks, "");
    parts::note(&format!("allocated/{name}"), bytes, "bytes");
    println!("{name:28} {blocks:>12.1} {bytes:>12.0}");
}
