//! What every long-running command needs: an end in good order, logs, keys, chance.

mod api_server;
mod chance;
mod key;
mod shutdown;
mod telemetry;

pub use api_server::Access;
pub(crate) use api_server::{ApiError, in_time, names_type, names_uid};
pub use chance::Chance;
pub use key::{cluster_key, new_key};
pub use shutdown::stop_signal;
pub use telemetry::{LogFormat, init_logs};
