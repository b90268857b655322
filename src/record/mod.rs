//! Writing down what happened: status, events, metrics. It never decides.

mod copies;
mod events;
mod ledger;
mod providers;
mod recorder;
mod status;

pub use copies::{CopyLedger, cluster_status};
pub use events::{Notice, notices};
pub use ledger::Ledger;
pub use providers::ProviderRecorder;
pub use recorder::Recorder;
pub use status::{Standing, Transition, status};
