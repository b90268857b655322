//! Each query of the dashboard returns data from the `/metrics` of an operator at work. Prometheus' own
//! engine answers, by way of promtool: what the port told is handed to it as a test's input.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use chrono::Utc;
use provider_simulator::{Behaviour, Options, System};
use serde_json::{Value, json};

use crate::alerts::figures;
use crate::consumers::promtool;
use crate::harness::{
    ADMIN, Operator, PATIENCE, World, oauth2_client, oauth2_provider, oauth2_token,
};
use crate::helm::{ROOT, SHIPPED, render};

/// Between two looks, in seconds: as a scrape interval is.
const INTERVAL: i64 = 30;

fn dashboard() -> Value {
    let path = Path::new(ROOT).join("charts/tokenward/files/dashboard.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Titles and queries.
fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let panels = panels.iter().filter(|panel| panel["type"] != "row");
    let queries = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().unwrap();
        targets.iter().map(|target| (title.to_owned(), target["expr"].as_str().unwrap().to_owned()))
    });
    queries.collect()
}

/// What Grafana would put in the place of its variables.
fn filled(query: &str) -> String {
    let filled = query
        .replace("$__rate_interval", "4m")
        .replace("$__range", "1h")
        .replace("$namespace", ".*");
    assert!(!filled.contains('$'), "{query}");
    filled
}

/// Series and values, times counted from the one at which they were looked at.
fn look(operator: &Operator) -> BTreeMap<String, f64> {
    let (status, text) = operator.admin("/metrics");
    assert_eq!(status, 200);
    let now = f64::from(u32::try_from(Utc::now().timestamp()).unwrap());
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let read = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        let is_time = series.split('{').next().unwrap().ends_with("_timestamp_seconds");
        (series.to_owned(), if is_time { value - now } else { value })
    });
    read.collect()
}

/// The looks as promtool's input, and each query as a question to which the answer is one.
fn test_file(looks: &[BTreeMap<String, f64>], queries: &[(String, String)]) -> Value {
    let all: BTreeSet<&String> = looks.iter().flat_map(BTreeMap::keys).collect();
    let end = INTERVAL * i64::try_from(looks.len() - 1).unwrap();
    let series = all.iter().map(|series| {
        let values = looks.iter().map(|look| match look.get(*series) {
            Some(value) if series.contains("_timestamp_seconds") => {
                format!("{}", value + f64::from(u32::try_from(end).unwrap()))
            }
            Some(value) => format!("{value}"),
            None => "_".to_owned(),
        });
        json!({"series": series, "values": values.collect::<Vec<_>>().join(" ")})
    });
    let series: Vec<Value> = series.collect();
    // What is not a number is not equal to itself.
    let question = |query: &str| format!("clamp_max(count(({query}) == ({query})), 1)");
    let asked = queries.iter().map(|(_, query)| {
        json!({"expr": question(&filled(query)), "eval_time": format!("{end}s"),
               "exp_samples": [{"labels": "{}", "value": 1}]})
    });
    let asked: Vec<Value> = asked.collect();
    json!({"evaluation_interval": format!("{INTERVAL}s"), "tests": [{
        "interval": format!("{INTERVAL}s"), "input_series": series, "promql_expr_test": asked,
    }]})
}

/// What promtool says of it.
fn verdict(test: &Value) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dashboard.yaml");
    fs::write(&file, serde_json::to_vec(test).unwrap()).unwrap();
    let output = promtool().args(["test", "rules"]).arg(&file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&said).into_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_query_returns_data() {
    // Short lives, so that a refresh comes due and is late by something.
    let options = Options::default().with(System::Oauth2, Behaviour::living(12));
    let world = World::with("dashboard", options).await;
    let operator = world.operator(&ADMIN);
    operator.wait_for_log("caches are filled").await;
    let limits = "limits: {minInterval: 1s, requestsPer: {1h: 1000}}";
    world.apply(&format!("{}\n---\n{}", oauth2_provider("p", limits), oauth2_client("c")));
    world.apply(&oauth2_token("shop"));
    world.until_ready("shop").await;
    let mut looks = vec![look(&operator)];
    let late = async {
        while looks.last().unwrap()["tokenward_refresh_lateness_seconds_count"] < 1.0 {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            looks.push(look(&operator));
        }
    };
    tokio::time::timeout(PATIENCE, late).await.expect("no refresh ever came due");
    let looks = [looks.remove(0), looks.pop().unwrap()];
    let queries = queries();
    assert!(queries.len() > 15, "{queries:?}");
    verdict(&test_file(&looks, &queries)).unwrap_or_else(|said| panic!("{looks:#?}\n{said}"));

    // One that has no data would be found out.
    let mistyped = [("Mistyped".to_owned(), "sum(tokenward_token)".to_owned())];
    let said = verdict(&test_file(&looks, &mistyped)).unwrap_err();
    assert!(said.contains("tokenward_token"), "{said}");
}

#[test]
fn every_figure_is_on_the_dashboard() {
    let shown: BTreeSet<String> = queries().iter().flat_map(|(_, query)| figures(query)).collect();
    let page = fs::read_to_string(Path::new(ROOT).join("docs/metrics.md")).unwrap();
    let figures = page.lines().filter_map(|line| line.strip_prefix("| `tokenward_"));
    for figure in figures.map(|rest| format!("tokenward_{}", rest.split('`').next().unwrap())) {
        // What they are computed from, or only alerts need.
        let of_alerts = ["tokenward_token_refresh_timestamp_seconds", "tokenward_token_suspended"];
        let is_shown = shown.contains(&figure) || shown.contains(&format!("{figure}_bucket"));
        assert!(is_shown || of_alerts.contains(&figure.as_str()), "{figure}");
    }
}

#[test]
fn the_chart_ships_it_as_it_is() {
    let objects = render(&SHIPPED, "dashboard: {enabled: true}");
    let map = objects.iter().find(|object| object.kind() == "ConfigMap").unwrap();
    let shipped = map.value["data"]["tokenward.json"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(shipped).unwrap(), dashboard());
}
