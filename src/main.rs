//! Parse, dispatch, exit code.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;
use tokenward::cli;

// What is freed after a start or a wave of refreshes goes back to the system (docs/adr/0030).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
