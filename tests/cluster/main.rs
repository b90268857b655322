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

mod bad_days;
#[path = "../conformance/certificates.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod certificates;
mod chaining;
mod changes;
mod check;
mod client_secrets;
mod consumers;
mod costs;
mod crashes;
mod credentials;
mod crowd;
mod discovery;
mod documents;
mod egress;
mod elections;
mod expiry;
mod faults;
mod harness;
mod hostile;
mod injection;
mod leaks;
mod lifetimes;
mod limits;
mod manifests;
mod merge;
mod metrics;
mod namespaced;
mod never_expired;
mod outputs;
mod ownership;
mod platform;
mod platform_limits;
mod policies;
mod recipes;
mod refresh_tokens;
mod repository;
mod restart;
mod revocation;
mod rotation;
#[path = "../conformance/server.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod server;
mod service_accounts;
mod shapes;
mod shutdown;
mod status;
mod systems;
mod targets;
mod tokens;
mod workloads;
