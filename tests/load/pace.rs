//! How long tokens live, so that as many fall due in a second as are wanted.

use provider_simulator::Behaviour;
use serde_json::{Value, json};

/// Refreshes a second.
const RATE: f64 = 60.0;
/// Few tokens are not to live for a moment only, in seconds.
const SHORTEST: f64 = 10.0;
/// What a cold start reaches of what the machine can do, at the very least.
const SHARE: f64 = 0.5;
/// For what lies between a cold start and the first refresh, two restarts among it, in seconds.
const PAUSE: f64 = 35.0;
/// Lives that are given in turn.
const LIVES: u32 = 97;
/// How long before its end a token is refreshed at most: what `docs/refresh.md` says of mounted
/// Secrets.
const LEAD: f64 = 140.0;

/// When tokens are refreshed, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// From one refresh of a token to the next.
    pub interval: f64,
    /// From a cold start to the first one of all.
    pub first: f64,
}

impl Pace {
    /// That of so many tokens, where a bare client can write so many a second.
    pub fn of(tokens: u32, ceiling: f64) -> Self {
        let tokens = f64::from(tokens);
        let cold_start = tokens / (ceiling * SHARE);
        Self { interval: (tokens / RATE).max(SHORTEST), first: cold_start + PAUSE }
    }

    /// The first lives: they end evenly spread over an interval, as if the tokens had come one by
    /// one, and not in the order in which they are given.
    pub fn first_lives(&self) -> Behaviour {
        let share = |turn: u32| (f64::from(turn) * 0.618_034).fract();
        let wait = |turn| self.first + self.interval * share(turn);
        Behaviour::living_in_turn((0..LIVES).map(|turn| self.life(wait(turn))))
    }

    /// All later ones. They end after the first ones: a token that does not outlast the one before
    /// would be a reason to ask less often.
    pub fn lives(&self) -> Behaviour {
        Behaviour::living(self.life(self.interval))
    }

    /// The lead that tokens of this interval have by default, in so many words: so the first lives,
    /// which are longer, have the same.
    pub fn spec(&self) -> Value {
        json!({"refresh": {"lead": format!("{}s", self.lead())}})
    }

    fn lead(&self) -> f64 {
        self.interval.min(LEAD).round()
    }

    /// The life of a token that is refreshed after so many seconds.
    #[expect(clippy::cast_possible_truncation, reason = "minutes")]
    fn life(&self, refreshed_after: f64) -> i64 {
        (refreshed_after + self.lead()).round() as i64
    }
}
