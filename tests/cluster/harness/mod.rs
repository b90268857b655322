//! What every test stands on.

#![allow(dead_code, unused_imports, reason = "several binaries share it, and none uses all of it")]

mod cluster;
mod lane;
mod operator;
mod proxy;
mod rbac;
mod world;

pub use cluster::{admin, install, kubeconfig, kubectl, service_account_kubeconfig, try_kubectl};
pub use lane::Lane;
pub use operator::{ADMIN, Operator, program};
pub use proxy::{Passage, Proxy};
pub use rbac::FINALIZER;
pub use world::{
    LOOPBACK, OPERATOR_NAMESPACE, World, oauth2_client, oauth2_provider, oauth2_token, token,
};

use std::time::Duration;

/// How long a test waits for something that must happen. Generous: it bounds a hang, it is no
/// measurement.
pub const PATIENCE: Duration = Duration::from_mins(1);
