//! Parse, dispatch, exit code.

use std::process::ExitCode;

use tokenward::cli;

fn main() -> ExitCode {
    cli::main()
}
