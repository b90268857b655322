//! The operator on a real control plane, under its own ServiceAccount.
//!
//! Each test has its own namespace, its own provider simulator and its own operator process, so
//! that all of them run at once. `make cluster` starts the control plane; `KUBECONFIG` may name
//! another one.

mod costs;
mod faults;
mod harness;
mod leaks;
mod lifetimes;
mod never_expired;
mod restart;
mod shutdown;
mod tokens;
