//! The chart: what Helm makes of it, before a real API server. What needs pods that run is in
//! tests/e2e.

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

#[path = "../cluster/consumers.rs"]
mod consumers;
#[path = "../local/generated.rs"]
mod generated;
#[path = "../cluster/harness/mod.rs"]
mod harness;

mod alerts;
mod dashboard;
mod deploy;
mod helm;
mod lifecycle;
mod network;
mod readme_page;
mod rights;
mod values;
mod variants;
