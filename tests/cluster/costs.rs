//! What a refresh and a restart cost in API requests. Figures of time and memory are printed, not
//! asserted.

use std::collections::BTreeMap;
use std::time::Instant;

use futures::{StreamExt, stream};
use kube::Api;
use kube::api::PostParams;
use provider_simulator::{Behaviour, Options, Simulator, System};
use serde_json::json;
use tokenward::api::OAuthClientToken;

use crate::harness::{Operator, PATIENCE, World};

/// Objects a page of a list.
const PAGE: usize = 500;

pub const DEBUG: [&str; 2] = ["--log-level", "info,kube_client=debug"];

/// The API requests in a log, by method and path; names of objects stay, queries go, but for
/// `watch`, which tells a watch from a list.
pub fn api_requests(log: &str) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains("requesting")) {
        let field = |name: &str| {
            let rest = line.split_once(&format!("{name}="))?.1;
            rest.split([' ', '}']).next()
        };
        let (method, url) = (field("http.method").unwrap(), field("http.url").unwrap());
        let url = url::Url::parse(url).unwrap();
        let watch = url.query_pairs().any(|(key, value)| key == "watch" && value == "true");
        let verb = if watch { "WATCH" } else { method };
        let path: Vec<&str> = url.path().split('/').skip_while(|s| *s != "namespaces").collect();
        let resource = path.get(2..).unwrap_or_default().join("/");
        *counted.entry(format!("{verb} {resource}")).or_default() += 1;
    }
    counted
}

/// Applies this many tokens of one provider, named `t-0`, `t-1` …
async fn create_tokens(world: &World, count: usize) {
    let api: Api<OAuthClientToken> = Api::namespaced(world.client.clone(), &world.namespace);
    let create = |n: usize| {
        let api = api.clone();
        async move {
            let token = json!({"apiVersion": "tokenward.dev/v1alpha1", "kind": "OAuthClientToken",
                "metadata": {"name": format!("t-{n}")},
                "spec": {"providerRef": {"name": "p"}, "credentialsSecretRef": {"name": "c"}}});
            let token = serde_json::from_value(token).unwrap();
            api.create(&PostParams::default(), &token).await.unwrap();
        }
    };
    stream::iter((0..count).map(create)).buffer_unordered(16).collect::<Vec<()>>().await;
}

fn resident(operator: &Operator) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.trim_start_matches("VmRSS:").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_steady_refresh_costs_three_api_requests() {
    const REFRESHES: usize = 4;
    let world = World::new("steady").await;
    world.sim.set(System::Oauth2, Behaviour::living(8));
    let operator = world.operator(&DEBUG);
    operator.wait_for_log("caches are filled").await;
    println!("resident when idle: {}", resident(&operator));
    let applied = Instant::now();
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    println!("first token Ready after {:?}, kubectl included", applied.elapsed());
    // From the end of one write to the end of another there lie whole refreshes.
    let written = |log: &str| {
        let lines = log.match_indices("token written");
        lines.map(|(at, _)| at).collect::<Vec<usize>>()
    };
    world.sim.wait_for(REFRESHES + 3, System::Oauth2, PATIENCE).await.unwrap();
    let log = operator.log();
    let at = written(&log);
    let requests = api_requests(&log[at[1]..at[1 + REFRESHES]]);
    println!("{REFRESHES} refreshes: {requests:?}");
    let is_ours = |request: &String| !request.contains("oauthproviders");
    let ours: BTreeMap<_, _> = requests.into_iter().filter(|(r, _)| is_ours(r)).collect();
    let expected = ["GET secrets/c", "PATCH oauthclienttokens/shop/status", "PATCH secrets/shop"];
    let expected: BTreeMap<_, _> = expected.map(|r| (r.to_owned(), REFRESHES)).into();
    assert_eq!(ours, expected);
}

/// Fetches so many tokens, restarts, and looks at what that cost.
async fn restarts(count: usize) {
    let world = World::new("many").await;
    let sim = Simulator::start(Options::default()).await.unwrap();
    world.apply_oauth2("first", "");
    let url = format!(
        r#"{{"spec": {{"variables": {{"tokenUrl": "{}"}}}}}}"#,
        sim.endpoint(System::Oauth2)
    );
    world.kubectl(&["patch", "oauthprovider", "p", "--type=merge", "-p", &url]);
    let operator = world.operator(&[]);
    world.until_ready("first").await;
    let started = Instant::now();
    create_tokens(&world, count).await;
    let created = started.elapsed();
    let wait = PATIENCE * 5;
    sim.wait_for(count + 1, System::Oauth2, wait).await.unwrap();
    for n in 0..count {
        world.until_ready(&format!("t-{n}")).await;
    }
    println!("{count} tokens created in {created:?}, Ready after {:?}", started.elapsed());
    println!("resident with {count} tokens: {}", resident(&operator));
    let mark = operator.log().len();
    operator.kill();

    let started = Instant::now();
    let operator = world.operator(&DEBUG);
    operator.wait_for_log_after(mark, "caches are filled").await;
    println!("{count} tokens known {:?} after the start", started.elapsed());
    world.witness("witness", "p", "c").await;
    assert_eq!(sim.requests_of(System::Oauth2).len(), count + 2);
    println!("resident after the restart: {}", resident(&operator));
    let log = operator.log()[mark..].to_owned();
    let requests = api_requests(&log);
    for (kind, objects) in
        [("oauthclienttokens", count + 1), ("oauthproviders", 1), ("secrets", count + 2)]
    {
        let lists = requests.get(&format!("GET {kind}")).copied().unwrap_or_default();
        assert_eq!(lists, objects.div_ceil(PAGE), "{kind}: {requests:?}");
    }
    let of_tokens = |request: &&String| request.contains("/t-") || request.contains("/first");
    let of_tokens: Vec<_> = requests.keys().filter(of_tokens).collect();
    assert!(of_tokens.is_empty(), "{of_tokens:?}");
    println!("API requests of the restart and one new token: {requests:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_200_good_tokens_lists_each_kind_once_and_asks_for_nothing() {
    restarts(200).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a minute and more; run it by hand, with --release for the figures"]
async fn a_restart_with_1000_good_tokens_lists_each_kind_once_and_asks_for_nothing() {
    restarts(1000).await;
}
