//! What to do about one token. Pure: no I/O, no clock, no Kubernetes client, nothing but `api`,
//! `error` and arithmetic. Everything it needs is in the [`Snapshot`], the time and a random
//! number; everything it wants is in the [`Plan`].

mod admission;
mod conditions;
mod facts;
mod fan_out;
mod finalizer;
mod learn;
mod ownership;
mod parents;
mod plan;
#[cfg(test)]
mod purity_tests;
mod schedule;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod simulation_tests;
mod snapshot;
#[cfg(test)]
mod testing;
mod view;

pub use admission::{
    Applicant, CredentialsSource, SecretKey, admit, client, not_admitted, own_credentials,
};
pub use facts::{Facts, HeldToken, Repairs, Seen, Setback};
pub use fan_out::{
    CopyChange, CopyFacts, CopyOutcome, CopyStep, Destination, FanOut, FanOutPlan, Tally, fan_out,
    learn_copy,
};
pub use finalizer::{FinalizerChange, FinalizerTry, finalizer_change};
pub use learn::{Attempt, Lesson, Outcome, learn};
pub use ownership::{Holder, holder, not_owned, ownership};
pub use parents::{Parent, parents};
pub use plan::{FetchOrder, Plan, Renewal, Verdicts, decide, meanwhile};
pub use schedule::{Limits, Pace};
pub use snapshot::{ControllerRef, Means, Snapshot, TargetMeta};
