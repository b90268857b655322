//! The only file that asks for the time. Everything else is given it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

/// How long a timer is trusted to keep pace with the machine's clock: it stands still while the
/// machine sleeps, and knows nothing of a clock that is set. To look again costs no request.
const TRUSTED: Duration = Duration::from_mins(1);

/// Tells the time.
#[derive(Clone)]
pub struct Clock {
    source: Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>,
    trusted: Duration,
}

impl Clock {
    /// The machine's clock.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
    pub fn system() -> Self {
        Self::of(Utc::now, TRUSTED)
    }

    /// Another clock, that timers keep pace with for so long at least.
    pub fn of(
        source: impl Fn() -> DateTime<Utc> + Send + Sync + 'static,
        trusted: Duration,
    ) -> Self {
        Self { source: Arc::new(source), trusted }
    }

    /// Now.
    pub fn now(&self) -> DateTime<Utc> {
        (self.source)()
    }

    /// The longest that may be slept before the time is asked again.
    pub fn trusted(&self) -> Duration {
        self.trusted
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// A clock that nobody can set: it tells how long something has lasted, and nothing else.
#[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
pub fn steady() -> Instant {
    Instant::now()
}

/// Our time as Kubernetes speaks it: whole seconds, for a finer value differs when read back.
pub fn to_kube(time: DateTime<Utc>) -> Time {
    Time(Timestamp::from_second(time.timestamp()).unwrap_or(Timestamp::UNIX_EPOCH))
}
