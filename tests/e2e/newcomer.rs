//! A newcomer's way: docs/getting-started.md from top to bottom, and the last commands of
//! docs/operations/install.md, typed on a cluster that knows nothing of tokenward.
//!
//! Typed is what the pages say, from a checkout, whose image the node has already. Put in are the
//! three things that a newcomer brings along and a test does not have:
//!
//! * the provider, which is the simulator: its URL is http and names a pod's address;
//! * the network that the page allows for such providers: that address, and http;
//! * the workload, which is token-consumer, and uses the token at the simulator.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use crate::cluster::{Cluster, PATIENCE, SYSTEM, until};
use crate::provider::{self, Provider, Use};
use crate::settings::Settings;
use crate::typed::{ROOT, bash, fenced, typed};

/// The page's own namespace; token, client and workload in it are called `shop`.
const NAMESPACE: &str = "web";

pub struct Newcomer {
    cluster: Cluster,
    provider: Provider,
    /// What there was before.
    before: BTreeSet<String>,
    /// The first use of a token.
    first: Use,
}

impl Newcomer {
    /// From nothing to a workload that uses a token, which is then replaced on request.
    pub fn follow_the_page() -> Self {
        let cluster = Cluster { settings: Settings::read() };
        cluster.clear(&[NAMESPACE, provider::NAMESPACE, SYSTEM]);
        let before = objects(&cluster);
        let mut provider = Provider::start(&cluster, 300);
        provider.admit(&cluster, "shop", "s3cr3t");
        let mut page = commands("docs/getting-started.md");
        put_in(&mut page, &cluster, &provider.address);

        let refresh = page.pop().unwrap();
        assert!(refresh.contains("refresh-requested-at"), "{refresh}");
        for commands in page {
            type_in(&cluster, &commands);
        }
        assert_target(&cluster);
        let first = provider.await_use(&cluster, "shop", |used| used.valid);
        let issued = || -> Option<String> {
            let token = cluster.get(&["oauthclienttoken", "shop", "-n", NAMESPACE])?;
            Some(token["status"]["token"]["issuedAt"].as_str()?.to_owned())
        };
        let former = issued();
        type_in(&cluster, &refresh);
        until("there is another token", PATIENCE, || issued().filter(|_| issued() != former));
        Self { cluster, provider, before, first }
    }

    /// At kubelet's own pace.
    pub fn await_delivery(&mut self) {
        let began = Instant::now();
        let former = self.first.token;
        self.provider.await_use(&self.cluster, "shop", |used| used.valid && used.token != former);
        println!("  the workload uses the other token {} s later", began.elapsed().as_secs());
    }

    /// And nothing is left but what is the newcomer's own.
    pub fn remove_everything(self) {
        let Self { cluster, before, .. } = self;
        let removal = commands("docs/operations/install.md").pop().unwrap();
        assert!(removal.contains("kubectl delete crd"), "{removal}");
        type_in(&cluster, &removal);
        let there = |kind, name| cluster.get(&[kind, name, "-n", NAMESPACE]).is_some();
        until("the target is gone", PATIENCE, || (!there("secret", "shop-token")).then_some(()));
        for (kind, name) in [("secret", "shop-client"), ("deployment", "shop")] {
            assert!(there(kind, name), "{kind} {name} went as well");
        }
        cluster.delete(&["namespace", NAMESPACE, provider::NAMESPACE]);
        let left: Vec<_> = objects(&cluster).difference(&before).cloned().collect();
        assert!(left.is_empty(), "left behind: {left:#?}");
        println!("  nothing of it is left");
    }
}

/// What a page has typed: its commands, and its manifests as they are applied.
fn commands(page: &str) -> Vec<String> {
    let of = |(info, text): (String, String)| match info.as_str() {
        "sh cluster" => Some(text),
        "yaml" => Some(format!("kubectl apply -f - <<'END'\n{text}END")),
        _ => None,
    };
    fenced(&Path::new(ROOT).join(page)).into_iter().filter_map(of).collect()
}

fn put_in(page: &mut [String], cluster: &Cluster, provider: &str) {
    let address = provider.split(':').next().unwrap();
    let image = &cluster.settings.simulator;
    let own = [
        ("https://login.example.com/oauth/token", format!("http://{provider}/oauth2/token")),
        (
            "'egressAllowCIDRs={10.20.0.0/16}'",
            format!("'allowHTTP=true,egressAllowCIDRs={{{address}/32}}'"),
        ),
        (
            "image: registry.example.com/shop",
            format!(
                "image: {image}\n          command: [/token-consumer, --name=shop]\n          \
                 args: [--token-file=/var/run/token/access_token, \"--url=http://{provider}/resource\"]"
            ),
        ),
    ];
    for (shown, own) in own {
        let places = page.iter_mut().filter(|commands| commands.contains(shown));
        let changed = places.map(|commands| *commands = commands.replace(shown, &own)).count();
        assert_eq!(changed, 1, "{shown}");
    }
}

fn type_in(cluster: &Cluster, commands: &str) {
    let Settings { kubectl, helm, .. } = &cluster.settings;
    let folders = [kubectl, helm].map(|program| Path::new(program).parent().unwrap());
    let began = Instant::now();
    typed(&mut bash(commands, &folders));
    let shown = commands.split(" <<").next().unwrap().trim_end().replace('\n', "\n           ");
    println!("  {:>5.1} s  {shown}", began.elapsed().as_secs_f32());
}

/// The Secret is what the page says of it.
fn assert_target(cluster: &Cluster) {
    let target = cluster.get(&["secret", "shop-token", "-n", NAMESPACE]).unwrap();
    let keys = |map: &serde_json::Value| -> Vec<String> {
        map.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys(&target["data"]), ["access_token", "expires_at", "token_type"]);
    let annotations = keys(&target["metadata"]["annotations"]);
    for told in ["issued-at", "expires-at", "refresh-at"] {
        let told = format!("tokenward.dev/{told}");
        assert!(annotations.contains(&told), "{told} is not among {annotations:?}");
    }
}

/// Everything in the cluster, by kind, namespace and name, but for events and the nodes' heartbeats.
fn objects(cluster: &Cluster) -> BTreeSet<String> {
    let kinds = cluster.kubectl(&["api-resources", "--verbs=list", "-o", "name"]).unwrap();
    let kinds: Vec<_> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    let names =
        r#"jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{"\n"}{end}"#;
    let listed = cluster.kubectl(&["get", &kinds.join(","), "-A", "-o", names]).unwrap();
    let ours = listed.lines().filter(|object| !object.contains(" kube-node-lease/"));
    ours.map(str::to_owned).collect()
}
