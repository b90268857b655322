//! What the admin port tells.

use std::collections::{BTreeMap, BTreeSet};

use provider_simulator::{Behaviour, Fault, System};
use tokenward::api::conditions::{FRESH, READY};

use crate::harness::{
    ADMIN, Operator, PATIENCE, World, oauth2_client, oauth2_provider, oauth2_token,
};

/// Series and values.
fn figures(operator: &Operator) -> BTreeMap<String, String> {
    let (status, text) = operator.admin("/metrics");
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"), "{text}");
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = series.map(|line| line.rsplit_once(' ').unwrap());
    pairs.map(|(series, value)| (series.to_owned(), value.to_owned())).collect()
}

async fn until_gone(operator: &Operator, series: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while figures(operator).contains_key(series) {
        assert!(std::time::Instant::now() < deadline, "{series} never went");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_tell_what_is_and_what_was_done_and_go_with_what_they_are_of() {
    let world = World::new("metrics").await;
    let operator = world.operator(&ADMIN);
    operator.wait_for_log("probes and metrics are served").await;
    assert_eq!(operator.admin("/livez"), (200, "ok\n".to_owned()));
    operator.wait_for_log("caches are filled").await;
    operator.wait_for_gates((200, "[+] caches\n[+] crds\n[+] key\n")).await;
    assert_eq!(operator.admin("/").0, 404);
    let limits = "limits: {minInterval: 1s, requestsPer: {1h: 3}}";
    world.apply(&format!("{}\n---\n{}", oauth2_provider("p", limits), oauth2_client("c")));
    world.apply(&oauth2_token("shop"));
    let status = world.until_ready("shop").await;
    world.force("shop", "again").await;
    let ns = &world.namespace;
    let of_token = format!("namespace=\"{ns}\",name=\"shop\",provider=\"{ns}/p\"");
    let origin = format!("http://{}", world.sim.addr());
    let now = figures(&operator);
    let value = |series: &str| &**now.get(series).unwrap_or_else(|| panic!("{series}: {now:#?}"));
    let token = status.token.unwrap();
    let expiry = value(&format!("tokenward_token_expiry_timestamp_seconds{{{of_token}}}"));
    assert!(expiry.parse::<i64>().unwrap() >= token.expires_at.timestamp());
    let refresh = value(&format!("tokenward_token_refresh_timestamp_seconds{{{of_token}}}"));
    assert!(refresh < expiry, "{refresh}, {expiry}");
    assert_eq!(value(&format!("tokenward_token_ready{{{of_token}}}")), "1");
    assert_eq!(value("tokenward_tokens{reason=\"Refreshed\"}"), "1");
    assert_eq!(value("tokenward_token_expired_seconds_total"), "0.0");
    assert_eq!(value("tokenward_token_life_left_seconds_count"), "1");
    let issued = format!("tokenward_token_requests_total{{provider=\"{ns}/p\",result=\"issued\"}}");
    assert_eq!(value(&issued), "2");
    assert_eq!(
        value(&format!("tokenward_token_request_seconds_count{{provider=\"{ns}/p\"}}")),
        "2"
    );
    let left = format!("tokenward_origin_budget_left{{origin=\"{origin}\",window=\"1h\"}}");
    assert_eq!(value(&left), "1");
    assert_eq!(value(&left.replace("_left", "")), "3");
    world.apply(&oauth2_token("idle").replace("spec: {", "spec: {suspend: true, "));
    let of_idle = format!("namespace=\"{ns}\",name=\"idle\",provider=\"{ns}/p\"");
    operator.wait_for_figure(&format!("tokenward_token_suspended{{{of_idle}}} 1")).await;
    let created = "tokenward_api_requests_total{verb=\"create\",resource=\"secrets\"}";
    assert_ne!(value(created), "0");
    let told = "tokenward_api_requests_total{verb=\"patch\",resource=\"oauthclienttokens/status\"}";
    assert_ne!(value(told), "0");
    every_figure_is_documented(&operator);

    // A request that fails, and one that is held back.
    world.sim.set(System::Oauth2, Behaviour::failing(Fault::internal_error()));
    world.apply(&oauth2_token("other"));
    world.until_condition("other", (READY, "False", "ProviderError")).await;
    let failed = format!("tokenward_token_requests_total{{provider=\"{ns}/p\",result=\"failed\"}}");
    operator.wait_for_figure(&format!("{failed} 1")).await;
    world.apply(&oauth2_token("third"));
    world.until_condition("third", (FRESH, "False", "BudgetExhausted")).await;
    operator.wait_for_figure("tokenward_tokens{reason=\"BudgetExhausted\"} 1").await;
    operator.wait_for_figure(&format!("{left} 0")).await;

    // What is gone has no series.
    world.kubectl(&["delete", "oct", "shop", "idle", "other", "third"]);
    world.kubectl(&["delete", "oauthprovider", "p"]);
    until_gone(&operator, &format!("tokenward_token_ready{{{of_token}}}")).await;
    until_gone(&operator, &issued).await;
    let now = figures(&operator);
    let rest: Vec<&String> = now.keys().filter(|series| series.contains(ns.as_str())).collect();
    assert!(rest.is_empty(), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_waits_for_the_api_server_lives_and_is_not_ready() {
    // It takes connections, and answers nobody.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    let server = silent.local_addr().unwrap();
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, users: [{{name: u, user: {{}}}}], \
         clusters: [{{name: c, cluster: {{server: 'http://{server}'}}}}], \
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    let args = ADMIN.map(str::to_owned);
    let operator = Operator::start(&kubeconfig, folder.path().join("log"), &args);
    operator.wait_for_log("probes and metrics are served").await;
    assert_eq!(operator.admin("/livez").0, 200);
    let (status, told) = operator.admin("/readyz");
    assert_eq!(status, 503, "{told}");
    assert!(told.starts_with("[-] caches: "), "{told}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tokenward"))
        .args(["controller", "--admin-address", &address])
        .env("KUBECONFIG", crate::harness::kubeconfig())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&format!("--admin-address: nobody can listen on {address}")), "{told}");
}

/// And nothing else is.
fn every_figure_is_documented(operator: &Operator) {
    let (_, text) = operator.admin("/metrics");
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let told: BTreeSet<String> = types
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total counter"),
            (name, "info") => format!("{name}_info gauge"),
            (name, kind) => format!("{name} {kind}"),
        })
        .collect();
    let page = include_str!("../../docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `tokenward_"));
    let documented: BTreeSet<String> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            format!("{} {}", cells[1].trim_matches('`'), cells[2])
        })
        .collect();
    assert_eq!(told, documented);
}
