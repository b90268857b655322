//! The operator on a real control plane, under its own ServiceAccount.
//!
//! Each test has its own namespace, its own provider simulator and its own operator process, so
//! that all of them run at once. `make cluster` starts the control plane; `KUBECONFIG` may name
//! another one.

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

mod costs;
mod faults;
mod harness;
mod leaks;
mod lifetimes;
mod manifests;
mod never_expired;
mod restart;
mod shutdown;
mod tokens;
