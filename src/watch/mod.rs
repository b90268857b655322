//! From what is there to a [`Case`]: pruned caches, an index of the Secrets that tokens refer to,
//! and the assembly of snapshots.

mod assemble;
mod caches;
mod endpoints;
mod prune;
mod references;
mod relist;
mod secrets;

pub use assemble::{Resolved, materials, means};
pub use caches::{Caches, Listener, Scope, WatchSettings};
pub use endpoints::{Endpoints, compile};
pub use secrets::{Known, SecretIndex};

use kube::runtime::reflector::ObjectRef;

use crate::api::OAuthClientToken;

/// A token that is to be looked at again.
pub type Trigger = ObjectRef<OAuthClientToken>;
