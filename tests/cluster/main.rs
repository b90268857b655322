//! The operator on a real control plane, under its own ServiceAccount.
//!
//! Each test has its own namespace, its own provider simulator and its own operator process, so
//! that all of them run at once. `make cluster` starts the control plane;
//! `TOKENWARD_TEST_KUBECONFIG` may name another one.

mod changes;
mod credentials;
mod documents;
mod egress;
mod harness;
mod injection;
mod namespaced;
mod ownership;
mod platform;
mod platform_limits;
mod status;
mod systems;
mod targets;
mod tokens;
