//! Values: what is refused, and that there is one for everything.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use rstest::rstest;
use serde_json::Value;

use crate::helm::{ROOT, SHIPPED, arguments, render, try_render};
use crate::variants::EVERYTHING;

#[rstest]
#[case::mistyped("replicsa: 3", "replicsa")]
#[case::mistyped_below("rbac: {restrat: true}", "restrat")]
#[case::mistyped_far_below("networkPolicy: {apiServer: {cidr: [10.0.0.0/8]}}", "cidr")]
#[case::not_a_number("replicas: two", "replicas")]
#[case::not_a_switch("crds: {keep: \"yes\"}", "keep")]
#[case::not_a_word("namespacedProviders: Sometimes", "Allow")]
#[case::not_a_namespace("namespaces: [Web_1]", "/namespaces/0")]
#[case::not_a_network("egressAllowCIDRs: [10.0.0.1]", "/egressAllowCIDRs/0")]
#[case::not_a_digest("image: {digest: latest}", "/image/digest")]
#[case::not_a_collector("otlpEndpoint: collector:4318", "/otlpEndpoint")]
#[case::not_a_port("admin: {port: 0}", "/admin/port")]
#[case::nobody("rbac: {serviceAccountTokens: [{namespace: web, names: []}]}", "names")]
#[case::too_many("{replicas: 2, leaderElection: {enabled: false}}", "leaderElection.enabled")]
#[case::too_late(
    "leaderElection: {renewDeadlineSeconds: 15}",
    "a leader stops before another begins"
)]
#[case::pointless_hosts("allowedHosts: [a.example]", "allowedHosts: says something only")]
#[case::pointless_kinds("clusterKinds: true", "clusterKinds: says something only")]
#[case::no_provider(
    "{namespaces: [web], namespacedProviders: Deny}",
    "namespacedProviders: Deny leaves no provider at all"
)]
#[case::account_elsewhere(
    "{namespaces: [web], rbac: {serviceAccountTokens: [{namespace: shop, names: [a]}]}}",
    "namespace \"shop\" is not among namespaces"
)]
#[case::account_twice(
    "rbac: {serviceAccountTokens: [{namespace: a, names: [b]}, {namespace: a, names: [c]}]}",
    "namespace \"a\" stands there twice"
)]
#[case::no_account("serviceAccount: {create: false}", "serviceAccount.name: which one")]
fn what_is_wrong_is_refused_by_name(#[case] values: &str, #[case] told: &str) {
    let complaint = try_render(&SHIPPED, values).unwrap_err();
    assert!(complaint.contains(told), "{complaint}");
}

/// Paths of what the schema knows, and whether it closes every object of ours.
fn paths(schema: &Value, at: &str, found: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    assert_eq!(schema["additionalProperties"], false, "{at}");
    for (name, schema) in properties {
        let path = format!("{at}{name}");
        paths(schema, &format!("{path}."), found);
        found.insert(path);
    }
}

#[test]
fn the_schema_has_exactly_the_values_that_there_are() {
    let read = |file: &str| {
        fs::read_to_string(Path::new(ROOT).join("charts/tokenward").join(file)).unwrap()
    };
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let mut known = BTreeSet::new();
    paths(&schema, "", &mut known);
    // Helm hands every chart this one.
    assert!(known.remove("global"));
    let values: Value = serde_yaml::from_str(&read("values.yaml")).unwrap();
    for path in &known {
        let mut value = &values;
        for name in path.split('.') {
            value = value.get(name).unwrap_or_else(|| panic!("values.yaml lacks {path}"));
        }
    }
    // The other way round: a value that it does not know would be refused.
    render(&SHIPPED, &serde_json::to_string(&values).unwrap());
}

#[test]
fn there_is_a_value_for_every_flag_of_the_controller() {
    let output = Command::new(env!("CARGO_BIN_EXE_tokenward"))
        .args(["controller", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with("--"));
    let flags = lines.filter_map(|line| line.split("--").nth(1));
    let flags: BTreeSet<String> = flags
        .map(|flag| flag.split([' ', '<']).next().unwrap().to_owned())
        .filter(|flag| !matches!(flag.as_str(), "help" | "version"))
        .collect();
    assert!(flags.len() > 8, "{help}");
    let namespaces = EVERYTHING.replace("$NS", "web");
    let mut set = BTreeSet::new();
    for arg in arguments(&render(&SHIPPED, &namespaces)) {
        if let Some(flag) = arg.strip_prefix("--") {
            set.insert(flag.split('=').next().unwrap().to_owned());
        }
    }
    for flag in &flags {
        assert!(set.contains(flag), "no value sets --{flag}");
    }
}
