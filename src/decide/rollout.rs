//! Restarting workloads that read the token once, when they start.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::learn::Lesson;
use super::plan::Plan;
use super::schedule::{Backoff, after};
use super::view::View;
use crate::error::Error;

/// How a remark begins that says what became of restarts and nudges.
pub(super) const TARGET_REMARK: &str = "spec.target.";

/// What changes within this time after a token did is taken along by one restart.
const BATCH: TimeDelta = TimeDelta::seconds(10);
/// A workload that was restarted so long after a token changed reads the new one.
const WRITTEN: TimeDelta = TimeDelta::seconds(5);
/// No workload is restarted more often.
const APART: TimeDelta = TimeDelta::minutes(1);
/// All restarts together: one a second, ...
const SPACING: TimeDelta = TimeDelta::seconds(1);
/// ... and so many at once.
const BURST: i32 = 10;

/// What became of the restarts that a change of the token asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// When the token changed.
    pub changed_at: DateTime<Utc>,
    /// Whether all is done that can be.
    pub done: bool,
    /// Tries that failed.
    pub failures: u32,
    /// Nothing is tried before then.
    pub until: DateTime<Utc>,
    /// What a person should know.
    pub remark: Option<String>,
}

impl Rollout {
    /// All that this change asked for was done.
    pub(super) fn of(changed_at: DateTime<Utc>) -> Self {
        Self { changed_at, done: true, failures: 0, until: changed_at, remark: None }
    }
}

/// What came of one round of restarts.
#[derive(Clone, Debug, PartialEq)]
pub enum Restarts {
    /// All is done that can be; a person should know this.
    Done(Option<String>),
    /// Some have to wait until then.
    Later(DateTime<Utc>),
    /// Some could not be restarted, and others may have to wait until then.
    Failed(Error, Option<DateTime<Utc>>),
}

/// Whether a workload is to be restarted for a change of its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Now.
    Now,
    /// It was restarted since.
    Never,
    /// Not before then.
    At(DateTime<Utc>),
}

/// Whether a workload is to be restarted now, which was restarted then.
pub fn due(
    changed_at: DateTime<Utc>,
    restarted_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Due {
    // A time to come is no time of ours.
    let Some(last) = restarted_at.filter(|last| *last <= now) else { return Due::Now };
    match after(last, APART) {
        _ if last >= after(changed_at, WRITTEN) => Due::Never,
        next if next > now => Due::At(next),
        _ => Due::Now,
    }
}

/// Keeps restarts of all workloads apart, but for a few at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spacing {
    next: Option<DateTime<Utc>>,
}

impl Spacing {
    /// When there is a place, where there is none now.
    pub fn full_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let at = after(self.next?.max(now), -SPACING * (BURST - 1));
        (at > now).then_some(at)
    }

    /// Takes a place, or tells when there is one.
    pub fn take(&mut self, now: DateTime<Utc>) -> Result<(), DateTime<Utc>> {
        if let Some(at) = self.full_until(now) {
            return Err(at);
        }
        self.next = Some(after(self.next.unwrap_or(now).max(now), SPACING));
        Ok(())
    }
}

impl View<'_> {
    /// When workloads are to be restarted for the token that is there.
    pub(super) fn restarts_at(&self) -> Option<DateTime<Utc>> {
        let changed_at = self.good()?.changed_at?;
        if self.snapshot.token.spec.target.restart.is_empty() {
            return None;
        }
        match self.facts.rollout.as_ref().filter(|rollout| rollout.changed_at == changed_at) {
            Some(rollout) => (!rollout.done).then_some(rollout.until),
            None => Some(after(changed_at, BATCH)),
        }
    }

    /// Workloads are restarted, where that is due.
    pub(super) fn restart(&self) -> Option<Plan> {
        let due = self.restarts_at().is_some_and(|at| at <= self.now);
        let changed_at = self.good()?.changed_at?;
        due.then_some(Plan::Restart { changed_at })
    }
}

/// What is known of the restarts after a round of them.
pub(super) fn rolled_out(
    before: Option<Rollout>,
    (changed_at, restarts): (DateTime<Utc>, Restarts),
    (backoff, lesson): (Backoff, Lesson<'_>),
) -> Rollout {
    let failures = before.filter(|rollout| rollout.changed_at == changed_at);
    let failures = failures.map_or(0, |rollout| rollout.failures);
    let now = lesson.now;
    match restarts {
        Restarts::Done(remark) => Rollout { remark, ..Rollout::of(changed_at) },
        Restarts::Later(until) => {
            Rollout { changed_at, done: false, failures, until, remark: None }
        }
        Restarts::Failed(error, others) => {
            let failures = failures.saturating_add(1);
            let backoff = Backoff { failures, remaining: None, ..backoff };
            Rollout {
                changed_at,
                done: false,
                failures,
                until: others
                    .unwrap_or(DateTime::<Utc>::MAX_UTC)
                    .min(after(now, backoff.after(&error))),
                remark: Some(error.message().to_owned()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::testing::Told::{self, Wait};
    use super::super::testing::{Scene, at, error};
    use super::super::{Attempt, HeldToken, Outcome, Plan};
    use super::*;
    use crate::error::Reason;

    #[rstest]
    #[case::never_yet(None, Due::Now)]
    #[case::long_ago(Some(0), Due::Now)]
    #[case::a_moment_ago(Some(70), Due::At(at(130)))]
    #[case::while_it_was_written(Some(102), Due::At(at(162)))]
    #[case::since(Some(105), Due::Never)]
    #[case::in_time_to_come(Some(500), Due::Now)]
    fn a_workload_is_restarted_once_for_a_change(#[case] last: Option<i64>, #[case] expected: Due) {
        assert_eq!(due(at(100), last.map(at), at(110)), expected);
    }

    #[test]
    fn restarts_are_apart_but_for_ten() {
        let mut spacing = Spacing::default();
        let taken = (0..20).filter(|_| spacing.take(at(0)).is_ok()).count();
        assert_eq!(taken, 10);
        assert_eq!(spacing.take(at(0)), Err(at(1)));
        assert_eq!(spacing.take(at(1)), Ok(()));
        assert_eq!(spacing.take(at(1)), Err(at(2)));
        let rested = (0..20).filter(|_| spacing.take(at(100)).is_ok()).count();
        assert_eq!(rested, 10);
    }

    /// A token that took another's place at second 0, read by a Deployment.
    fn changed() -> Scene {
        let scene = Scene::holding(3600).token(|token| {
            let target = serde_json::json!({"restart": [{"kind": "Deployment", "name": "web"}]});
            token.spec.target = serde_json::from_value(target).unwrap();
        });
        scene.facts(|facts| facts.held.as_mut().unwrap().changed_at = Some(at(0)))
    }

    fn restarted(scene: Scene, second: i64, restarts: Restarts) -> Scene {
        scene.learn(second, |_| Outcome::Restarted { changed_at: at(0), restarts })
    }

    #[rstest]
    #[case::soon(changed(), 1, Wait(Some(10)))]
    #[case::together_with_others(changed(), 10, Told::Restart)]
    #[case::done(restarted(changed(), 10, Restarts::Done(None)), 11, Wait(Some(2880)))]
    #[case::later(restarted(changed(), 10, Restarts::Later(at(60))), 11, Wait(Some(60)))]
    #[case::later(restarted(changed(), 10, Restarts::Later(at(60))), 60, Told::Restart)]
    #[case::failed(
        restarted(changed(), 10, Restarts::Failed(error(Reason::WriteFailed), None)),
        11,
        Wait(Some(15))
    )]
    #[case::suspended(changed().suspended(), 10, Wait(Some(2880)))]
    #[case::nobody_asked(Scene::holding(3600), 10, Wait(Some(2880)))]
    // The first token is no change: what waits for it starts with it.
    #[case::the_first(changed().facts(|f| f.held.as_mut().unwrap().changed_at = None), 10, Wait(Some(2880)))]
    #[case::expired(changed(), 3600, Told::Fetch)]
    fn workloads_are_restarted_after_a_change(
        #[case] scene: Scene,
        #[case] second: i64,
        #[case] expected: Told,
    ) {
        assert_eq!(scene.told(second), expected);
    }

    #[test]
    fn another_change_is_another_occasion() {
        let scene = restarted(changed(), 10, Restarts::Done(None)).learn(100, |attempt| {
            let held = HeldToken { changed_at: Some(at(100)), ..super::super::testing::held(3600) };
            Outcome::Published { held, attempt: Attempt { ..attempt } }
        });
        assert_eq!(scene.told(109), Wait(Some(110)));
        assert_eq!(scene.told(110), Told::Restart);
    }

    #[test]
    fn what_hinders_a_restart_is_told() {
        let scene =
            restarted(changed(), 10, Restarts::Done(Some("spec.target.restart: no".into())));
        let Plan::Wait { verdicts, .. } = scene.decide(11) else { panic!() };
        assert!(verdicts.fresh.message.ends_with("; spec.target.restart: no"), "{verdicts:?}");
    }
}
