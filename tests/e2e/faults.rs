//! What goes wrong.

use std::process::Command;
use std::time::Duration;

use chrono::{TimeDelta, Utc};

use crate::cluster::{PATIENCE, SYSTEM, said, until};
use crate::stage::Stage;
use crate::tenant::Token;

#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// With SIGKILL, a moment before a refresh is due.
    LeaderKilled,
    /// From the moment a refresh is due.
    ProviderDown { seconds: i64 },
    /// As a refresh is due.
    ApiServerRestarted,
    /// As a refresh is due, from the previous version.
    ChartUpgraded,
    /// At any time.
    TargetDeleted,
    /// Of another tenant, at any time.
    NamespaceMadeAgain,
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Self::LeaderKilled => "leader killed",
            Self::ProviderDown { .. } => "provider down",
            Self::ApiServerRestarted => "API server restarted",
            Self::ChartUpgraded => "chart upgraded",
            Self::TargetDeleted => "target deleted",
            Self::NamespaceMadeAgain => "namespace made again",
        }
    }

    /// How long before the refresh it begins; `None` where that does not matter.
    pub fn ahead(self) -> Option<TimeDelta> {
        match self {
            Self::LeaderKilled | Self::ProviderDown { .. } | Self::ApiServerRestarted => {
                Some(TimeDelta::seconds(1))
            }
            // It takes some seconds to begin.
            Self::ChartUpgraded => Some(TimeDelta::seconds(4)),
            Self::TargetDeleted | Self::NamespaceMadeAgain => None,
        }
    }

    /// Lets it happen, and comes back when it is over; `due` is the token that is to be replaced.
    pub fn strike(self, stage: &mut Stage, due: &Token) {
        match self {
            Self::LeaderKilled => kill_leader(stage),
            Self::ProviderDown { seconds } => provider_down(stage, due, seconds),
            Self::ApiServerRestarted => restart_api_server(stage),
            Self::ChartUpgraded => {
                stage.install(&stage.cluster.settings.chart.clone());
                until("no pod is of the previous version", PATIENCE, || {
                    let images = stage.cluster.images();
                    (!images.is_empty() && !images.contains(&stage.image)).then_some(())
                });
            }
            Self::TargetDeleted => stage.shop.lose_target(&stage.cluster),
            Self::NamespaceMadeAgain => make_namespace_again(stage),
        }
    }
}

fn kill_leader(stage: &Stage) {
    let cluster = &stage.cluster;
    let leader = until("somebody leads", PATIENCE, || cluster.leader());
    let pod = leader.split('/').next().unwrap();
    let pod =
        until("the leader's pod is there", PATIENCE, || cluster.get(&["pod", pod, "-n", SYSTEM]));
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let command = &cluster.settings.kill_pod;
    said(Command::new("bash").args(["-c", command]).env("POD_UID", uid)).unwrap();
    let next =
        until("another one leads", PATIENCE, || cluster.leader().filter(|other| *other != leader));
    println!("  {leader} is dead, {next} leads");
}

fn provider_down(stage: &mut Stage, due: &Token, seconds: i64) {
    stage.provider.stop_answering(&stage.cluster);
    sleep_until(due.due + TimeDelta::seconds(seconds));
    stage.provider.answer_again(&stage.cluster);
    let failed = stage.provider.failures(&stage.cluster, due.issued);
    println!("  {failed} requests for a token failed");
    assert!(failed > 0, "nobody asked while the provider was down");
}

fn restart_api_server(stage: &Stage) {
    let command = &stage.cluster.settings.restart_api_server;
    said(Command::new("bash").args(["-c", command])).unwrap();
    until("the API server answers", PATIENCE, || {
        stage.cluster.kubectl(&["get", "--raw", "/readyz"]).ok()
    });
}

/// Between the end of its workload and the beginning of the next one, nobody uses its token.
fn make_namespace_again(stage: &mut Stage) {
    let from = Utc::now();
    stage.reborn.delete(&stage.cluster);
    let to = Utc::now();
    stage.reborn.apply(&stage.cluster);
    stage.report.pause(stage.reborn.name, from);
    stage.await_use(stage.reborn.name, |used| used.time > to);
}

pub fn sleep_until(time: chrono::DateTime<Utc>) {
    std::thread::sleep((time - Utc::now()).to_std().unwrap_or(Duration::ZERO));
}
