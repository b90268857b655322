//! `tokenward local` and the other commands that need no cluster, as processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test says what it expects by failing, and waits by the real clock"
)]

mod api_page;
mod bench;
mod book;
mod catalogue_page;
mod chaining;
mod check;
mod cli_page;
mod commands;
mod discovery;
mod docs;
mod generated;
mod health;
mod image;
mod keep;
mod limits;
mod once;
mod ownership_page;
mod performance_page;
mod refresh_token_page;
mod renewed;
mod revocation;
#[path = "../cluster/leaks/search.rs"]
mod search;
mod shapes;
mod traces;
