//! What to do about one token. Pure: no I/O, no clock, no Kubernetes client, nothing but `api`,
//! `error` and arithmetic. Everything it needs is in the [`Snapshot`], the time and a random
//! number; everything it wants is in the [`Plan`].

mod account;
mod admission;
mod breaker;
mod conditions;
mod copy_facts;
mod facts;
mod fan_out;
mod finalizer;
#[cfg(test)]
mod held_back_tests;
mod learn;
mod leaving;
mod ownership;
mod parents;
mod plan;
#[cfg(test)]
mod purity_tests;
mod rollout;
mod rotation;
mod schedule;
#[cfg(test)]
mod shape_tests;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod simulation_tests;
mod snapshot;
mod tally;
mod target;
#[cfg(test)]
mod testing;
mod turns;
mod view;
mod window;

pub use account::{Account, Batch, Caller, DEFAULT_QUOTA, HeldBack, Memory, Turn};
pub use admission::{
    Applicant, CredentialsSource, SecretKey, admit, client, not_admitted, own_credentials,
    unreadable_selector,
};
pub use breaker::{Health, Urgency};
pub use copy_facts::{CopyFacts, CopyOutcome, CopySetback, Tried, learn_copy};
pub use facts::{Facts, HeldToken, Inspected, Repairs, Seen, Setback};
pub use fan_out::{CopyChange, CopyStep, Destination, FanOut, FanOutPlan, fan_out};
pub(crate) use finalizer::FINALIZER_REMARK;
pub use finalizer::{FinalizerChange, FinalizerTry, is_held};
pub use learn::{Attempt, Lesson, Outcome, learn};
pub use ownership::{
    Claim, Holder, Rivals, Wish, claim, holder, immutable, key_conflict, not_owned, ownership,
};
pub use parents::{Parent, parents};
pub use plan::{FetchOrder, Plan, Renewal, Verdicts, decide, meanwhile};
pub use rollout::{Due, Restarts, Rollout, Spacing, due};
pub use rotation::{
    Award, Bid, Keeping, Origin, class_of_silence, keeping, loss_remark, origin, send_by,
    silence_remark,
};
pub use schedule::{Limits, Pace, silence};
pub use snapshot::{ControllerRef, Means, Outline, Snapshot, TargetMeta};
pub use tally::Tally;
pub use turns::{Lane, Next, Turns};
pub use window::{Parts, Quota};
