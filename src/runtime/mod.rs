//! What every long-running command needs: an end in good order, logs, keys, chance.

mod admin;
mod api_requests;
mod api_server;
mod chance;
mod election;
mod key;
mod lead;
mod readiness;
mod shutdown;
mod telemetry;
mod traces;

pub use admin::Admin;
pub use api_requests::{ApiRequest, ApiRequests};
pub use api_server::Access;
pub(crate) use api_server::{ApiError, in_time, names_type, names_uid};
pub use chance::Chance;
pub(crate) use election::identity;
pub use election::{Candidacy, Election, LeaseSettings};
pub use key::{KeyError, cluster_key, new_key, wait_for_key};
pub use lead::{Lead, LeaseTimes};
pub use readiness::Readiness;
pub use shutdown::stop_signal;
pub use telemetry::{LogFormat, LogSettings, init_telemetry};
pub use traces::{OtlpEndpoint, Traces};
