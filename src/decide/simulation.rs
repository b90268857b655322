//! A small world to try decisions in: a provider, Secrets, a process that may end at any time.
//! It breaks off the test where a rule of the design is broken, whatever happens in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::testing::{at, error, foreign, token, written};
use super::*;
use crate::api::annotations::{EXPIRES_AT, INPUTS, REFRESH_REQUESTED_AT, parse_time};
use crate::api::conditions::Stamp;
use crate::api::{Delivery, OAuthClientTokenStatus};
use crate::error::{Class, Reason};
use crate::record::{Standing, status};

/// What the provider does when it is asked.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// A new token, with so many seconds to live.
    Token(i64),
    /// The token that it gave before, for as long as that lives.
    Same(i64),
    /// A failure.
    Fail(Reason),
    /// A wish for silence.
    Silence(u64),
}

/// What may happen between two decisions.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Nothing,
    Delete,
    DamageData,
    DamageMetadata,
    TakeOver,
    GiveBack,
    Rename(u8),
    Edit(u8),
    Touch,
    Request,
    Suspend(bool),
    LoseProvider(bool),
    RefuseCredentials(bool),
    ApiDown(bool),
    Answers(Answer),
    Restart,
    /// As a restart, but what was written since the last but one status is not in the status.
    Crash,
    LoseStatus,
}

struct Secret {
    meta: TargetMeta,
    /// Whether there is a token in it.
    token: Option<DateTime<Utc>>,
}

/// Decisions in a row before something else happens.
const WAKES: u32 = 400;

/// What is known of the last request to the provider.
struct Request {
    at: DateTime<Utc>,
    /// Nothing sooner than so long after it, unless something urgent happens.
    rest: TimeDelta,
}

pub(super) struct World {
    pub(super) now: DateTime<Utc>,
    scene: Snapshot,
    secrets: BTreeMap<String, Secret>,
    statuses: [OAuthClientTokenStatus; 2],
    answer: Answer,
    issued: (u32, DateTime<Utc>),
    inputs: u8,
    version: u32,
    requests: u32,
    refuses: bool,
    api_down: bool,
    last: Option<Request>,
    silent_until: DateTime<Utc>,
    /// Something happened that lets a request come sooner.
    urgent: bool,
    random: u64,
    pub(super) wake: Option<DateTime<Utc>>,
    pub(super) asked: u32,
}

impl World {
    pub(super) fn new(answer: Answer, min_interval: Option<i64>, seed: u64) -> Self {
        let means = Means {
            seen: "0/0".into(),
            limits: Limits {
                min_interval: min_interval.map(TimeDelta::seconds),
                ..Limits::default()
            },
        };
        Self {
            now: at(0),
            scene: Snapshot {
                token: Arc::new(token()),
                owner: token().owner(),
                facts: Facts::default(),
                means: Ok(means),
                shape: Ok(Outline::default()),
                target: None,
                rivals: Rivals::default(),
                keys: crate::render::target_keys([]),
                holds: true,
                held_back: None,
                delivery: Delivery::Volume,
                resumed_at: at(0),
            },
            secrets: BTreeMap::new(),
            statuses: Default::default(),
            answer,
            issued: (0, at(0)),
            inputs: 0,
            version: 0,
            requests: 0,
            refuses: false,
            api_down: false,
            last: None,
            silent_until: at(0),
            urgent: false,
            random: seed,
            wake: None,
            asked: 0,
        }
    }

    fn random(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        f64::from(u32::try_from(self.random >> 32).unwrap()) / (f64::from(u32::MAX) + 1.0)
    }

    fn min_interval(&self) -> Option<TimeDelta> {
        self.scene.means.as_ref().ok().and_then(|means| means.limits.min_interval)
    }

    fn name(&self) -> String {
        self.scene.secret_name().to_owned()
    }

    /// Lets time go by until then, or until the decisions are many: a token of a second needs
    /// thousands of them in an hour.
    pub(super) fn until(&mut self, then: DateTime<Utc>) {
        for _ in 0..WAKES {
            match self.wake.filter(|wake| *wake <= then) {
                Some(wake) => self.now = wake,
                None => return self.now = then.max(self.now),
            }
            self.settle();
        }
    }

    pub(super) fn happen(&mut self, event: Event) {
        let name = self.name();
        // What may lead to a request that no schedule foresees.
        self.urgent |= !matches!(
            event,
            Event::Nothing | Event::Touch | Event::Suspend(_) | Event::Answers(_) | Event::Restart
        );
        match event {
            Event::Nothing => {}
            Event::Delete => drop(self.secrets.remove(&name)),
            Event::DamageData => self.damage(|secret| secret.meta.owned_keys.clear()),
            Event::DamageMetadata => self.damage(|secret| {
                secret.meta.annotations.remove(EXPIRES_AT);
            }),
            Event::TakeOver => {
                self.secrets.insert(name, Secret { meta: foreign(), token: None });
            }
            Event::GiveBack => {
                if self.secrets.get(&name).is_some_and(|secret| secret.meta.uid == "foreign") {
                    self.secrets.remove(&name);
                }
            }
            Event::Rename(n) => {
                self.token(|token| token.spec.target.secret_name = Some(format!("t{n}")));
            }
            Event::Edit(n) => self.inputs = n,
            Event::Touch => self.version += 1,
            Event::Request => {
                self.requests += 1;
                let value = self.requests.to_string();
                self.token(|token| {
                    let annotations = token.metadata.annotations.get_or_insert_default();
                    annotations.insert(REFRESH_REQUESTED_AT.into(), value);
                });
            }
            Event::Suspend(suspend) => self.token(|token| token.spec.suspend = suspend),
            Event::LoseProvider(lost) => {
                let limits = Limits { min_interval: self.min_interval(), ..Limits::default() };
                self.scene.means = match lost {
                    true => Err(error(Reason::ProviderNotFound)),
                    false => Ok(Means { seen: String::new(), limits }),
                };
            }
            Event::RefuseCredentials(refuses) => {
                self.refuses = refuses;
                self.version += 1;
            }
            Event::ApiDown(down) => self.api_down = down,
            Event::Answers(answer) => self.answer = answer,
            Event::Restart => self.restart(self.statuses[1].clone()),
            Event::Crash => self.forget(self.statuses[0].clone()),
            Event::LoseStatus => self.forget(OAuthClientTokenStatus::default()),
        }
        self.settle();
    }

    fn token(&mut self, change: impl FnOnce(&mut crate::api::OAuthClientToken)) {
        change(Arc::make_mut(&mut self.scene.token));
    }

    fn damage(&mut self, change: impl FnOnce(&mut Secret)) {
        if let Some(secret) = self.secrets.get_mut(self.scene.secret_name()) {
            change(secret);
        }
    }

    /// Starts again with a status that does not tell of the last attempt: if that failed, nothing
    /// does.
    fn forget(&mut self, status: OAuthClientTokenStatus) {
        (self.last, self.silent_until) = (None, self.now);
        self.restart(status);
    }

    fn restart(&mut self, status: OAuthClientTokenStatus) {
        // No process starts within the second.
        self.now += TimeDelta::seconds(2);
        let status: OAuthClientTokenStatus =
            serde_json::from_value(serde_json::to_value(status).unwrap()).unwrap();
        let own = self.secrets.get(self.scene.secret_name()).map(|secret| &secret.meta);
        let own = own.filter(|meta| holder(meta, &self.scene.owner()) == Holder::Us);
        self.scene.facts = Facts::restore(&status, own, self.scene.secret_name());
        self.scene.resumed_at = self.now;
        self.statuses = [status.clone(), status];
    }

    /// Decides until there is nothing to do but wait.
    pub(super) fn settle(&mut self) {
        for _ in 0..6 {
            let target = self.secrets.get(self.scene.secret_name());
            self.scene.target = target.map(|secret| secret.meta.clone());
            let seen = format!("{}/{}", self.inputs, self.version);
            if let Ok(means) = &mut self.scene.means {
                means.seen = seen;
            }
            let random = self.random();
            let outcome = match decide(&self.scene, self.now, random) {
                Plan::Wait { until, next_attempt_at, verdicts } => {
                    return self.rest(
                        until,
                        Standing {
                            verdicts,
                            next_attempt_at,
                            stamp: Stamp { now: self.now, generation: None },
                        },
                    );
                }
                Plan::VerifyInputs => self.verify(),
                Plan::Fetch(order) => self.fetch(&order),
                Plan::WriteAgain { from, held } => self.write_again(&from, held),
                Plan::Leave { secret_name, .. } => {
                    self.leave(&secret_name);
                    Outcome::Left { secret_name, error: None }
                }
                Plan::Inspect => self.inspect(),
                Plan::Revoke => Outcome::Revoked { next: None },
                Plan::Withdraw(_) | Plan::Restart { .. } => panic!("nothing asks for that"),
                Plan::Part | Plan::Finalizer(_) => panic!("nothing asks for a finalizer"),
            };
            self.learn(outcome);
        }
        panic!("no rest: {:?}", self.scene);
    }

    fn learn(&mut self, outcome: Outcome) {
        let random = self.random();
        let min_interval = self.min_interval();
        let lesson = Lesson { now: self.now, min_interval, random, undone_by: None };
        let facts = std::mem::take(&mut self.scene.facts);
        self.scene.facts = learn(facts, outcome, lesson);
    }

    fn rest(&mut self, until: Option<DateTime<Utc>>, standing: Standing) {
        assert!(until.is_none_or(|until| until > self.now), "a wake-up in the past");
        assert!(standing.next_attempt_at.is_none_or(|at| at > self.now), "an attempt in the past");
        let taken = ownership(&self.scene) != Holder::Us && self.scene.target.is_some();
        let idle = self.scene.token.spec.suspend || self.scene.means.is_err() || taken;
        assert!(idle || self.refuses || until.is_some(), "work is left, but no wake-up");
        let before = &self.statuses[1];
        let after = status(&self.scene.facts, standing, &before.conditions);
        if after != *before {
            self.statuses = [before.clone(), after];
        }
        self.wake = until;
    }

    fn unasked(&self, reason: Reason) -> Outcome {
        let attempt = Attempt { at: self.now, ..Attempt::default() };
        Outcome::Failed { error: error(reason), attempt }
    }

    fn seen(&self) -> String {
        self.scene.means.as_ref().unwrap().seen.clone()
    }

    fn verify(&self) -> Outcome {
        match (self.api_down, self.refuses) {
            (true, _) => self.unasked(Reason::ReadFailed),
            (_, true) => Outcome::Verified {
                seen: self.seen(),
                found: Err(error(Reason::InvalidCredentials)),
            },
            _ => Outcome::Verified { seen: self.seen(), found: Ok(format!("key.{}", self.inputs)) },
        }
    }

    fn inspect(&self) -> Outcome {
        let version = self.scene.target.as_ref().unwrap().version();
        Outcome::Inspected(Inspected { version, found: Ok(std::collections::BTreeSet::new()) })
    }

    fn attempt(&self, order: &FetchOrder) -> Attempt {
        Attempt {
            at: self.now,
            seen: self.seen(),
            inputs: Some(format!("key.{}", self.inputs)),
            refresh_request: order.refresh_request.clone(),
            without_target: order.without_target,
            ..Attempt::default()
        }
    }

    fn fetch(&mut self, order: &FetchOrder) -> Outcome {
        if self.api_down || self.refuses {
            return self.verify();
        }
        self.check_the_rest(order.without_target);
        self.asked += 1;
        let attempt = self.attempt(order);
        let expires_at = match self.answer {
            Answer::Token(life) => {
                self.issued = (self.issued.0 + 1, self.now + TimeDelta::seconds(life));
                self.issued.1
            }
            Answer::Same(life) => {
                if self.issued.1 <= self.now {
                    self.issued = (self.issued.0 + 1, self.now + TimeDelta::seconds(life));
                }
                self.issued.1
            }
            Answer::Fail(reason) => return self.failed(error(reason), attempt),
            Answer::Silence(seconds) => {
                let wait = std::time::Duration::from_secs(seconds);
                self.silent_until = self.now + TimeDelta::from_std(wait).unwrap();
                let error = error(Reason::ProviderThrottled).with_retry_after(Some(wait));
                return self.failed(error, attempt);
            }
        };
        let fingerprint = self.issued.0.to_string();
        let renewal = order.renewal(&fingerprint, self.now, expires_at);
        let refresh_at = order.refresh_at(renewal, self.now, expires_at);
        let held = HeldToken {
            outputs: Vec::new(),
            issued_at: self.now,
            expires_at,
            refresh_at,
            token_type: None,
            scopes: Vec::new(),
            secret_name: self.name(),
            fingerprint: Some(fingerprint),
            repeated: renewal == Renewal::Same,
            changed_at: None,
        };
        let cut = crate::api::annotations::whole_seconds;
        let life = cut(expires_at) - cut(self.now);
        let by_default = (life / 2).min(TimeDelta::seconds(30)).max(TimeDelta::seconds(5));
        let rest = self.min_interval().unwrap_or(by_default);
        self.last = Some(Request { at: self.now, rest });
        self.urgent = false;
        self.write(&held, attempt.inputs.clone());
        Outcome::Published { held, attempt }
    }

    /// Never a request sooner than the design lets it.
    fn check_the_rest(&self, without_target: bool) {
        assert!(self.now >= self.silent_until, "the provider asked for silence");
        let Some(last) = &self.last else { return };
        let explicit = self.min_interval().unwrap_or(TimeDelta::seconds(3));
        let urgent = explicit.min(TimeDelta::seconds(3)).min(last.rest);
        let rest = if self.urgent { urgent } else { last.rest };
        let passed = self.now - last.at;
        // What is remembered over a restart is remembered in whole seconds.
        let slack = TimeDelta::seconds(i64::from(self.scene.resumed_at > last.at));
        assert!(
            passed >= rest - slack,
            "{passed} instead of {rest}, urgent: {}, without target: {without_target}",
            self.urgent
        );
    }

    fn failed(&mut self, error: crate::error::Error, attempt: Attempt) -> Outcome {
        let rest = self.min_interval().unwrap_or(TimeDelta::seconds(5)).min(TimeDelta::seconds(5));
        let rest = match error.class() {
            Class::Permanent => TimeDelta::seconds(57),
            _ => rest,
        };
        self.last = Some(Request { at: self.now, rest });
        self.urgent = false;
        Outcome::Failed { error, attempt }
    }

    fn write_again(&mut self, from: &str, held: HeldToken) -> Outcome {
        if self.api_down {
            return self.unasked(Reason::ReadFailed);
        }
        let there = self.secrets.get(from).and_then(|secret| secret.token);
        if there != Some(held.expires_at) {
            return Outcome::NothingToWriteAgain;
        }
        let held = HeldToken { secret_name: self.name(), ..held };
        self.write(&held, self.scene.facts.attempted.clone());
        Outcome::WrittenAgain { held }
    }

    fn write(&mut self, held: &HeldToken, inputs: Option<String>) {
        let cut = crate::api::annotations::whole_seconds;
        let shown = HeldToken { expires_at: cut(held.expires_at), ..held.clone() };
        let mut meta = written(&shown, &self.scene.owner());
        let inputs = inputs.unwrap_or_default();
        meta.annotations.insert(INPUTS.into(), inputs);
        let secret = Secret { meta, token: Some(shown.expires_at) };
        self.secrets.insert(held.secret_name.clone(), secret);
    }

    fn leave(&mut self, name: &str) {
        let owner = self.scene.owner();
        if self.secrets.get(name).is_some_and(|secret| holder(&secret.meta, &owner) == Holder::Us) {
            self.secrets.remove(name);
        }
    }

    /// Whether the target is there, whole, and holds a token that has expired.
    pub(super) fn holds_an_expired_token(&self) -> bool {
        let Some(target) = self.secrets.get(self.scene.secret_name()) else { return false };
        let expires_at = target.meta.annotations.get(EXPIRES_AT).and_then(|at| parse_time(at));
        expires_at.is_some_and(|at| at <= self.now)
    }
}
