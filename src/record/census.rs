//! Figures of how things stand, looked up when they are asked for: what is gone has none.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::metrics::{Metrics, seconds};
use crate::act::Load;
use crate::clock::Clock;

/// Tokens with series of their own: those that expire soonest.
const MOST_TOKENS: usize = 10_000;

/// When a token expires and is refreshed.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// When the next one is due.
    pub refresh_at: DateTime<Utc>,
}

/// How a token stands.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Its namespace; empty for a cluster token.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its provider.
    pub provider: String,
    /// What it holds, where it holds anything.
    pub times: Option<Times>,
    /// Whether a person wants nothing done with it.
    pub is_suspended: bool,
    /// Whether nobody minds when it expires: it leaves its target then, or it is deleted.
    pub may_expire: bool,
    /// Whether it is Ready.
    pub is_ready: bool,
    /// The reason of its condition Fresh.
    pub fresh: String,
}

/// What can be seen.
pub trait Census: Send + Sync {
    /// Every token.
    fn tokens(&self) -> Vec<Sighting>;
    /// The names of all providers.
    fn providers(&self) -> BTreeSet<String>;
    /// What waits at every origin.
    fn load(&self) -> Vec<Load>;
}

/// Looks around whenever figures are asked for. There are none where there is nothing to see: before
/// the caches are filled, and while another process acts.
pub struct CensusCollector {
    census: Mutex<Option<Arc<dyn Census>>>,
    metrics: Arc<Metrics>,
    clock: Clock,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfToken {
    namespace: String,
    name: String,
    provider: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, EncodeLabelSet)]
struct OfReason {
    reason: String,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfOrigin {
    origin: String,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfWindow {
    origin: String,
    window: String,
}

impl CensusCollector {
    /// One that has nothing to look at yet.
    pub fn new(metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self { census: Mutex::default(), metrics, clock }
    }

    /// There is something to see from now on, or nothing any more.
    pub fn look_at(&self, census: Option<Arc<dyn Census>>) {
        *self.census.lock().unwrap_or_else(PoisonError::into_inner) = census;
    }

    fn tokens(&self, census: &dyn Census, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut tokens = census.tokens();
        let now = self.clock.now();
        let mut reasons: BTreeMap<OfReason, i64> = BTreeMap::new();
        for token in &tokens {
            *reasons.entry(OfReason { reason: token.fresh.clone() }).or_default() += 1;
        }
        let help = "Tokens by the reason of their condition Fresh";
        gauges(encoder, ("tokens", help, None), reasons.into_iter())?;
        let expiries = tokens.iter().filter(|token| !token.may_expire && !token.is_suspended);
        let expired = expiries.filter_map(|token| token.times.map(|times| times.expires_at));
        let total = self.metrics.expired_for(expired.filter(|expires_at| *expires_at < now), now);
        let help = "How long targets had an expired token, all together";
        let counter = ConstCounter::new(seconds(total));
        let unit = Unit::Seconds;
        counter.encode(encoder.encode_descriptor(
            "token_expired",
            help,
            Some(&unit),
            MetricType::Counter,
        )?)?;
        if tokens.len() > MOST_TOKENS {
            tokens.sort_by_cached_key(|token| {
                let expires_at = token.times.map(|times| times.expires_at);
                // Those that hold nothing come last.
                let order = (expires_at.is_none(), expires_at);
                (order, token.namespace.clone(), token.name.clone())
            });
            tokens.truncate(MOST_TOKENS);
        }
        let time = |pick: fn(&Times) -> DateTime<Utc>| {
            let holding = tokens.iter().filter_map(|token| Some((token, token.times.as_ref()?)));
            holding.map(move |(token, times)| (of(token), pick(times).timestamp()))
        };
        let help = "When the token that is there expires";
        let times = time(|times| times.expires_at);
        gauges(encoder, ("token_expiry_timestamp", help, Some(&unit)), times)?;
        let help = "When the next token is due";
        let times = time(|times| times.refresh_at);
        gauges(encoder, ("token_refresh_timestamp", help, Some(&unit)), times)?;
        // What was written last may be over by now.
        let is_good = |token: &Sighting| {
            token.is_ready && token.times.is_some_and(|times| times.expires_at > now)
        };
        let ready = tokens.iter().map(|token| (of(token), i64::from(is_good(token))));
        gauges(encoder, ("token_ready", "Whether a good token is in its target", None), ready)?;
        let suspended =
            tokens.iter().filter(|token| token.is_suspended).map(|token| (of(token), 1));
        gauges(encoder, ("token_suspended", "Tokens that are suspended", None), suspended)
    }
}

/// How things stand at the origins that are asked.
fn origins(load: &[Load], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let of = |pick: fn(&Load) -> u32| {
        load.iter().map(move |at| (OfOrigin { origin: at.origin.clone() }, i64::from(pick(at))))
    };
    let help = "Tokens that wait for their turn at an origin";
    gauges(encoder, ("origin_waiting", help, None), of(|at| at.waiting))?;
    let help = "Requests under way to an origin";
    gauges(encoder, ("origin_under_way", help, None), of(|at| at.under_way))?;
    let help = "Accounts at an origin whose circuit breaker is open";
    gauges(encoder, ("origin_circuits_open", help, None), of(|at| at.circuits_open))?;
    let of = |pick: fn(&(u32, u32)) -> u32| {
        load.iter().flat_map(move |at| {
            at.left.iter().map(move |(window, budget)| {
                let window = window.clone();
                (OfWindow { origin: at.origin.clone(), window }, i64::from(pick(budget)))
            })
        })
    };
    let help = "Requests that limits.requestsPer allows";
    gauges(encoder, ("origin_budget", help, None), of(|budget| budget.1))?;
    let help = "Requests that limits.requestsPer still allows, of the account that has least";
    gauges(encoder, ("origin_budget_left", help, None), of(|budget| budget.0))
}

impl Collector for CensusCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let census = self.census.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(census) = census else { return Ok(()) };
        self.metrics.forget_all_but(&census.providers());
        self.tokens(&*census, &mut encoder)?;
        origins(&census.load(), &mut encoder)
    }
}

impl fmt::Debug for CensusCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CensusCollector").finish_non_exhaustive()
    }
}

fn of(token: &Sighting) -> OfToken {
    OfToken {
        namespace: token.namespace.clone(),
        name: token.name.clone(),
        provider: token.provider.clone(),
    }
}

/// One family of gauges.
fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<&Unit>),
    values: impl Iterator<Item = (L, i64)>,
) -> fmt::Result {
    let mut values = values.peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
