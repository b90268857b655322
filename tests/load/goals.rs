//! What tokenward is to hold, and which figure tells whether it does.

/// A goal.
pub struct Goal {
    /// What it is about.
    pub what: &'static str,
    /// The figure's name.
    pub figure: &'static str,
    /// At how many tokens; `None` where that does not matter.
    pub tokens: Option<u32>,
    /// What holds it.
    pub bound: Bound,
}

/// What a figure has to be.
#[derive(Clone, Copy)]
pub enum Bound {
    /// No more than this.
    AtMost(f64, &'static str),
    /// At least so many percent of its ceiling.
    OfCeiling(f64),
    /// No more than this above another figure.
    Above(&'static str, f64, &'static str),
    /// From so many tokens on, no more than so many KiB a token, of a figure in MiB.
    Slope(u32, f64),
}

use Bound::{Above, AtMost, OfCeiling, Slope};

const fn goal(
    what: &'static str,
    (figure, tokens): (&'static str, Option<u32>),
    bound: Bound,
) -> Goal {
    Goal { what, figure, tokens, bound }
}

const THOUSAND: Option<u32> = Some(1_000);
const TEN_THOUSAND: Option<u32> = Some(10_000);
const FIFTY_THOUSAND: Option<u32> = Some(50_000);

/// In the order in which they are told.
pub const GOALS: [Goal; 23] = [
    goal("cold start, 1,000 tokens", ("cold-start/rate", THOUSAND), OfCeiling(80.0)),
    goal("cold start, 10,000 tokens", ("cold-start/rate", TEN_THOUSAND), OfCeiling(65.0)),
    goal(
        "API requests a refresh",
        ("steady/api-requests-per-refresh", TEN_THOUSAND),
        AtMost(3.1, ""),
    ),
    goal("start late, p99", ("steady/start-late-p99", TEN_THOUSAND), AtMost(50.0, "ms")),
    goal(
        "Secret written late, p99",
        ("steady/written-late-p99", TEN_THOUSAND),
        AtMost(250.0, "ms"),
    ),
    goal("expired", ("steady/expired", TEN_THOUSAND), AtMost(0.0, "s")),
    goal("memory, idle", ("idle/resident", None), AtMost(20.0, "MiB")),
    goal("memory, 10,000 tokens", ("steady/resident", TEN_THOUSAND), AtMost(60.0, "MiB")),
    goal(
        "memory, 10,000 tokens, peak since a restart",
        ("steady/peak", TEN_THOUSAND),
        AtMost(70.0, "MiB"),
    ),
    goal("memory, 10,000 new tokens, peak", ("cold-start/peak", TEN_THOUSAND), AtMost(70.0, "MiB")),
    goal("memory, 50,000 tokens", ("steady/resident", FIFTY_THOUSAND), AtMost(200.0, "MiB")),
    goal(
        "memory, a token, from 10,000 to 50,000",
        ("steady/resident", FIFTY_THOUSAND),
        Slope(10_000, 4.0),
    ),
    goal(
        "50,000 unrelated Secrets, more memory",
        ("crowd/all/resident", None),
        Above("crowd/none/resident", 5.0, "MiB"),
    ),
    goal(
        "restart, 10,000 good tokens, all scheduled",
        ("restart/scheduled", TEN_THOUSAND),
        AtMost(3_000.0, "ms"),
    ),
    goal("restart, token requests", ("restart/token-requests", TEN_THOUSAND), AtMost(0.0, "")),
    goal("CPU a refresh", ("steady/cpu-per-refresh", TEN_THOUSAND), AtMost(1.2, "ms")),
    goal(
        "CPU a new token, as many as the machine makes",
        ("cold-start/cpu-per-token", TEN_THOUSAND),
        AtMost(0.8, "ms"),
    ),
    goal("reconcile that finds nothing to do", ("in-process/noop", None), AtMost(20.0, "µs")),
    goal("its decision", ("in-process/decide-noop", None), AtMost(3.0, "µs")),
    goal("its API requests", ("in-process/noop-api-requests", None), AtMost(0.0, "")),
    goal("binary", ("size/binary", None), AtMost(16.0, "MB")),
    goal("image", ("size/image", None), AtMost(25.0, "MB")),
    goal("start to first watch", ("idle/start-to-first-watch", None), AtMost(300.0, "ms")),
];
