//! Many tokens of many providers, some of which are sick: the others' tokens are refreshed in time.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use kube::Api;
use kube::api::ListParams;
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use provider_simulator::{Behaviour, Fault, Options, RetryAfter, Simulator, System};
use serde_json::json;
use tokenward::api::{OAuthClientToken, conditions};

use crate::harness::{PATIENCE, World};

/// How long the one that throttles wants to be left alone, in seconds.
const SILENCE: i64 = 30;

struct Crowd {
    world: World,
    sims: BTreeMap<String, Simulator>,
    each: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn one_hangs_one_throttles_one_is_down_and_the_others_go_on() {
    let crowd = Crowd::new((3, 5), 20).await;
    let _operator = crowd.world.operator(&[]);
    crowd.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; run it by hand, with --release for the figures"]
async fn of_1000_tokens_at_10_providers_those_of_seven_are_refreshed_in_time() {
    let crowd = Crowd::new((7, 100), 300).await;
    let _operator = crowd.world.operator(&[]);
    crowd.goes_on().await;
}

impl Crowd {
    /// So many healthy providers, whose tokens live for so many seconds, and three sick ones, with
    /// so many tokens each.
    async fn new((healthy, each): (usize, usize), life: i64) -> Self {
        let world = World::new("crowd").await;
        let silence = RetryAfter::Seconds(SILENCE.unsigned_abs());
        let sick = [
            ("hangs", Fault::Hang),
            ("throttles", Fault::throttled(silence)),
            ("down", Fault::internal_error()),
        ];
        let sick = sick.map(|(name, fault)| (name.to_owned(), Behaviour::failing(fault)));
        let well = (0..healthy).map(|n| (format!("well-{n}"), Behaviour::living(life)));
        let start = |(name, behaviour)| async move {
            let options = Options::default().with(System::Oauth2, behaviour);
            (name, Simulator::start(options).await.unwrap())
        };
        let sims = join_all(sick.into_iter().chain(well).map(start)).await;
        let crowd = Self { world, sims: sims.into_iter().collect(), each };
        crowd.apply();
        crowd
    }

    fn apply(&self) {
        let client = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c"},
            "stringData": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}});
        let mut manifests = vec![client];
        for (name, sim) in &self.sims {
            manifests.push(json!({
                "apiVersion": "tokenward.dev/v1alpha1", "kind": "OAuthProvider",
                "metadata": {"name": name},
                "spec": {
                    "preset": "oauth2", "variables": {"tokenUrl": sim.endpoint(System::Oauth2)},
                    "request": {"parameters": {"audience": "{{ parameters.audience }}"}},
                    "limits": {"minInterval": "1s"}
                }
            }));
        }
        for name in self.sims.keys().flat_map(|provider| self.tokens(provider)) {
            let provider = name.rsplit_once('-').unwrap().0;
            manifests.push(json!({
                "apiVersion": "tokenward.dev/v1alpha1", "kind": "OAuthClientToken",
                "metadata": {"name": name},
                "spec": {
                    "providerRef": {"name": provider}, "credentialsSecretRef": {"name": "c"},
                    "parameters": {"audience": name}
                }
            }));
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
        self.world.apply_verbatim(&list.to_string());
    }

    fn tokens(&self, provider: &str) -> Vec<String> {
        (0..self.each).map(|n| format!("{provider}-{n}")).collect()
    }

    fn healthy(&self) -> impl Iterator<Item = (&String, &Simulator)> {
        self.sims.iter().filter(|(name, _)| name.starts_with("well"))
    }

    /// Each healthy provider's tokens are there, and refreshed. Prints how late.
    async fn goes_on(&self) {
        for (_, sim) in self.healthy() {
            sim.wait_for(self.each, System::Oauth2, PATIENCE * 5).await.unwrap();
        }
        for (provider, _) in self.healthy() {
            join_all(self.tokens(provider).iter().map(|name| self.world.until_ready(name))).await;
        }
        let mut late = Vec::new();
        let due = self.due().await;
        for (name, due) in &due {
            let asked = self.asked_at(name, *due);
            let asked = tokio::time::timeout(PATIENCE * 5, asked).await.expect("it is refreshed");
            late.push((asked - *due).num_milliseconds());
        }
        late.sort_unstable();
        let at = |percent: usize| late[(late.len() - 1) * percent / 100];
        println!(
            "{} tokens of healthy providers were asked for {} ms after they were due (median), \
             {} ms (99th percentile), {} ms (worst)",
            late.len(),
            at(50),
            at(99),
            at(100)
        );
        for name in due.keys() {
            let status = self.world.until_ready(name).await;
            assert!(conditions::is_true(&status.conditions, conditions::FRESH), "{name}");
        }
        self.the_sick_are_spared();
    }

    /// When each token of a healthy provider is due.
    async fn due(&self) -> BTreeMap<String, DateTime<Utc>> {
        let api: Api<OAuthClientToken> =
            Api::namespaced(self.world.client.clone(), &self.world.namespace);
        let tokens = api.list(&ListParams::default()).await.unwrap();
        let due = tokens.into_iter().filter_map(|token| {
            let name = token.metadata.name.filter(|name| name.starts_with("well"))?;
            Some((name, token.status?.token?.refresh_at))
        });
        due.collect()
    }

    /// When a token was asked for that was due then.
    async fn asked_at(&self, name: &str, due: DateTime<Utc>) -> DateTime<Utc> {
        let sim = &self.sims[name.rsplit_once('-').unwrap().0];
        let parameter = format!("audience={name}&");
        loop {
            let requests = sim.requests_of(System::Oauth2);
            let of_it = |body: &str| format!("{body}&").contains(&parameter);
            let mut later = requests.iter().filter(|request| of_it(&request.body));
            if let Some(asked) = later.find(|request| request.time >= due) {
                return asked.time;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What is under way at once, and after that a probe now and then.
    fn the_sick_are_spared(&self) {
        for name in ["hangs", "throttles", "down"] {
            let requests = self.sims[name].requests_of(System::Oauth2);
            let last = requests.last().unwrap().time - requests[0].time;
            println!("{name}: {} requests in {} s", requests.len(), last.num_seconds());
            let pause = if name == "throttles" { SILENCE } else { 10 };
            let rounds = usize::try_from(last.num_seconds() / pause).unwrap() + 1;
            let at_once = 8 + 5;
            let most = if name == "throttles" { rounds * 8 } else { at_once + rounds };
            assert!(requests.len() <= most, "{name}: {} in {last}", requests.len());
        }
        let throttled = self.sims["throttles"].requests_of(System::Oauth2);
        let first = throttled[0].time;
        let soon = first + TimeDelta::seconds(5)..first + TimeDelta::seconds(SILENCE);
        assert!(throttled.iter().all(|request| !soon.contains(&request.time)), "it is silent");
    }
}
