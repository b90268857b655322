//! `tokenward local` and the other commands that need no cluster, as processes.

mod bench;
mod commands;
mod keep;
mod once;
