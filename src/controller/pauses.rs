//! For how long something pauses that could not be read or recorded: longer each time, and not all
//! for the same time, for an API server that is back has others to serve.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_mins(1);

/// How often each failed in a row.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<HashMap<String, u32>>);

impl Pauses {
    /// It failed again.
    pub(super) fn next(&self, object: String, random: f64) -> Duration {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = failed.entry(object).or_default();
        let pause = FIRST.saturating_mul(1 << (*times).min(8)).min(LONGEST);
        *times += 1;
        pause.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    /// It did not fail.
    pub(super) fn end(&self, object: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_begin_anew() {
        let pauses = Pauses::default();
        let next = |random| pauses.next("shop".to_owned(), random).as_secs();
        let grown: Vec<u64> = (0..7).map(|_| next(1.0)).collect();
        assert_eq!(grown, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(next(0.0), 30, "they differ by half");
        pauses.end("shop");
        assert_eq!(next(1.0), 2);
    }
}
