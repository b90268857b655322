//! From `helm install` to a workload that uses a token: on a cluster whose node runs pods.
//!
//! First as a newcomer types it from the docs (`newcomer.rs`), then as a platform lives with it:
//!
//! The chart is installed as a user would; the operator runs as two pods of its own image, under
//! its own RBAC. The provider simulator runs as a pod too. A workload mounts the target Secret, reads
//! the token anew each time and uses it at the simulator, which records whether the use was valid.
//! Meanwhile things go wrong (`faults.rs`). No use may be invalid, whatever happens.
//!
//! `make e2e` and `tests/kind/run` bring the cluster and say by variables what it is
//! (`settings.rs`); the suite does not care which one it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test says what it expects by failing, and waits by the real clock"
)]

mod cluster;
mod faults;
mod newcomer;
mod provider;
mod report;
mod settings;
mod stage;
mod tenant;
#[path = "../cluster_wide/typed.rs"]
mod typed;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use faults::Fault;
use newcomer::Newcomer;
use stage::{Plan, Stage};

/// At kubelet's own pace: a mounted Secret is brought up to date a minute or so after it changed.
#[test]
#[ignore = "needs a cluster with a node and a quarter of an hour: make e2e"]
fn full() {
    play(&Plan {
        lifetime: 300,
        nudge: false,
        faults: &[
            Fault::LeaderKilled,
            Fault::ProviderDown { seconds: 25 },
            Fault::ApiServerRestarted,
            Fault::ChartUpgraded,
            Fault::TargetDeleted,
            Fault::NamespaceMadeAgain,
        ],
    });
}

/// What a few minutes have room for: kubelet is nudged.
#[test]
#[ignore = "needs a cluster with a node: make e2e-short"]
fn short() {
    play(&Plan {
        lifetime: 90,
        nudge: true,
        faults: &[Fault::LeaderKilled, Fault::ProviderDown { seconds: 8 }, Fault::TargetDeleted],
    });
}

fn play(plan: &Plan) {
    println!("{} a newcomer", chrono::Utc::now().format("%T"));
    let mut newcomer = Newcomer::follow_the_page();
    if !plan.nudge {
        newcomer.await_delivery();
    }
    newcomer.remove_everything();

    let mut stage = Stage::set(plan);
    let course = catch_unwind(AssertUnwindSafe(|| {
        stage.install_first();
        for fault in plan.faults {
            stage.through(*fault);
        }
    }));
    // However it ended: whether a use was refused is what a reader asks first.
    stage.tell();
    course.unwrap_or_else(|panic| resume_unwind(panic));
    stage.leave();
}
