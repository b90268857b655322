//! The status that follows from what is remembered and decided.

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::annotations::whole_seconds;
use crate::api::conditions::{self, FRESH, Holds, READY, STALLED, Stamp, Verdict};
use crate::api::{InputsStatus, OAuthClientTokenStatus, TokenState};
use crate::decide::{Facts, Verdicts};
use crate::error::Error;

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

impl Standing {
    /// The same for standings that a status tells of in the same words.
    pub fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.verdicts, self.next_attempt_at, self.stamp.generation).hash(&mut hasher);
        hasher.finish()
    }
}

/// A status that was, and the one that is.
#[derive(Clone, Copy, Debug)]
pub struct Transition<'a> {
    /// As it was last written.
    pub before: &'a OAuthClientTokenStatus,
    /// As it is to be written.
    pub after: &'a OAuthClientTokenStatus,
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
    let inputs = facts.attempted.clone().map(|digest| {
        // Only where the inputs were found to be those of the last attempt may the next process
        // take them for the same.
        let same = facts.seen.as_ref().filter(|seen| seen.found.as_ref() == Ok(&digest));
        InputsStatus { seen: same.map(|seen| seen.at.clone()).unwrap_or_default(), digest }
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
            outputs: held.outputs.clone(),
        }),
        secret_name: facts.held.as_ref().map(|held| held.secret_name.clone()),
        former_secret_names: facts.former.iter().cloned().collect(),
        consecutive_failures: facts.consecutive_failures.try_into().unwrap_or(i32::MAX),
        last_attempt_at: facts.last_attempt_at.map(whole_seconds),
        next_attempt_at: next_attempt_at.map(whole_seconds),
        throttled_until: facts.throttled_until.map(whole_seconds),
        client_secret_key: facts.secret_key.clone(),
        same_token_until_seconds: facts.same_token_until.map(|until| until.num_seconds()),
        restarted_for: facts.rollout.as_ref().filter(|r| r.done).map(|r| r.changed_at),
        last_handled_refresh_request: facts.handled_refresh_request.clone(),
        inputs,
    }
}

/// The status of a token of which nothing could be read: what was written before, and why it is not
/// kept fresh. Ready stays until the token ends.
pub fn unread(
    before: &OAuthClientTokenStatus,
    error: &Error,
    stamp: Stamp,
) -> OAuthClientTokenStatus {
    let mut after = before.clone();
    let verdict = |holds| Verdict::new(holds, error.reason().as_str(), error.message());
    let conditions = &mut after.conditions;
    let is_good = before.token.as_ref().is_some_and(|token| token.expires_at > stamp.now);
    if !(is_good && conditions::is_true(conditions, READY)) {
        conditions::set(conditions, READY, verdict(Holds::No), stamp);
    }
    conditions::set(conditions, FRESH, verdict(Holds::No), stamp);
    conditions::set(conditions, STALLED, verdict(Holds::Yes), stamp);
    after
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::decide::Seen;
    use crate::error::Reason;

    fn written(facts: &Facts, before: &[Condition], second: i64) -> OAuthClientTokenStatus {
        let verdict = || Verdict::new(Holds::Yes, "Same", "the same");
        let verdicts = Verdicts { ready: verdict(), fresh: verdict(), stalled: verdict() };
        let now = DateTime::from_timestamp(second, 7).unwrap();
        let stamp = Stamp { now, generation: Some(1) };
        status(facts, Standing { verdicts, next_attempt_at: Some(now), stamp }, before)
    }

    #[test]
    fn what_was_attempted_is_known_even_while_the_inputs_cannot_be_read() {
        let mut facts = Facts { attempted: Some("key.digest".into()), ..Facts::default() };
        let inputs = |facts: &Facts| {
            let inputs = written(facts, &[], 1).inputs.unwrap();
            (inputs.digest, inputs.seen)
        };
        assert_eq!(inputs(&facts), ("key.digest".into(), String::new()));
        facts.seen = Some(Seen { at: "v1".into(), found: Ok("key.digest".into()) });
        assert_eq!(inputs(&facts), ("key.digest".into(), "v1".into()));
        // Others were found: the next process has to compare again.
        facts.seen = Some(Seen { at: "v2".into(), found: Ok("key.other".into()) });
        assert_eq!(inputs(&facts), ("key.digest".into(), String::new()));
    }

    #[test]
    fn what_could_not_be_read_leaves_a_good_token_ready() {
        let error = Error::new(Reason::ReadFailed, "RBAC does not let tokenward get secrets");
        let told = |status: &OAuthClientTokenStatus, second| {
            let now = DateTime::from_timestamp(second, 0).unwrap();
            let after = unread(status, &error, Stamp { now, generation: Some(1) });
            let conditions = after.conditions.iter();
            let told = conditions.map(|c| format!("{}={} {}", c.type_, c.status, c.reason));
            told.collect::<Vec<_>>().join(", ")
        };
        let stalled = "Fresh=False ReadFailed, Stalled=True ReadFailed";
        let never = OAuthClientTokenStatus::default();
        assert_eq!(told(&never, 1), format!("Ready=False ReadFailed, {stalled}"));
        let mut good = written(&Facts::default(), &[], 1);
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        good.token = Some(TokenState {
            issued_at: at(0),
            expires_at: at(100),
            refresh_at: at(50),
            token_type: None,
            scopes: vec![],
            outputs: vec![],
        });
        assert_eq!(told(&good, 99), format!("Ready=True Same, {stalled}"));
        assert_eq!(told(&good, 100), format!("Ready=False ReadFailed, {stalled}"));
    }

    #[test]
    fn a_status_reads_back_as_it_was_written() {
        let now = DateTime::from_timestamp(1, 7).unwrap();
        let facts =
            Facts { last_attempt_at: Some(now), throttled_until: Some(now), ..Facts::default() };
        let status = written(&facts, &[], 1);
        let json = serde_json::to_value(&status).unwrap();
        assert_eq!(serde_json::from_value::<OAuthClientTokenStatus>(json).unwrap(), status);
        // Later on nothing has changed: not even since when it is so.
        assert_eq!(written(&facts, &status.conditions, 1), status);
        assert_eq!(written(&facts, &status.conditions, 9).conditions, status.conditions);
    }
}
