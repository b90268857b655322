//! What the operator's ServiceAccount may do, as the API server tells it: golden files.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tokenward::api::PRIVILEGED_SECRET_TYPES;

use crate::harness::{PATIENCE, World, kubectl, try_kubectl};
use crate::helm::{ROOT, Release, render};

const SWITCHES: &str = "rbac: {restart: true, nudge: true, revocation: true, \
                        serviceAccountTokens: [{namespace: $NS, names: [shop]}]}";

/// Gives a release its rights. Its name is its own on the whole cluster.
fn grant(world: &World, release: &Release<'_>, values: &str) {
    let objects = render(release, values);
    let given = objects
        .iter()
        .filter(|object| object.hook().is_none())
        .filter(|object| object.kind().contains("Role") || object.kind() == "ServiceAccount");
    let mut texts = vec![];
    for object in given {
        if object.kind().starts_with("Cluster") {
            world.litter(&[object.kind(), object.name()]);
        }
        texts.push(object.text.as_str());
    }
    kubectl(&["apply", "-f", "-"], &texts.join("\n---\n"));
}

/// What an account may do in a namespace: a line for each rule.
fn list(account: &str, namespace: &str) -> BTreeSet<String> {
    let account = format!("system:serviceaccount:{account}");
    let list = ["auth", "can-i", "--list", "--no-headers", "--as", &account, "-n", namespace];
    let printed = kubectl(&list, "");
    let rules = printed.lines().map(|line| {
        let (what, verbs) = line.trim_end_matches(']').rsplit_once('[').unwrap();
        let what: Vec<&str> = what.split_whitespace().collect();
        // They come in no order.
        let verbs: BTreeSet<&str> = verbs.split_whitespace().collect();
        format!("{} [{}]", what.join(" "), verbs.into_iter().collect::<Vec<_>>().join(" "))
    });
    rules.collect()
}

/// What it may do more than any other account.
fn told(release: &Release<'_>, places: &[(&str, &str)]) -> String {
    let mut told = String::new();
    for (place, namespace) in places {
        writeln!(told, "# {place}").unwrap();
        let anybody = list(&format!("{}:default", release.namespace), namespace);
        let ours = list(&format!("{}:{}", release.namespace, release.name), namespace);
        for rule in ours.difference(&anybody) {
            writeln!(told, "{rule}").unwrap();
        }
    }
    told
}

/// Compares with a golden file, as soon as the API server knows of the rights.
async fn compare(file: &str, told: impl Fn() -> String) {
    let path = Path::new(ROOT).join("tests/chart/rights").join(file);
    if std::env::var_os("TOKENWARD_BLESS").is_some() {
        tokio::time::sleep(Duration::from_secs(3)).await;
        fs::write(&path, told()).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let deadline = Instant::now() + PATIENCE / 4;
    while told() != golden && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(told(), golden, "{}", path.display());
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_everywhere_are_these_and_no_more() {
    let (own, web) = (World::new("rights-own").await, World::new("rights-web").await);
    let name = own.namespace.clone();
    let release = Release { name: &name, namespace: &own.namespace };
    let named = format!("fullnameOverride: {name}\n");
    let places = [("in its own namespace", &*own.namespace), ("in any other", &*web.namespace)];
    grant(&own, &release, &named);
    compare("cluster-wide.txt", || told(&release, &places)).await;
    grant(&own, &release, &(named + &SWITCHES.replace("$NS", &web.namespace)));
    compare("cluster-wide-switches.txt", || told(&release, &places)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_in_named_namespaces_are_these_and_no_more() {
    let (own, web) = (World::new("rights-own").await, World::new("rights-web").await);
    let outside = World::new("rights-outside").await;
    let name = own.namespace.clone();
    let release = Release { name: &name, namespace: &own.namespace };
    let named = format!("fullnameOverride: {name}\nnamespaces: [{}]\n", web.namespace);
    let places = [
        ("in its own namespace", &*own.namespace),
        ("in a namespace that it is for", &*web.namespace),
        ("in any other", &*outside.namespace),
    ];
    grant(&own, &release, &named);
    compare("namespaced.txt", || told(&release, &places)).await;
    let switches = named + "clusterKinds: true\n" + &SWITCHES.replace("$NS", &web.namespace);
    grant(&own, &release, &switches);
    compare("namespaced-switches.txt", || told(&release, &places)).await;
}

/// Not even whoever took it over.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_cannot_make_a_secret_of_a_type_with_power() {
    let world = World::new("rights-types").await;
    let name = world.namespace.clone();
    let release = Release { name: &name, namespace: &name };
    let values =
        format!("fullnameOverride: {name}\nnamespaces: [{name}]\nrbac: {{aggregate: false}}\n");
    grant(&world, &release, &values);
    let objects = render(&release, &values);
    let policies: Vec<&str> = objects
        .iter()
        .filter(|object| object.kind().starts_with("ValidatingAdmissionPolicy"))
        .map(|object| {
            world.litter(&[object.kind(), object.name()]);
            object.text.as_str()
        })
        .collect();
    kubectl(&["apply", "-f", "-"], &policies.join("\n---\n"));
    let account = format!("system:serviceaccount:{name}:{name}");
    let make = |who: &[&str], kind: &str| {
        let annotations = "{kubernetes.io/service-account.name: default}";
        let secret = format!(
            "{{apiVersion: v1, kind: Secret, type: {kind}, \
             metadata: {{name: made, namespace: {name}, annotations: {annotations}}}}}"
        );
        try_kubectl(&[&["create", "--dry-run=server", "-f", "-"], who].concat(), &secret)
    };
    let operator = ["--as", &*account];
    for kind in PRIVILEGED_SECRET_TYPES {
        let deadline = Instant::now() + PATIENCE;
        // The API server takes a moment to know of a policy.
        let refused = loop {
            match make(&operator, kind) {
                Err(refused) => break refused,
                Ok(_) => assert!(Instant::now() < deadline, "{kind} was never refused"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert!(refused.contains("tokenward writes no Secret of a type"), "{kind}: {refused}");
        make(&[], kind).unwrap();
    }
    make(&operator, "Opaque").unwrap();
}

/// People, by the roles that every cluster has.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_edit_a_namespace_may_edit_tokens_there_and_no_cluster_kind() {
    let world = World::new("rights-people").await;
    let name = world.namespace.clone();
    let release = Release { name: &name, namespace: &world.namespace };
    grant(&world, &release, &format!("fullnameOverride: {name}"));
    for role in ["view", "edit"] {
        world.kubectl(&["create", "serviceaccount", role]);
        let account = format!("--serviceaccount={name}:{role}");
        let binding = format!("{name}-{role}");
        // Everywhere: the most that a tenant is ever given.
        let role = format!("--clusterrole={role}");
        kubectl(&["create", "clusterrolebinding", &binding, &role, &account], "");
        world.litter(&["clusterrolebinding", &binding]);
    }
    let may = |who: &str, verb: &str| {
        let rules = list(&format!("{name}:{who}"), &name);
        let verbs = |resource: &str| {
            let resource = format!("{resource}.tokenward.dev ");
            let of_it = rules.iter().filter(|rule| rule.starts_with(&resource));
            of_it.flat_map(|rule| rule.split(['[', ']', ' ']).map(str::to_owned)).collect()
        };
        let (token, cluster): (BTreeSet<String>, BTreeSet<String>) =
            (verbs("oauthclienttokens"), verbs("clusteroauthproviders"));
        (token.contains(verb), cluster.contains(verb))
    };
    // The controller manager puts the roles together.
    let deadline = Instant::now() + PATIENCE;
    while !may("edit", "create").0 || !may("view", "watch").0 {
        assert!(Instant::now() < deadline, "the roles were never aggregated");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(may("edit", "deletecollection"), (true, false));
    assert_eq!(may("edit", "create"), (true, false));
    assert_eq!(may("view", "create"), (false, false));
    assert!(!may("view", "get").1);
}
