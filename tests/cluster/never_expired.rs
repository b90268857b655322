//! The promise: whoever reads a target never reads an expired token.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use provider_simulator::systems::{mediahound, optimizely, oracle, sitecore};
use provider_simulator::{Behaviour, Options, Simulator, System};
use serde_json::json;
use tokio::time::MissedTickBehavior;

use crate::harness::World;

const WATCHED: Duration = Duration::from_mins(1);
const LIFE: i64 = 8;

/// Name, provider, credentials of each system. `$SIM` stands for the simulator.
fn systems() -> [(System, serde_json::Value, serde_json::Value); 4] {
    let pair = |id: &str, secret: &str| json!({"client_id": id, "client_secret": secret});
    [
        (
            System::Sitecore,
            json!({"preset": "sitecore-content-hub-one", "variables":
                {"authority": "http://$SIM/sitecore/oauth/token", "audience": sitecore::AUDIENCE}}),
            pair(sitecore::CLIENT_ID, sitecore::CLIENT_SECRET),
        ),
        (
            System::Mediahound,
            json!({"preset": "mediahound",
                "variables": {"tokenUrl": "http://$SIM/mediahound/oauth/token"}}),
            pair(mediahound::CLIENT_ID, mediahound::CLIENT_SECRET),
        ),
        (
            System::Optimizely,
            json!({"preset": "optimizely-cms-saas", "variables": {"host": "$SIM"},
                "request": {"url": "http://{{ host }}/_cms/{{ version }}/oauth/token"}}),
            pair(optimizely::CLIENT_ID, optimizely::CLIENT_SECRET),
        ),
        (
            System::Oracle,
            json!({"preset": "oracle-content-channel",
                "variables": {"host": "$SIM", "channelId": oracle::CHANNEL_ID},
                "request": {"url": "http://{{ host }}/content/management/api/v1.1/channels/{{ channelId }}/oauthToken"}}),
            json!({"channel_secret": oracle::CHANNEL_SECRET}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_no_expired_token_for_a_minute() {
    let world = World::new("never").await;
    let sim = systems().into_iter().fold(Options::default(), |options, (system, ..)| {
        options.with(system, Behaviour::living(LIFE))
    });
    let sim = Simulator::start(sim).await.unwrap();
    let _operator = world.operator(&[]);
    let mut items = Vec::new();
    for (system, mut provider, credentials) in systems() {
        let name = system.to_string();
        provider["limits"] = json!({"minInterval": "1s"});
        let object = |kind: &str, spec: serde_json::Value| {
            json!({"apiVersion": "tokenward.dev/v1alpha1", "kind": kind,
                "metadata": {"name": name}, "spec": spec})
        };
        items.push(object("OAuthProvider", provider));
        items.push(object(
            "OAuthClientToken",
            json!({"providerRef": {"name": name},
                "credentialsSecretRef": {"name": format!("{name}-client")}}),
        ));
        items.push(json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": format!("{name}-client")}, "stringData": credentials}));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    world.apply(&list.replace("$SIM", &sim.addr().to_string()));
    join_all(systems().map(|(system, ..)| read(&world, &sim, system))).await;
}

/// Reads a target every 100 ms, once it is there.
async fn read(world: &World, sim: &Simulator, system: System) {
    let name = system.to_string();
    world.until::<Secret>(&name, |secret| secret.is_some()).await;
    let api: Api<Secret> = Api::namespaced(world.client.clone(), &world.namespace);
    let before = sim.requests_of(system).len();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    // A slow reader shall not watch for longer than it counts.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let started = ticks.tick().await;
    let (mut reads, mut seen) = (0, std::collections::BTreeSet::new());
    while ticks.tick().await - started < WATCHED {
        // What counts is the time before: a slow reader is not the operator's fault.
        let now = sim.now();
        let data = api.get(&name).await.unwrap().data.unwrap();
        let token = String::from_utf8(data["access_token"].0.clone()).unwrap();
        let record = sim.introspect(&token).expect("a token that nobody gave out");
        assert!(
            record.active_at(now),
            "{name}: read at {now}, expired at {}, after {reads} reads",
            record.expires_at
        );
        reads += 1;
        seen.insert(token);
    }
    let refreshes = sim.requests_of(system).len() - before;
    println!("{name}: {reads} reads, {} tokens, {refreshes} refreshes", seen.len());
    assert!(seen.len() > 6, "{name}: only {} tokens", seen.len());
    // About half a life lies between two refreshes; minInterval alone would allow twice as many.
    let most = usize::try_from(WATCHED.as_secs()).unwrap() / 2;
    assert!((6..=most).contains(&refreshes), "{name}: {refreshes} refreshes");
}
