//! What is remembered of a token from one decision to the next. It survives a restart by way of
//! the status and the target's annotations.

use chrono::{DateTime, Utc};

use super::snapshot::TargetMeta;
use crate::api::annotations::{EXPIRES_AT, INPUTS, ISSUED_AT, REFRESH_AT, parse_time};
use crate::api::{OAuthClientTokenStatus, conditions};
use crate::error::{Class, Error, Reason};

/// What is remembered of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The token that was last written.
    pub held: Option<HeldToken>,
    /// Attempts that failed since the last success.
    pub consecutive_failures: u32,
    /// When the provider was last asked.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// After a failure: when to try again.
    pub retry_at: Option<DateTime<Utc>>,
    /// The provider asked for silence until then.
    pub throttled_until: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    pub failure: Option<Error>,
    /// Digest of what the last attempt was made with.
    pub attempted: Option<String>,
    /// Whether the last attempt was made without a good target to fall back on.
    pub attempted_without_target: bool,
    /// What was last found when the inputs were read.
    pub seen: Option<Seen>,
    /// The last refresh request that was acted on.
    pub handled_refresh_request: Option<String>,
}

/// A token that was written to its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldToken {
    /// Just before it was asked for.
    pub issued_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// When the next one is due.
    pub refresh_at: DateTime<Utc>,
    /// As the provider says.
    pub token_type: Option<String>,
    /// As the provider says.
    pub scopes: Vec<String>,
    /// The Secret that it was written to.
    pub secret_name: String,
    /// Digest of the token itself; forgotten over a restart.
    pub fingerprint: Option<String>,
}

/// What was found when the inputs were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Shape and credentials' version at that time, see [`super::Means::seen`].
    pub at: String,
    /// The inputs' digest, or why no request can be made from them.
    pub found: Result<String, Error>,
}

impl Facts {
    /// What a status and the metadata of the target `secret_name` tell after a restart. The
    /// target is written before the status, so where they differ the later token is the true one.
    pub fn restore(
        status: &OAuthClientTokenStatus,
        target: Option<&TargetMeta>,
        secret_name: &str,
    ) -> Self {
        let failing = status.consecutive_failures > 0;
        let of_target = target.and_then(|target| HeldToken::of_target(target, secret_name));
        let of_status = HeldToken::of_status(status, secret_name);
        let target_is_later = match (&of_status, &of_target) {
            (Some(status), Some(target)) => target.issued_at > status.issued_at,
            (None, _) => true,
            (Some(_), None) => false,
        };
        let inputs = status.inputs.as_ref();
        let mut facts = Self {
            consecutive_failures: status.consecutive_failures.try_into().unwrap_or_default(),
            last_attempt_at: status.last_attempt_at,
            retry_at: status.next_attempt_at.filter(|_| failing),
            throttled_until: status.throttled_until,
            failure: failure(status).filter(|_| failing),
            attempted: inputs.map(|inputs| inputs.digest.clone()),
            attempted_without_target: failing
                && !conditions::is_true(&status.conditions, conditions::READY),
            seen: inputs.map(|i| Seen { at: i.seen.clone(), found: Ok(i.digest.clone()) }),
            handled_refresh_request: status.last_handled_refresh_request.clone(),
            held: of_status,
        };
        if let (true, Some(target), Some(held)) = (target_is_later, target, of_target) {
            let inputs = target.annotations.get(INPUTS).cloned();
            facts.last_attempt_at = facts.last_attempt_at.max(Some(held.issued_at));
            if inputs != facts.attempted {
                facts.seen = None;
            }
            facts.attempted = inputs;
            facts.held = Some(held);
        }
        facts
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
            secret_name: status.secret_name.clone().unwrap_or_else(|| secret_name.to_owned()),
            fingerprint: None,
        })
    }

    fn of_target(target: &TargetMeta, secret_name: &str) -> Option<Self> {
        let time = |key: &str| target.annotations.get(key).and_then(|value| parse_time(value));
        Some(Self {
            issued_at: time(ISSUED_AT)?,
            expires_at: time(EXPIRES_AT)?,
            refresh_at: time(REFRESH_AT)?,
            token_type: None,
            scopes: Vec::new(),
            secret_name: secret_name.to_owned(),
            fingerprint: None,
        })
    }
}

fn failure(status: &OAuthClientTokenStatus) -> Option<Error> {
    let fresh = conditions::find(&status.conditions, conditions::FRESH)?;
    let reason = Reason::ALL.iter().find(|reason| reason.as_str() == fresh.reason)?;
    let class = match conditions::is_true(&status.conditions, conditions::STALLED) {
        true => Class::Permanent,
        false => Class::Transient,
    };
    Some(Error::new(*reason, fresh.message.clone()).with_class(class))
}
