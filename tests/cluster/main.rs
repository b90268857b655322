//! The operator on a real control plane, under its own ServiceAccount.
//!
//! Each test has its own namespace, its own provider simulator and its own operator process, so
//! that all of them run at once. `make cluster` starts the control plane;
//! `TOKENWARD_TEST_KUBECONFIG` may name another one.

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

mod chaining;
mod changes;
mod check;
mod client_secrets;
mod costs;
mod credentials;
mod discovery;
mod documents;
mod egress;
mod expiry;
mod faults;
mod harness;
mod hostile;
mod injection;
mod leaks;
mod lifetimes;
mod manifests;
mod namespaced;
mod never_expired;
mod outputs;
mod ownership;
mod platform;
mod platform_limits;
mod recipes;
mod refresh_tokens;
mod repository;
mod restart;
mod revocation;
mod service_accounts;
mod shapes;
mod shutdown;
mod status;
mod systems;
mod targets;
mod tokens;
