//! The cluster with everything on it, and the course of events.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use chrono::Utc;

use crate::cluster::{Cluster, PATIENCE, SYSTEM, until};
use crate::faults::{Fault, sleep_until};
use crate::provider::{self, Provider, Use};
use crate::report::Report;
use crate::settings::Settings;
use crate::tenant::{Tenant, secret};

/// What is to be gone through.
pub struct Plan {
    /// Seconds that a token lives.
    pub lifetime: u32,
    /// Whether kubelet is told of a new token.
    pub nudge: bool,
    pub faults: &'static [Fault],
}

pub struct Stage {
    pub cluster: Cluster,
    pub provider: Provider,
    /// The tenant whose token goes through all faults.
    pub shop: Tenant,
    /// The one whose namespace is made again.
    pub reborn: Tenant,
    pub report: Report,
    /// The operator's image before the upgrade.
    pub image: String,
    values: String,
    lifetime: Duration,
}

impl Stage {
    /// An empty cluster, and a provider that knows both tenants.
    pub fn set(plan: &Plan) -> Self {
        let cluster = Cluster { settings: Settings::read() };
        clear(&cluster);
        let mut provider = Provider::start(&cluster, plan.lifetime);
        let place = provider.address.clone();
        let tenant = |name| Tenant::new(name, &cluster, (place.as_str(), plan.nudge));
        let (shop, reborn) = (tenant("e2e-shop"), tenant("e2e-reborn"));
        for tenant in [&shop, &reborn] {
            provider.admit(&cluster, tenant.name, &secret(tenant.name));
        }
        let address = place.split(':').next().unwrap();
        let values =
            format!("allowHTTP=true,egressAllowCIDRs={{{address}/32}},rbac.nudge={}", plan.nudge);
        let report = Report::new(&cluster.settings.out);
        Self {
            lifetime: Duration::from_secs(plan.lifetime.into()),
            image: String::new(),
            cluster,
            provider,
            shop,
            reborn,
            report,
            values,
        }
    }

    /// Installs the previous version and waits until both workloads use their first tokens.
    pub fn install_first(&mut self) {
        self.report.begin("installed");
        self.install(&self.cluster.settings.previous);
        self.image = self.cluster.images().pop().unwrap();
        self.shop.apply(&self.cluster);
        self.reborn.apply(&self.cluster);
        let began = Utc::now();
        for name in [self.shop.name, self.reborn.name] {
            self.await_use(name, |_| true);
        }
        println!("  both workloads use a token {} s after they were applied", seconds(began));
    }

    /// As a user does it: two replicas, the chart's own values but for where the provider is.
    pub fn install(&self, chart: &str) {
        self.cluster.helm(&[
            "upgrade",
            "--install",
            "tokenward",
            chart,
            "--set",
            &self.values,
            "--wait",
            "--timeout=3m",
        ]);
    }

    /// One fault and one new token: from the moment before to the first use of the new one.
    pub fn through(&mut self, fault: Fault) {
        let before = until("there is a token", PATIENCE, || self.shop.token(&self.cluster));
        if let Some(ahead) = fault.ahead() {
            sleep_until(before.due - ahead);
        }
        self.report.begin(fault.name());
        fault.strike(self, &before);
        let after = until("there is a new token", self.lifetime + PATIENCE, || {
            self.shop.token(&self.cluster).filter(|token| token.issued > before.issued)
        });
        let (due, left) = (before.due, before.expires - after.issued);
        println!(
            "  due {}, renewed {} with {} s left",
            due.format("%T"),
            after.issued.format("%T"),
            left.num_seconds()
        );
        let uses = self.provider.uses(&self.cluster);
        let known: Vec<_> = uses
            .iter()
            .filter(|used| used.time < after.issued)
            .filter_map(|used| used.token)
            .collect();
        let first = self.await_use(self.shop.name, |used| {
            used.token.is_some_and(|serial| !known.contains(&serial)) && used.time >= after.issued
        });
        let delivered = (first.time - after.issued).num_seconds();
        println!("  first used {delivered} s later");
    }

    /// Waits until a workload uses a token in a way that is wanted.
    pub fn await_use(&mut self, workload: &str, wanted: impl Fn(&Use) -> bool) -> Use {
        self.provider.await_use(&self.cluster, workload, wanted)
    }

    /// Lists every use that is known, and fails if one was refused.
    pub fn tell(&mut self) {
        let asked = catch_unwind(AssertUnwindSafe(|| self.provider.uses(&self.cluster)));
        // Where nobody can be asked any more, those that were read before.
        self.report.tell(&asked.unwrap_or_else(|_| self.provider.known_uses()));
    }

    /// Holds the workloads' own word against what must hold, and uninstalls.
    pub fn leave(self) {
        let simulator = self.cluster.get(&["pod", "simulator", "-n", provider::NAMESPACE]).unwrap();
        let restarts = &simulator["status"]["containerStatuses"][0]["restartCount"];
        assert_eq!(restarts, 0, "the simulator started anew and forgot what it knew");
        for tenant in [&self.shop, &self.reborn] {
            let lines = tenant.lines(&self.cluster);
            let other: Vec<_> = lines.iter().filter(|line| !line.contains(" 200 ")).collect();
            println!(
                "{}: {} lines in its log, {} of them other than 200",
                tenant.name,
                lines.len(),
                other.len()
            );
            assert_eq!(other, Vec::<&String>::new(), "{}", tenant.name);
        }
        println!("{}", self.cluster.helm(&["test", "tokenward", "--timeout=3m"]));
        println!("{}", self.cluster.helm(&["uninstall", "tokenward", "--wait", "--timeout=3m"]));
        // Whoever uninstalls the operator keeps the tokens there are.
        assert!(self.cluster.get(&["secret", "orders-token", "-n", self.shop.name]).is_some());
        clear(&self.cluster);
    }
}

/// Takes away what this or an earlier run made.
fn clear(cluster: &Cluster) {
    cluster.clear(&["e2e-shop", "e2e-reborn", provider::NAMESPACE, SYSTEM]);
    let labels = format!(
        "{{apiVersion: v1, kind: Namespace, metadata: {{name: {SYSTEM}, \
         labels: {{pod-security.kubernetes.io/enforce: restricted}}}}}}"
    );
    cluster.apply(&labels);
}

fn seconds(since: chrono::DateTime<Utc>) -> i64 {
    (Utc::now() - since).num_seconds()
}
