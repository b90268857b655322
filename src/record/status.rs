//! The status that follows from what is remembered and decided.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::annotations::whole_seconds;
use crate::api::conditions::{self, FRESH, READY, STALLED, Stamp};
use crate::api::{InputsStatus, OAuthClientTokenStatus, TokenState};
use crate::decide::{Facts, Verdicts};

/// What a decision says of the present.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The conditions.
    pub verdicts: Verdicts,
    /// When the provider is asked next.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Now, and for which generation of the spec.
    pub stamp: Stamp,
}

/// The status. Conditions keep their `lastTransitionTime` from `before` where their status stays.
pub fn status(facts: &Facts, standing: Standing, before: &[Condition]) -> OAuthClientTokenStatus {
    let Standing { verdicts, next_attempt_at, stamp } = standing;
    let mut now = before.to_vec();
    for (type_, verdict) in
        [(READY, verdicts.ready), (FRESH, verdicts.fresh), (STALLED, verdicts.stalled)]
    {
        conditions::set(&mut now, type_, verdict, stamp);
    }
    let inputs = facts.attempted.clone().zip(facts.seen.as_ref()).map(|(digest, seen)| {
        // Only where the inputs were found to be those of the last attempt may the next process
        // take them for the same.
        let same = seen.found.as_ref() == Ok(&digest);
        InputsStatus { seen: if same { seen.at.clone() } else { String::new() }, digest }
    });
    OAuthClientTokenStatus {
        observed_generation: stamp.generation,
        conditions: now,
        token: facts.held.as_ref().map(|held| TokenState {
            issued_at: held.issued_at,
            expires_at: held.expires_at,
            refresh_at: held.refresh_at,
            token_type: held.token_type.clone(),
            scopes: held.scopes.clone(),
        }),
        secret_name: facts.held.as_ref().map(|held| held.secret_name.clone()),
        consecutive_failures: facts.consecutive_failures.try_into().unwrap_or(i32::MAX),
        last_attempt_at: facts.last_attempt_at.map(whole_seconds),
        next_attempt_at: next_attempt_at.map(whole_seconds),
        throttled_until: facts.throttled_until.map(whole_seconds),
        last_handled_refresh_request: facts.handled_refresh_request.clone(),
        inputs,
    }
}
