//! Snapshots for tests: small words for what a test is about, sensible values for the rest.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::*;
use crate::api::annotations::REVOKE_FINALIZER;
use crate::api::annotations::{
    ALLOW, EXPIRES_AT, INPUTS, ISSUED_AT, OWNER, REFRESH_AT, REFRESH_REQUESTED_AT, format_due,
    format_time,
};
use crate::api::{CreationPolicy, DeletionPolicy, Delivery, OAuthClientToken, keys};
use crate::error::{Error, Reason};

/// What the inputs are as long as a test says nothing else, and where that was seen.
pub(super) const DIGEST: &str = "key.digest";
pub(super) const SEEN: &str = "shape/1";

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn seconds(time: DateTime<Utc>) -> i64 {
    (time - at(0)).num_seconds()
}

pub(super) fn error(reason: Reason) -> Error {
    Error::new(reason, format!("{reason:?} happened"))
}

pub(super) fn token() -> OAuthClientToken {
    serde_json::from_value(json!({
        "apiVersion": "tokenward.dev/v1alpha1",
        "kind": "OAuthClientToken",
        "metadata": {"name": "shop", "namespace": "web", "uid": "u-1", "generation": 1},
        "spec": {"providerRef": {"name": "p"}, "credentialsSecretRef": {"name": "c"}},
    }))
    .unwrap()
}

/// A token of a life that was asked for at second 0, and is due after four fifths of it.
pub(super) fn held(life: i64) -> HeldToken {
    HeldToken {
        outputs: Vec::new(),
        issued_at: at(0),
        expires_at: at(life),
        refresh_at: at(life * 4 / 5),
        token_type: Some("Bearer".into()),
        scopes: Vec::new(),
        secret_name: "shop".into(),
        fingerprint: None,
        repeated: false,
        changed_at: None,
    }
}

/// A target as it is right after a token was written to it.
pub(super) fn written(held: &HeldToken, owner: &crate::api::annotations::Owner) -> TargetMeta {
    let annotations = [
        (ISSUED_AT, format_time(held.issued_at)),
        (EXPIRES_AT, format_time(held.expires_at)),
        (REFRESH_AT, format_due(held.refresh_at)),
        (INPUTS, DIGEST.to_owned()),
        (OWNER, owner.to_string()),
    ];
    let keys = [keys::ACCESS_TOKEN, keys::TOKEN_TYPE, keys::EXPIRES_AT];
    TargetMeta {
        uid: "target".into(),
        resource_version: "1".into(),
        annotations: annotations.map(|(key, value)| (key.to_owned(), value)).into(),
        controller: Some(ControllerRef {
            api_version: "tokenward.dev/v1alpha1".into(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
        }),
        labelled: true,
        owned_keys: keys.map(str::to_owned).into(),
        owned_labels: Some([].into()),
        owned_annotations: [].into(),
        ..TargetMeta::default()
    }
}

/// Somebody else's Secret that a token's keys are in.
pub(super) fn merged(held: &HeldToken, owner: &crate::api::annotations::Owner) -> TargetMeta {
    let written = written(held, owner);
    let mut target = TargetMeta {
        controller: None,
        labelled: false,
        guest: Some(owner.guest_manager()),
        ..written
    };
    target.annotations.remove(OWNER);
    target.annotations.insert(ALLOW.into(), owner.consent());
    target
}

/// A stranger's Secret.
pub(super) fn foreign() -> TargetMeta {
    let controller = ControllerRef {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        name: "other".into(),
        uid: "other".into(),
    };
    TargetMeta { uid: "foreign".into(), controller: Some(controller), ..TargetMeta::default() }
}

/// What a plan comes to, with times in seconds since second 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Wait(Option<i64>),
    Verify,
    Fetch,
    WriteAgain(String),
    Revoke,
    Withdraw,
    Restart,
    Part,
    Finalizer(FinalizerChange),
    Inspect,
    Leave(String),
}

pub(super) fn told(plan: &Plan) -> Told {
    match plan {
        Plan::Wait { until, .. } => Told::Wait(until.map(seconds)),
        Plan::VerifyInputs => Told::Verify,
        Plan::Fetch(_) => Told::Fetch,
        Plan::Revoke => Told::Revoke,
        Plan::Withdraw(_) => Told::Withdraw,
        Plan::Restart { .. } => Told::Restart,
        Plan::Part => Told::Part,
        Plan::Finalizer(change) => Told::Finalizer(*change),
        Plan::Inspect => Told::Inspect,
        Plan::Leave { secret_name, .. } => Told::Leave(secret_name.clone()),
        Plan::WriteAgain { from, .. } => Told::WriteAgain(from.clone()),
    }
}

/// A snapshot in the making.
#[derive(Clone)]
pub(super) struct Scene(pub(super) Snapshot);

impl Scene {
    /// Nothing has happened yet.
    pub(super) fn new() -> Self {
        Self(Snapshot {
            token: Arc::new(token()),
            owner: token().owner(),
            facts: Facts::default(),
            means: Ok(Means { seen: SEEN.into(), ..Means::default() }),
            shape: Ok(Outline::default()),
            target: None,
            rivals: Rivals::default(),
            keys: crate::render::target_keys([]),
            holds: true,
            held_back: None,
            delivery: Delivery::Volume,
            resumed_at: at(-1_000_000),
        })
    }

    /// A token of this life was fetched and written at second 0.
    pub(super) fn holding(life: i64) -> Self {
        let scene = Self::new();
        let held = held(life);
        let target = written(&held, &scene.0.owner());
        scene
            .facts(|facts| {
                facts.last_attempt_at = Some(at(0));
                facts.attempted = Some(DIGEST.into());
                facts.seen = Some(Seen { at: SEEN.into(), found: Ok(DIGEST.into()) });
                facts.held = Some(held);
            })
            .target(Some(target))
    }

    pub(super) fn facts(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(&mut self.0.facts);
        self
    }

    pub(super) fn token(mut self, change: impl FnOnce(&mut OAuthClientToken)) -> Self {
        change(Arc::make_mut(&mut self.0.token));
        self
    }

    pub(super) fn target(mut self, target: Option<TargetMeta>) -> Self {
        self.0.target = target;
        self
    }

    pub(super) fn damaged(mut self, change: impl FnOnce(&mut TargetMeta)) -> Self {
        change(self.0.target.as_mut().unwrap());
        self
    }

    pub(super) fn means(mut self, means: Result<Means, Error>) -> Self {
        self.0.means = means;
        self
    }

    pub(super) fn min_interval(self, seconds: i64) -> Self {
        let min_interval = Some(TimeDelta::seconds(seconds));
        let limits = Limits { min_interval, ..Limits::default() };
        self.means(Ok(Means { seen: SEEN.into(), limits }))
    }

    /// The credentials, or the shape of the request, have another version now.
    pub(super) fn touched(self) -> Self {
        self.means(Ok(Means { seen: "shape/2".into(), ..Means::default() }))
    }

    pub(super) fn requested(self, value: &str) -> Self {
        self.token(|token| {
            let annotations = token.metadata.annotations.get_or_insert_default();
            annotations.insert(REFRESH_REQUESTED_AT.into(), value.into());
        })
    }

    pub(super) fn held_back(mut self, held_back: HeldBack) -> Self {
        self.0.held_back = Some(held_back);
        self
    }

    /// The target is declared to have this shape, with a key, a label and an annotation.
    pub(super) fn shaped(mut self, digest: &str) -> Self {
        let names = |name: &str| [name.to_owned()].into();
        self.0.shape = Ok(Outline {
            digest: digest.into(),
            keys: names("header"),
            kept_keys: [].into(),
            labels: names("team"),
            annotations: names("note"),
        });
        self
    }

    pub(super) fn suspended(self) -> Self {
        self.token(|token| token.spec.suspend = true)
    }

    /// The target is to be treated so.
    pub(super) fn policies(self, creation: CreationPolicy, deletion: DeletionPolicy) -> Self {
        self.token(|token| {
            token.spec.target.creation_policy = creation;
            token.spec.target.deletion_policy = deletion;
        })
    }

    /// A token of this life was merged into somebody else's Secret at second 0.
    pub(super) fn merged(life: i64) -> Self {
        let scene = Self::holding(life).policies(CreationPolicy::Merge, DeletionPolicy::Delete);
        let target = merged(&held(life), &scene.0.owner());
        let finalizers = vec![REVOKE_FINALIZER.to_owned()];
        scene.target(Some(target)).token(|token| token.metadata.finalizers = Some(finalizers))
    }

    /// An older token wants the same target.
    pub(super) fn rivalled(mut self, name: &str) -> Self {
        self.0.rivals.earlier.push(name.to_owned());
        self
    }

    pub(super) fn renamed(self, name: &str) -> Self {
        self.token(|token| token.spec.target.secret_name = Some(name.into())).target(None)
    }

    /// The last attempt failed at this second.
    pub(super) fn failed(self, second: i64, error: Error) -> Self {
        let without_target = self.0.target.is_none();
        self.learn(second, |attempt| Outcome::Failed {
            error,
            attempt: Attempt { without_target, ..attempt },
        })
    }

    /// Learns an outcome at this second; `outcome` is given an attempt made then with the usual
    /// inputs.
    pub(super) fn learn(self, second: i64, outcome: impl FnOnce(Attempt) -> Outcome) -> Self {
        let attempt = Attempt {
            at: at(second),
            seen: SEEN.into(),
            inputs: Some(DIGEST.into()),
            refresh_request: None,
            without_target: false,
            remark: None,
            ..Attempt::default()
        };
        let min_interval = self.0.means.as_ref().ok().and_then(|means| means.limits.min_interval);
        let lesson = Lesson { now: at(second), min_interval, random: 0.5, undone_by: None };
        self.facts(|facts| *facts = learn(facts.clone(), outcome(attempt), lesson))
    }

    pub(super) fn decide(&self, second: i64) -> Plan {
        decide(&self.0, at(second), 0.5)
    }

    pub(super) fn told(&self, second: i64) -> Told {
        told(&self.decide(second))
    }

    /// Waits at this second, and tells the conditions: `Ready/Reason Fresh/Reason Stalled/Reason`,
    /// with `!` before a type that does not hold.
    pub(super) fn conditions(&self, second: i64) -> String {
        let Plan::Wait { verdicts, .. } = self.decide(second) else {
            panic!("{:?}", self.decide(second))
        };
        let word = |verdict: &crate::api::conditions::Verdict| {
            format!("{}{}", if verdict.status == "True" { "" } else { "!" }, verdict.reason)
        };
        [&verdicts.ready, &verdicts.fresh, &verdicts.stalled].map(word).join(" ")
    }
}

pub(super) fn set_back(scene: Scene, second: i64) -> Scene {
    scene.learn(second, |attempt| Outcome::Failed {
        error: error(Reason::ReadFailed),
        attempt: Attempt { inputs: None, ..attempt },
    })
}
