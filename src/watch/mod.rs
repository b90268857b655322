//! From what is there to a [`Case`]: pruned caches, an index of the Secrets that tokens refer to,
//! and the assembly of snapshots.

mod assemble;
mod belongings;
mod caches;
mod endpoints;
mod fan_out;
mod installed;
mod keeper;
mod lenient;
mod managed_fields;
mod name;
mod policy;
mod prune;
mod reactions;
mod references;
mod relist;
mod secrets;
mod shelf;
mod streams;
mod triggers;

pub use assemble::{Materials, Resolved, limits, materials, means, shape};
pub(crate) use caches::in_order;
pub use caches::{Caches, Scope, WatchSettings};
pub use endpoints::{Endpoints, Version, compile};
pub use installed::look_after_crds;
pub(crate) use managed_fields::handed_over;
pub use policy::{AllowedHost, NamespacedProviders, ProviderPolicy};
pub use reactions::Listener;
pub use secrets::{Known, SecretIndex};
pub use shelf::Shelf;
pub use streams::Lists;
pub use triggers::{Attention, Trigger, Triggered, Triggers};
