//! Writing down what happened: status, events, metrics. It never decides.

mod census;
mod copies;
mod events;
mod herald;
mod ledger;
mod metrics;
mod providers;
mod recorder;
mod status;

pub use census::{Census, CensusCollector, Sighting, Times};
pub use copies::{CopyLedger, cluster_status};
pub use events::{Notice, notices};
pub use ledger::{Ledger, Written};
pub use metrics::Metrics;
pub use providers::ProviderRecorder;
pub use recorder::Recorder;
pub use status::{Standing, Transition, status, unread};
