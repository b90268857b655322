//! Figures of what was done. Labels are names of resources and words from fixed lists, never text of
//! an answer; the series of a provider go when it does.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use url::Url;

use crate::act::{Exchange, Witness};
use crate::api::OnExpiry;
use crate::decide::{Outcome, Restarts, Snapshot};
use crate::error::{Class, Error, Reason};
use crate::oauth::Answer;
use crate::runtime::ApiRequests;

/// Seconds: from an answer of the same rack to the longest that is waited for.
const DURATIONS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Seconds: from on time to a retry or two late.
const LATENESS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0];
/// Seconds: from too late to a day.
const LIVES: [f64; 10] = [0.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0];

/// What may come of a token request.
const RESULTS: [&str; 6] = ["issued", "refused", "failed", "throttled", "unanswered", GIVEN_UP];
const GIVEN_UP: &str = "given_up";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfProvider {
    provider: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Requests {
    provider: String,
    result: &'static str,
}

#[derive(Clone, Copy, Debug)]
struct Durations;

impl MetricConstructor<Histogram> for Durations {
    fn new_metric(&self) -> Histogram {
        Histogram::new(DURATIONS)
    }
}

/// What is counted as it happens. What stands as it is now is in [`super::Census`].
#[derive(Debug)]
pub struct Metrics {
    /// Requests to the API server.
    pub api_requests: ApiRequests,
    requests: Family<Requests, Counter>,
    durations: Family<OfProvider, Histogram, Durations>,
    skew: Family<OfProvider, Gauge>,
    lateness: Histogram,
    lives: Histogram,
    restarts: Counter,
    leader: Gauge,
    /// Providers that have series.
    asked: Mutex<BTreeSet<String>>,
    expired: Mutex<Expired>,
}

/// Time during which a target had an expired token.
#[derive(Debug)]
struct Expired {
    total: TimeDelta,
    /// Until when it is counted.
    until: DateTime<Utc>,
}

impl Expired {
    /// Counts what a token was expired for by `now`.
    fn add(&mut self, expires_at: DateTime<Utc>, now: DateTime<Utc>) {
        let since = expires_at.max(self.until);
        self.total += (now - since).max(TimeDelta::zero());
    }
}

impl Metrics {
    /// Everything at zero, in a process that began `now`.
    pub fn new(now: DateTime<Utc>) -> Self {
        Self {
            api_requests: ApiRequests::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(Durations),
            skew: Family::default(),
            lateness: Histogram::new(LATENESS),
            lives: Histogram::new(LIVES),
            restarts: Counter::default(),
            leader: Gauge::default(),
            asked: Mutex::default(),
            expired: Mutex::new(Expired { total: TimeDelta::zero(), until: now }),
        }
    }

    /// Puts them where they are read.
    pub fn register(&self, registry: &mut Registry) {
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The tokenward that runs", build);
        registry.register(
            "api_requests",
            "Requests to the API server by RBAC verb and resource",
            self.api_requests.clone(),
        );
        registry.register(
            "token_requests",
            "Token requests by what came of them",
            self.requests.clone(),
        );
        let help = "How long token requests took";
        registry.register_with_unit("token_request", help, Unit::Seconds, self.durations.clone());
        let help = "By how much the provider's clock is ahead of ours";
        registry.register_with_unit("provider_clock_skew", help, Unit::Seconds, self.skew.clone());
        let help = "From when a refresh was due until it began";
        registry.register_with_unit("refresh_lateness", help, Unit::Seconds, self.lateness.clone());
        let help =
            "What was left of a token when the next one was written; nothing where it had expired";
        registry.register_with_unit("token_life_left", help, Unit::Seconds, self.lives.clone());
        registry.register("restarts", "Rounds of workload restarts", self.restarts.clone());
        registry.register(
            "leader",
            "Whether this process is the one that acts",
            self.leader.clone(),
        );
    }

    /// This process acts from now on, or not any more. What expired before was for another one to
    /// count.
    pub fn note_leading(&self, leads: bool, now: DateTime<Utc>) {
        self.leader.set(leads.into());
        let mut expired = self.expired();
        expired.until = expired.until.max(now);
    }

    /// Counts what came of a plan for a token, given what was known before.
    pub fn learn(&self, before: &Snapshot, outcome: &Outcome, now: DateTime<Utc>) {
        match outcome {
            Outcome::Published { attempt, .. } => {
                let Some(held) = &before.facts.held else { return };
                self.lives.observe(seconds((held.expires_at - now).max(TimeDelta::zero())));
                if before.token.spec.on_expiry == OnExpiry::Keep {
                    self.expired().add(held.expires_at, now);
                }
                let as_planned =
                    before.facts.consecutive_failures == 0 && attempt.refresh_request.is_none();
                if as_planned && attempt.at >= held.refresh_at {
                    self.lateness.observe(seconds(attempt.at - held.refresh_at));
                }
            }
            Outcome::Restarted { restarts: Restarts::Done(_), .. } => drop(self.restarts.inc()),
            _ => {}
        }
    }

    /// For how long targets had an expired token so far, those that have one now among them: when
    /// each of those expired.
    pub(super) fn expired_for(
        &self,
        expired_at: impl Iterator<Item = DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> TimeDelta {
        let mut expired = self.expired();
        expired_at.for_each(|expires_at| expired.add(expires_at, now));
        expired.until = expired.until.max(now);
        expired.total
    }

    /// Forgets providers that are gone.
    pub(super) fn forget_all_but(&self, known: &BTreeSet<String>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        for provider in asked.difference(known) {
            for result in RESULTS {
                self.requests.remove(&Requests { provider: provider.clone(), result });
            }
            let of_it = OfProvider { provider: provider.clone() };
            self.durations.remove(&of_it);
            self.skew.remove(&of_it);
        }
        asked.retain(|provider| known.contains(provider));
    }

    /// A request to this provider was sent.
    fn count(&self, provider: &str, result: &'static str) {
        let provider = provider.to_owned();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(provider.clone());
        self.requests.get_or_create(&Requests { provider, result }).inc();
    }

    fn expired(&self) -> std::sync::MutexGuard<'_, Expired> {
        self.expired.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for Metrics {
    fn discovery(&self, _: &Url, _: Result<&Answer, &Error>) {}

    fn exchange(&self, exchange: &Exchange<'_>) {
        let Some(result) = result(exchange.issued.err(), exchange.answer.is_some()) else { return };
        let provider = &exchange.materials.provider;
        self.count(provider, result);
        let of_it = OfProvider { provider: provider.clone() };
        // A clock that was set back says nothing.
        let took = exchange.took.max(TimeDelta::zero());
        self.durations.get_or_create(&of_it).observe(seconds(took));
        if let Some(skew) = exchange.answer.and_then(Answer::clock_skew) {
            self.skew.get_or_create(&of_it).set(skew.num_seconds());
        }
    }

    fn given_up(&self, provider: &str) {
        self.count(provider, GIVEN_UP);
    }
}

/// `None` where nothing was sent.
fn result(error: Option<&Error>, is_answered: bool) -> Option<&'static str> {
    let Some(error) = error else { return is_answered.then_some("issued") };
    match (is_answered, error.class()) {
        (true, Class::Permanent) => Some("refused"),
        (true, Class::Throttled) => Some("throttled"),
        (true, Class::Transient | Class::Ambiguous | Class::Waiting) => Some("failed"),
        (false, _) => {
            let tried = [Reason::ProviderUnreachable, Reason::ProviderTimeout];
            tried.contains(&error.reason()).then_some("unanswered")
        }
    }
}

/// Milliseconds are enough.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of centuries fit")]
pub(super) fn seconds(time: TimeDelta) -> f64 {
    time.num_milliseconds() as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn expired_time_is_counted_once_and_never_falls() {
        let metrics = Metrics::new(at(0));
        let so_far = |expired: &[i64], now| {
            let expired = expired.iter().map(|second| at(*second));
            metrics.expired_for(expired, at(now)).num_seconds()
        };
        assert_eq!(so_far(&[10], 15), 5);
        assert_eq!(so_far(&[10, 18], 20), 12, "five more of the one, two of the other");
        // Both are replaced, or deleted.
        metrics.expired().add(at(10), at(23));
        assert_eq!(so_far(&[], 30), 15);
        // What expired before this process began was for another one to count.
        assert_eq!(Metrics::new(at(0)).expired_for([at(-50)].into_iter(), at(1)).num_seconds(), 1);
    }

    #[test]
    fn a_request_that_was_given_up_is_counted_and_goes_with_its_provider() {
        let metrics = Metrics::new(at(0));
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let told = || {
            let mut told = String::new();
            prometheus_client::encoding::text::encode(&mut told, &registry).unwrap();
            told
        };
        metrics.given_up("web/p");
        let series = "token_requests_total{provider=\"web/p\",result=\"given_up\"} 1";
        assert!(told().contains(series), "{}", told());
        metrics.forget_all_but(&BTreeSet::new());
        assert!(!told().contains("web/p"), "{}", told());
    }

    #[test]
    fn a_result_is_told_by_class() {
        let error = |reason| Error::new(reason, "");
        assert_eq!(result(None, true), Some("issued"));
        assert_eq!(result(None, false), None, "signed here");
        let refused = error(Reason::TokenRequestRejected);
        assert_eq!(result(Some(&refused), true), Some("refused"));
        assert_eq!(result(Some(&error(Reason::ProviderThrottled)), true), Some("throttled"));
        assert_eq!(result(Some(&error(Reason::ProviderError)), true), Some("failed"));
        assert_eq!(result(Some(&error(Reason::ProviderTimeout)), false), Some("unanswered"));
        assert_eq!(result(Some(&error(Reason::EgressDenied)), false), None);
    }
}
