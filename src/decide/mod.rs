//! What to do about one token. Pure: no I/O, no clock, no Kubernetes client, nothing but `api`,
//! `error` and arithmetic. Everything it needs is in the [`Snapshot`], the time and a random
//! number; everything it wants is in the [`Plan`].

mod admission;
mod conditions;
mod facts;
mod finalizer;
mod learn;
mod leaving;
mod ownership;
mod parents;
mod plan;
#[cfg(test)]
mod purity_tests;
mod rollout;
mod schedule;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod simulation_tests;
mod snapshot;
mod target;
#[cfg(test)]
mod testing;
mod view;

pub use admission::{Applicant, CredentialsSource, SecretKey, admit, own_credentials};
pub use facts::{Facts, HeldToken, Inspected, Repairs, Seen, Setback};
pub(crate) use finalizer::FINALIZER_REMARK;
pub use finalizer::{FinalizerChange, FinalizerTry, is_held};
pub use learn::{Attempt, Lesson, Outcome, learn};
pub use ownership::{
    Claim, Holder, Rivals, Wish, claim, holder, immutable, key_conflict, not_owned, ownership,
};
pub use parents::{Parent, parents};
pub use plan::{FetchOrder, Plan, Renewal, Verdicts, decide, meanwhile};
pub use rollout::{Due, Restarts, Rollout, Spacing, due};
pub use schedule::{Limits, Pace};
pub use snapshot::{ControllerRef, Means, Snapshot, TargetMeta};
