//! What is remembered of a token from one decision to the next. It survives a restart by way of
//! the status and the target's annotations.

use std::collections::BTreeSet;

use chrono::serde::{ts_microseconds, ts_microseconds_option};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::finalizer::{FINALIZER_REMARK, FinalizerTry};
use super::leaving::LEAVING_REMARK;
use super::rollout::{Rollout, TARGET_REMARK};
use super::schedule::{LENIENCE, REFRESH_REMARK, REPAIR_MEMORY, after};
use super::snapshot::TargetMeta;
use crate::api::annotations::{
    CHANGED_AT, EXPIRES_AT, INPUTS, ISSUED_AT, REFRESH_AT, milliseconds, parse_time, whole_seconds,
};
use crate::api::{OAuthClientTokenStatus, conditions};
use crate::error::{Class, Error, Reason};

/// The message of a good refresh, before any remark.
pub(super) const REFRESHED: &str = "the last refresh succeeded";

/// What is remembered of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The token that was last written.
    pub held: Option<HeldToken>,
    /// Attempts that failed since the last success.
    pub consecutive_failures: u32,
    /// How many of the last ones were of one kind (permanent or not) and made with the same
    /// inputs: what the backoff counts, for an outage says nothing of a refusal that follows it.
    pub failures_of_a_kind: u32,
    /// When the provider was last asked.
    #[serde(with = "ts_microseconds_option")]
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// After a failure: when to try again.
    #[serde(with = "ts_microseconds_option")]
    pub retry_at: Option<DateTime<Utc>>,
    /// The provider asked for silence until then.
    #[serde(with = "ts_microseconds_option")]
    pub throttled_until: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    pub failure: Option<Error>,
    /// Digest of what the last attempt was made with.
    pub attempted: Option<String>,
    /// The shape of the target at the last attempt, see [`super::Outline::digest`]. Not remembered
    /// over a restart.
    pub attempted_shape: Option<String>,
    /// A shape that cannot be had of the token that is there. Not remembered over a restart.
    pub unrendered: Option<String>,
    /// Whether the last attempt was made without a good target to fall back on.
    pub attempted_without_target: bool,
    /// What was last found when the inputs were read.
    pub seen: Option<Seen>,
    /// The last refresh request that was acted on.
    pub handled_refresh_request: Option<String>,
    /// What stood in the way of the last step.
    pub setback: Option<Setback>,
    /// How often the target was mended lately.
    pub repairs: Option<Repairs>,
    /// What was left of the former token when the provider gave a new one, where it had handed it
    /// back before: found out, where the document does not say.
    pub same_token_until: Option<TimeDelta>,
    /// What became of restarting workloads.
    pub rollout: Option<Rollout>,
    /// What hindered the pods that mount the target from being nudged; found out again.
    pub nudge: Option<String>,
    /// What a person should know of the inputs of the last attempt.
    pub remark: Option<String>,
    /// The key of the credentials Secret whose secret the provider last took.
    pub secret_key: Option<String>,
    /// What was last done about the finalizer. Not remembered over a restart.
    pub finalizer: Option<FinalizerTry>,
    /// What was found when the target was last looked at more closely.
    pub inspected: Option<Inspected>,
    /// Secrets that the token was written to before and that are to be cleared of it.
    pub former: BTreeSet<String>,
    /// What stood in the way of clearing one of them. Not remembered over a restart.
    pub leaving: Option<Setback>,
    /// Whether the resource is deleted and its tokens are revoked, as far as that was possible.
    pub parted: bool,
    /// When former tokens are to be revoked. Not remembered over a restart, for neither are they.
    #[serde(with = "ts_microseconds_option")]
    pub revoke_at: Option<DateTime<Utc>>,
}

/// A token that was written to its target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldToken {
    /// Just before it was asked for.
    #[serde(with = "ts_microseconds")]
    pub issued_at: DateTime<Utc>,
    /// When it expires.
    #[serde(with = "ts_microseconds")]
    pub expires_at: DateTime<Utc>,
    /// When the next one is due.
    #[serde(with = "ts_microseconds")]
    pub refresh_at: DateTime<Utc>,
    /// As the provider says.
    pub token_type: Option<String>,
    /// As the provider says.
    pub scopes: Vec<String>,
    /// The Secret that it was written to.
    pub secret_name: String,
    /// The names of the further keys that the target holds.
    pub outputs: Vec<String>,
    /// Digest of the token itself; forgotten over a restart.
    pub fingerprint: Option<String>,
    /// Whether the provider handed it back when another was asked for; forgotten over a restart.
    pub repeated: bool,
    /// When it took another's place, where workloads are restarted for that.
    #[serde(with = "ts_microseconds_option")]
    pub changed_at: Option<DateTime<Utc>>,
}

/// What was found when the inputs were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Shape and credentials' version at that time, see [`super::Means::seen`].
    pub at: String,
    /// The inputs' digest, or why no request can be made from them.
    pub found: Result<String, Error>,
}

/// What was found when a target was looked at more closely than its metadata tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// Which Secret, and which version of it.
    pub version: String,
    /// The keys that it has, or why it cannot be written to.
    pub found: Result<BTreeSet<String>, Error>,
}

/// Something that stood in the way before the provider was asked anything: it is no attempt. The
/// same step is not tried again at once. Not remembered over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setback {
    /// What it was.
    pub error: Error,
    /// The how many in a row.
    pub times: u32,
    /// Nothing is tried before then.
    #[serde(with = "ts_microseconds")]
    pub until: DateTime<Utc>,
}

/// Repairs of the target: writing it again, or fetching anew because it was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repairs {
    /// The how many in a row.
    pub times: u32,
    /// When the last one was.
    #[serde(with = "ts_microseconds")]
    pub at: DateTime<Utc>,
    /// Who made them necessary, as `managedFields` tells.
    pub undone_by: Option<String>,
}

impl Facts {
    /// What a status and the metadata of the token's own target `secret_name` tell after a
    /// restart. The target is written before the status, so where they differ the later token is
    /// the true one.
    pub fn restore(
        status: &OAuthClientTokenStatus,
        target: Option<&TargetMeta>,
        secret_name: &str,
    ) -> Self {
        let facts = Self::of_status(status, secret_name);
        let found = target.and_then(|target| HeldToken::of_target(target, secret_name));
        let facts = match (target, found) {
            (Some(target), Some(found)) => facts.with_target(target, found),
            _ => facts,
        };
        facts.with_former(status)
    }

    /// A process that ended between the writing of a renamed target and that of the status left
    /// the former one behind.
    fn with_former(mut self, status: &OAuthClientTokenStatus) -> Self {
        self.former =
            status.former_secret_names.iter().chain(&status.secret_name).cloned().collect();
        if let Some(held) = &self.held {
            self.former.remove(&held.secret_name);
        }
        self
    }

    fn of_status(status: &OAuthClientTokenStatus, secret_name: &str) -> Self {
        let failing = status.consecutive_failures > 0;
        let failures = status.consecutive_failures.try_into().unwrap_or_default();
        let inputs = status.inputs.as_ref();
        Self {
            held: HeldToken::of_status(status, secret_name),
            consecutive_failures: failures,
            failures_of_a_kind: failures,
            last_attempt_at: status.last_attempt_at,
            retry_at: status.next_attempt_at.filter(|_| failing),
            throttled_until: status.throttled_until,
            failure: failure(status).filter(|_| failing),
            attempted: inputs.map(|inputs| inputs.digest.clone()),
            attempted_shape: None,
            unrendered: None,
            attempted_without_target: failing
                && !conditions::is_true(&status.conditions, conditions::READY),
            seen: inputs.map(|i| Seen { at: i.seen.clone(), found: Ok(i.digest.clone()) }),
            handled_refresh_request: status.last_handled_refresh_request.clone(),
            setback: None,
            repairs: None,
            secret_key: status.client_secret_key.clone(),
            same_token_until: status.same_token_until_seconds.and_then(TimeDelta::try_seconds),
            rollout: status.restarted_for.map(Rollout::of),
            nudge: None,
            finalizer: None,
            inspected: None,
            former: BTreeSet::new(),
            leaving: None,
            parted: false,
            revoke_at: None,
            remark: remark(status),
        }
    }

    fn with_target(self, target: &TargetMeta, found: HeldToken) -> Self {
        match self.held {
            Some(held) if held.issued_at > found.issued_at => Self { held: Some(held), ..self },
            // The same token. The status tells more of it, the target where it has got to.
            Some(held) if held.issued_at == found.issued_at => {
                let HeldToken { secret_name, changed_at, .. } = found;
                let held = HeldToken { secret_name, changed_at, ..held };
                Self { held: Some(held), ..self }
            }
            _ => self.overtaken_by(target, found),
        }
    }

    /// The process ended between the writing of the target and that of the status, or the status
    /// is lost.
    fn overtaken_by(self, target: &TargetMeta, found: HeldToken) -> Self {
        if self.last_attempt_at.is_some_and(|at| at > found.issued_at) {
            return Self { held: Some(found), ..self };
        }
        let attempted = target.annotations.get(INPUTS).cloned();
        Self {
            last_attempt_at: Some(found.issued_at),
            held: Some(found),
            seen: self.seen.filter(|_| attempted == self.attempted),
            attempted,
            handled_refresh_request: self.handled_refresh_request,
            secret_key: self.secret_key,
            same_token_until: self.same_token_until,
            rollout: self.rollout,
            // That attempt succeeded, whatever came before it.
            ..Self::default()
        }
    }
}

impl Repairs {
    /// Until when a target counts as contested that was mended so often.
    pub(super) fn contested_until(&self) -> Option<DateTime<Utc>> {
        (self.times >= LENIENCE).then(|| after(self.at, REPAIR_MEMORY))
    }

    /// What is told of a target that somebody undoes again and again.
    pub(super) fn contested(&self, secret_name: &str, now: DateTime<Utc>) -> Option<Error> {
        self.contested_until().filter(|until| *until > now && self.at <= now)?;
        let who = match &self.undone_by {
            Some(manager) => format!("by field manager {manager:?}"),
            None => "by somebody who left no trace in its managedFields".to_owned(),
        };
        let message = format!(
            "Secret {secret_name:?} is undone again and again, {who}: it is mended ever more \
             rarely; let only one of the two write it"
        );
        Some(Error::new(Reason::TargetContested, message))
    }
}

impl HeldToken {
    fn of_status(status: &OAuthClientTokenStatus, secret_name: &str) -> Option<Self> {
        let token = status.token.as_ref()?;
        Some(Self {
            issued_at: token.issued_at,
            expires_at: token.expires_at,
            refresh_at: token.refresh_at,
            token_type: token.token_type.clone(),
            scopes: token.scopes.clone(),
            outputs: token.outputs.clone(),
            secret_name: status.secret_name.clone().unwrap_or_else(|| secret_name.to_owned()),
            fingerprint: None,
            repeated: false,
            changed_at: None,
        })
    }

    /// What a target's annotations tell of the token that it holds.
    pub fn of_target(target: &TargetMeta, secret_name: &str) -> Option<Self> {
        let told = |key: &str| target.annotations.get(key).and_then(|value| parse_time(value));
        let time = |key: &str| told(key).map(whole_seconds);
        Some(Self {
            issued_at: time(ISSUED_AT)?,
            expires_at: time(EXPIRES_AT)?,
            refresh_at: told(REFRESH_AT).map(milliseconds)?,
            token_type: None,
            scopes: Vec::new(),
            outputs: target.outputs(),
            secret_name: secret_name.to_owned(),
            fingerprint: None,
            repeated: false,
            changed_at: time(CHANGED_AT),
        })
    }
}

/// What was remarked of the last refresh; what is said of the spec is found out again.
fn remark(status: &OAuthClientTokenStatus) -> Option<String> {
    let fresh = conditions::find(&status.conditions, conditions::FRESH)?;
    let remarks = fresh.message.strip_prefix(REFRESHED)?.strip_prefix("; ")?;
    let own = [FINALIZER_REMARK, REFRESH_REMARK, TARGET_REMARK, LEAVING_REMARK];
    let found_again = own.iter().filter_map(|own| remarks.find(own));
    let remark = remarks.get(..found_again.min().unwrap_or(remarks.len()))?;
    let remark = remark.trim_end_matches("; ");
    (!remark.is_empty()).then(|| remark.to_owned())
}

fn failure(status: &OAuthClientTokenStatus) -> Option<Error> {
    let fresh = conditions::find(&status.conditions, conditions::FRESH)?;
    let reason = Reason::ALL.iter().find(|reason| reason.as_str() == fresh.reason)?;
    let class = match conditions::is_true(&status.conditions, conditions::STALLED) {
        true => Class::Permanent,
        false => Class::Transient,
    };
    let error = Error::new(*reason, fresh.message.clone()).with_class(class);
    Some(error).filter(|_| comes_of_an_attempt(*reason))
}

/// Whether a reason is that of an attempt that failed. The others are found out before one is
/// made, and found out again.
fn comes_of_an_attempt(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::EgressDenied
            | Reason::ProviderUnreachable
            | Reason::ProviderTimeout
            | Reason::ProviderError
            | Reason::ProviderThrottled
            | Reason::CircuitOpen
            | Reason::TokenRequestRejected
            | Reason::InvalidResponse
            | Reason::DiscoveryFailed
            | Reason::ServiceAccountTokenDenied
            | Reason::WriteFailed
            | Reason::TargetNotRendered
            | Reason::SecretNotOwned
            | Reason::TargetKeyConflict
            | Reason::TargetImmutable
            | Reason::SecretTypeNotAllowed
    )
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
