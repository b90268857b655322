//! The alerts: Prometheus' own verdict on them, and a page about each.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::consumers::promtool;
use crate::helm::{ROOT, SHIPPED, render};

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).unwrap()
}

fn verdict(args: &[&str]) -> String {
    let output = promtool().args(args).current_dir(ROOT).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

#[test]
fn prometheus_accepts_the_alerts_and_they_fire_when_they_should() {
    let rules =
        ["check", "rules", "--lint=all", "--lint-fatal", "charts/tokenward/files/alerts.yaml"];
    let said = verdict(&rules);
    assert!(said.contains("SUCCESS: 9 rules found"), "{said}");
    verdict(&["test", "rules", "tests/chart/alerts.test.yaml"]);
}

fn alerts() -> Vec<Value> {
    let rules: Value = serde_yaml::from_str(&read("charts/tokenward/files/alerts.yaml")).unwrap();
    rules["groups"][0]["rules"].as_array().unwrap().clone()
}

#[test]
fn each_alert_has_a_test_and_its_place_on_the_page() {
    let (tests, page) = (read("tests/chart/alerts.test.yaml"), read("docs/operations/alerts.md"));
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = alerts();
    let names: Vec<&str> = alerts.iter().map(|alert| alert["alert"].as_str().unwrap()).collect();
    assert_eq!(sections, names);
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        let fires = format!("alertname: {name}\n        exp_alerts:\n");
        assert!(tests.contains(&fires), "no test shows that {name} fires");
        let severity = alert["labels"]["severity"].as_str().unwrap();
        let row = format!("| [{name}](#{}) | {severity} |", name.to_lowercase());
        assert!(page.contains(&row), "{row}");
        let link = alert["annotations"]["runbook_url"].as_str().unwrap();
        let ours = "https://github.com/tokenward/tokenward/blob/main/docs/operations/alerts.md#";
        assert_eq!(link, format!("{ours}{}", name.to_lowercase()));
    }
}

/// The words of an expression that are names of ours.
pub fn figures(expression: &str) -> Vec<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("tokenward_")).map(str::to_owned).collect()
}

#[test]
fn the_alerts_are_about_figures_that_there_are() {
    let page = read("docs/metrics.md");
    for alert in alerts() {
        let figures = figures(alert["expr"].as_str().unwrap());
        assert!(!figures.is_empty(), "{alert}");
        for figure in figures {
            assert!(page.contains(&format!("\n| `{figure}` |")), "{figure}");
        }
    }
}

#[test]
fn the_chart_ships_them_as_they_are() {
    let objects = render(&SHIPPED, "alerts: {enabled: true}");
    let rule = objects.iter().find(|object| object.kind() == "PrometheusRule").unwrap();
    let shipped = serde_json::to_value(&rule.value["spec"]["groups"][0]["rules"]).unwrap();
    assert_eq!(shipped, Value::Array(alerts()));
}

/// Others in the cluster go on being scraped.
#[test]
fn the_chart_tells_when_its_own_release_is_down() {
    let objects = render(&SHIPPED, "{alerts: {enabled: true}, podMonitor: {enabled: true}}");
    let of_kind = |kind: &str| objects.iter().find(|object| object.kind() == kind).unwrap();
    let rule = &of_kind("PrometheusRule").value["spec"]["groups"][0]["rules"];
    let mut shipped = serde_json::to_value(rule).unwrap();
    let down = shipped.as_array_mut().unwrap().last_mut().unwrap();
    // As the Prometheus Operator names the job of a PodMonitor.
    let job = format!("{}/{}", SHIPPED.namespace, of_kind("PodMonitor").name());
    let expected = format!("absent(tokenward_build_info{{job=\"{job}\"}})");
    assert_eq!((&down["alert"], &down["expr"]), (&"TokenwardDown".into(), &expected.into()));
    down["expr"] = "absent(tokenward_build_info)".into();
    assert_eq!(shipped, Value::Array(alerts()), "it changes nothing else");
}
