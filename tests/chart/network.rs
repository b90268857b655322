//! Network policies: which pods they let go where.

use serde_yaml::Value;

use crate::helm::{Object, SHIPPED, render};

/// The rules of egress of all policies that pick this pod.
fn egress<'o>(objects: &'o [Object], pod: &Value) -> Vec<&'o Value> {
    let labels = &pod["metadata"]["labels"];
    let policies = objects.iter().filter(|object| object.kind() == "NetworkPolicy");
    let of_pod = policies.map(|policy| &policy.value["spec"]).filter(|spec| {
        let wanted = spec["podSelector"]["matchLabels"].as_mapping().unwrap();
        wanted.iter().all(|(label, value)| labels.get(label) == Some(value))
    });
    of_pod.flat_map(|spec| spec["egress"].as_sequence().unwrap()).collect()
}

/// Those of the pods that a workload of this kind makes.
fn egress_of<'o>(objects: &'o [Object], kind: &str) -> Vec<&'o Value> {
    let workload = objects.iter().find(|object| object.kind() == kind).unwrap();
    egress(objects, &workload.pod().unwrap())
}

fn reaches(rules: &[&Value], port: u64) -> bool {
    let ports = rules.iter().flat_map(|rule| rule["ports"].as_sequence().unwrap());
    ports.map(|port| port["port"].as_u64().unwrap()).any(|found| found == port)
}

/// In a namespace where everything else is denied, too.
#[test]
fn the_operator_and_the_job_that_stops_it_reach_the_api_server() {
    let values = "networkPolicy: {enabled: true, apiServer: {ports: [6443]}}";
    let objects = render(&SHIPPED, values);
    for (kind, providers) in [("Deployment", true), ("Job", false)] {
        let rules = egress_of(&objects, kind);
        assert!(reaches(&rules, 53) && reaches(&rules, 6443), "{kind}: {rules:?}");
        assert_eq!(reaches(&rules, 443), providers, "{kind}: {rules:?}");
    }
}

/// A rule without peers would be one for every address.
#[test]
fn names_are_asked_for_in_one_place_unless_somebody_says_otherwise() {
    let anywhere = |values: &str| -> Vec<bool> {
        let objects = render(&SHIPPED, values);
        let rules = egress_of(&objects, "Deployment").into_iter();
        rules.filter(|rule| reaches(&[rule], 53)).map(|rule| rule["to"].is_null()).collect()
    };
    assert_eq!(anywhere("networkPolicy: {enabled: true}"), [false]);
    assert_eq!(anywhere("networkPolicy: {enabled: true, dns: {to: []}}"), [true]);
}

/// The Job that stops the operator follows nobody.
#[test]
fn the_operator_alone_reaches_what_else_it_is_let_to() {
    let values = "networkPolicy: {enabled: true, extraEgress: [{ports: [{port: 4318}]}]}";
    let objects = render(&SHIPPED, values);
    for (kind, collector) in [("Deployment", true), ("Job", false)] {
        assert_eq!(reaches(&egress_of(&objects, kind), 4318), collector, "{kind}");
    }
}
