//! What every long-running command needs: an end in good order, logs, keys, chance.

mod api_server;
mod key;
mod shutdown;
mod telemetry;

pub use api_server::Access;
pub(crate) use api_server::{ApiError, in_time, names_type, names_uid};
pub use key::{cluster_key, new_key};
pub use shutdown::stop_signal;
pub use telemetry::{LogFormat, init_logs};

/// A number in `0.0..1.0`.
pub fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness nothing is jittered, which harms nobody but the provider.
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
    }
}
