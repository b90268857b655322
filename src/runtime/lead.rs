//! Whether this process is the one that acts, told without asking anybody: by a clock that nobody
//! can set, from when the Lease was last renewed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::steady;

/// By so much earlier than another may lead, nothing is under way any more: clocks do not run
/// equally fast.
const MARGIN: Duration = Duration::from_millis(500);

/// How long a Lease holds, and how it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// Others take over when they have seen no renewal for so long.
    pub duration: Duration,
    /// Its holder gives it up when it could not renew it for so long.
    pub renew_deadline: Duration,
    /// How often it is renewed, or tried for.
    pub retry_period: Duration,
}

/// Whether this process leads. Clones tell the same.
#[derive(Clone, Debug)]
pub struct Lead(Option<Arc<Held>>);

#[derive(Debug)]
struct Held {
    times: LeaseTimes,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Just before the request was sent that last renewed the Lease.
    renewed: Option<Instant>,
    in_office: bool,
}

impl Lead {
    /// That of a process beside which there is none.
    pub fn unopposed() -> Self {
        Self(None)
    }

    /// One by a Lease, which is not held yet.
    pub(super) fn by_lease(times: LeaseTimes) -> Self {
        Self(Some(Arc::new(Held { times, state: Mutex::default() })))
    }

    /// Whether something may be begun: this process leads, and time enough is left before another
    /// one may.
    pub fn holds(&self) -> bool {
        self.holds_at(steady())
    }

    fn holds_at(&self, now: Instant) -> bool {
        let Some(held) = &self.0 else { return true };
        let state = held.state();
        let is_fresh = |renewed: Instant| renewed + held.times.renew_deadline > now;
        state.in_office && state.renewed.is_some_and(is_fresh)
    }

    /// Until another process may lead.
    pub async fn ended(&self) {
        let Some(held) = &self.0 else { return std::future::pending().await };
        // Each renewal moves the end.
        while let Some(end) = held.end().filter(|end| *end > steady()) {
            tokio::time::sleep_until(end).await;
        }
    }

    /// The Lease was written by a request that was sent then.
    pub(super) fn note_renewed(&self, sent: Instant) {
        if let Some(held) = &self.0 {
            held.state().renewed = Some(sent);
        }
    }

    /// The Lease is ours, or is not any more.
    pub(super) fn set_in_office(&self, in_office: bool) {
        if let Some(held) = &self.0 {
            held.state().in_office = in_office;
        }
    }
}

impl Held {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When nothing may be under way any more.
    fn end(&self) -> Option<Instant> {
        Some(self.state().renewed? + self.times.duration.saturating_sub(MARGIN))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const TIMES: LeaseTimes = LeaseTimes {
        duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
    };

    /// One that was renewed then.
    fn renewed(at: Instant) -> Lead {
        let lead = Lead::by_lease(TIMES);
        lead.note_renewed(at);
        lead.set_in_office(true);
        lead
    }

    fn end(lead: &Lead) -> Option<Instant> {
        lead.0.as_ref().unwrap().end()
    }

    #[test]
    fn a_leader_that_cannot_renew_begins_nothing_long_before_another_may_lead() {
        let at = steady();
        let lead = renewed(at);
        assert!(lead.holds_at(at + Duration::from_millis(9_999)));
        assert!(!lead.holds_at(at + Duration::from_secs(10)), "whatever anybody else may say");
        let end = end(&lead).unwrap();
        assert_eq!(
            end,
            at + Duration::from_millis(14_500),
            "half a second before another may lead"
        );
    }

    #[test]
    fn a_renewal_moves_the_end() {
        let at = steady();
        let lead = renewed(at);
        lead.note_renewed(at + Duration::from_secs(2));
        assert!(lead.holds_at(at + Duration::from_secs(11)));
        assert!(!lead.holds_at(at + Duration::from_secs(12)));
        assert_eq!(end(&lead), Some(at + Duration::from_millis(16_500)));
    }

    #[test]
    fn a_lease_that_is_not_held_lets_nothing_begin_however_fresh_it_is() {
        let at = steady();
        assert!(!Lead::by_lease(TIMES).holds_at(at));
        let lead = renewed(at);
        lead.set_in_office(false);
        assert!(!lead.holds_at(at));
    }

    #[tokio::test]
    async fn what_is_under_way_is_given_up_when_another_may_lead() {
        let now = steady();
        assert!(renewed(now).ended().now_or_never().is_none());
        let long_ago = now.checked_sub(TIMES.duration).unwrap();
        assert!(renewed(long_ago).ended().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_process_alone_always_leads() {
        assert!(Lead::unopposed().holds());
        assert!(Lead::unopposed().ended().now_or_never().is_none());
    }
}
