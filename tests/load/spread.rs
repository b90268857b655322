//! How measured values lie.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Values in order.
pub struct Spread(Vec<f64>);

impl Spread {
    /// Of these values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The least that so many per cent of the values do not exceed; not a number without values.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    pub fn at(&self, percent: f64) -> f64 {
        let rank = (float(self.0.len()) * percent / 100.0).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }
}

/// Events in stretches of time of the same length, from the first to the last.
pub fn buckets(times: &[DateTime<Utc>], length: Duration) -> Vec<f64> {
    let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else { return vec![] };
    let at = |time: &DateTime<Utc>| {
        usize::try_from((*time - first).num_milliseconds()).unwrap() / length.as_millis() as usize
    };
    let mut buckets = vec![0.0; at(last) + 1];
    for time in times {
        buckets[at(time)] += 1.0;
    }
    buckets
}

/// A number of things.
#[expect(clippy::cast_precision_loss, reason = "far fewer than a float holds")]
pub fn float(count: usize) -> f64 {
    count as f64
}

/// Milliseconds.
pub fn milliseconds(time: TimeDelta) -> f64 {
    seconds(time) * 1000.0
}

/// Seconds.
pub fn seconds(time: TimeDelta) -> f64 {
    time.as_seconds_f64()
}
