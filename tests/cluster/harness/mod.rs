//! What every test stands on.

mod cluster;
mod lane;
mod operator;
mod world;

pub use cluster::{kubectl, try_kubectl};
pub use lane::Lane;
pub use operator::Operator;
pub use world::{OPERATOR_NAMESPACE, World};

use std::time::Duration;

/// How long a test waits for something that must happen. Generous: it bounds a hang, it is no
/// measurement.
pub const PATIENCE: Duration = Duration::from_secs(60);
