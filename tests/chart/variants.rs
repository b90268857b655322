//! Every way to install it is accepted by the API server, as it is.

use std::collections::BTreeSet;

use rstest::rstest;
use serde_yaml::Value;
use tokio::sync::OnceCell;

use crate::consumers::install_crds;
use crate::harness::{World, kubectl, try_kubectl};
use crate::helm::{Object, Release, render};

/// Everything switched on or changed, for named namespaces.
pub const EVERYTHING: &str = r#"
commonLabels: {team: platform}
image: {digest: "sha256:0000000000000000000000000000000000000000000000000000000000000000"}
imagePullSecrets: [{name: registry}]
replicas: 3
namespaces: [$NS]
clusterKinds: true
lists: Streamed
namespacedProviders: CatalogueOnly
allowedHosts: ["*.example.com", "login.example.org:8443"]
egressAllowCIDRs: [10.20.0.0/16, "fd00::/8"]
allowHTTP: true
requestTimeoutSeconds: 30
serviceAccount: {annotations: {example.com/role: "1"}}
rbac:
  restart: true
  nudge: true
  revocation: true
  serviceAccountTokens: [{namespace: $NS, names: [shop, orders]}]
logLevel: info,kube=debug
logFormat: json
otlpEndpoint: http://collector.monitoring:4318
admin: {address: "::", port: 9090}
extraArgs: [--log-format=text]
extraEnv: [{name: SSL_CERT_FILE, value: /ca/ca.crt}]
extraVolumes: [{name: ca, configMap: {name: company-ca}}]
extraVolumeMounts: [{name: ca, mountPath: /ca, readOnly: true}]
podLabels: {example.com/mesh: "off"}
podAnnotations: {example.com/scrape: "true"}
priorityClassName: system-cluster-critical
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: dedicated, operator: Exists}]
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms: [{matchExpressions: [{key: example.com/pool, operator: Exists}]}]
topologySpreadConstraints:
  - {topologyKey: topology.kubernetes.io/zone, maxSkew: 1, whenUnsatisfiable: DoNotSchedule,
     labelSelector: {matchLabels: {app.kubernetes.io/name: tokenward}}}
dnsPolicy: ClusterFirst
dnsConfig: {options: [{name: ndots, value: "1"}]}
podDisruptionBudget: {maxUnavailable: 50%}
networkPolicy:
  enabled: true
  metricsFrom: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]
  extraEgress: [{to: [{ipBlock: {cidr: 10.30.0.0/16}}], ports: [{port: 4318, protocol: TCP}]}]
podMonitor: {enabled: true, interval: 1m, labels: {release: prometheus}}
alerts: {enabled: true, labels: {release: prometheus}}
dashboard: {enabled: true, annotations: {grafana_folder: tokens}}
"#;

const CLUSTER_WIDE: &str = "
rbac: {restart: true, nudge: true, revocation: true,
       serviceAccountTokens: [{namespace: $NS, names: [shop]}]}
podMonitor: {enabled: true}
alerts: {enabled: true}
dashboard: {enabled: true}
networkPolicy: {enabled: true}
";

/// As little as there can be.
const LEAST: &str = "
crds: {enabled: false}
replicas: 1
leaderElection: {enabled: false}
serviceAccount: {create: false, name: default}
rbac: {create: false}
uninstall: {release: false}
";

const HOST: &str = "{hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet, replicas: 1}";

fn kinds(objects: &[Object]) -> BTreeSet<&str> {
    objects.iter().map(Object::kind).collect()
}

static CONSUMERS: OnceCell<()> = OnceCell::const_new();

/// The API server's own word, on all of it: that every field is known, too.
async fn accept(world: &World, objects: &[Object]) {
    CONSUMERS.get_or_init(install_crds).await;
    let texts: Vec<&str> = objects.iter().map(|object| object.text.as_str()).collect();
    let apply = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"];
    kubectl(&apply, &texts.join("\n---\n"));
    let pods = objects.iter().filter_map(|object| pod_in(world, object));
    for pod in pods {
        kubectl(&["create", "--dry-run=server", "-f", "-"], &serde_json::to_string(&pod).unwrap());
    }
}

/// A pod of the chart's, without what need not be there.
fn pod_in(world: &World, object: &Object) -> Option<Value> {
    let mut pod = object.pod()?;
    pod["metadata"]["namespace"] = world.namespace.as_str().into();
    pod["spec"].as_mapping_mut().unwrap().remove("serviceAccountName");
    Some(pod)
}

#[rstest]
#[case::default("")]
#[case::cluster_wide(CLUSTER_WIDE)]
#[case::everything(EVERYTHING)]
#[case::least(LEAST)]
#[case::host(HOST)]
#[case::denied("namespacedProviders: Deny")]
#[case::nothing_kept("{crds: {keep: false}, replicas: 0, podDisruptionBudget: {enabled: false}}")]
#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_accepts_every_variant(#[case] values: &str) {
    let world = World::new("chart").await;
    // No other level knows of the node's network.
    let level = if values == HOST { "privileged" } else { "restricted" };
    let level = format!("pod-security.kubernetes.io/enforce={level}");
    kubectl(&["label", "namespace", &world.namespace, &level], "");
    let release = Release { name: "a-release", namespace: &world.namespace };
    let objects = render(&release, &values.replace("$NS", &world.namespace));
    accept(&world, &objects).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_not_restricted_would_have_been_refused() {
    let world = World::new("chart").await;
    let restricted = "pod-security.kubernetes.io/enforce=restricted";
    kubectl(&["label", "namespace", &world.namespace, restricted], "");
    let release = Release { name: "a-release", namespace: &world.namespace };
    let objects =
        render(&release, "{securityContext: {readOnlyRootFilesystem: true, capabilities: null}}");
    let pod = objects.iter().find_map(|object| pod_in(&world, object)).unwrap();
    let create = ["create", "--dry-run=server", "-f", "-"];
    let refused = try_kubectl(&create, &serde_json::to_string(&pod).unwrap()).unwrap_err();
    assert!(refused.contains("violates PodSecurity \"restricted"), "{refused}");
}

#[test]
fn named_namespaces_get_roles_and_nothing_reaches_further() {
    let release = Release { name: "tokenward", namespace: "own" };
    let objects =
        render(&release, "{namespaces: [a, b], rbac: {aggregate: false, revocation: true}}");
    let kinds = kinds(&objects);
    assert!(kinds.contains("Role") && kinds.contains("RoleBinding"), "{kinds:?}");
    assert!(!kinds.contains("ClusterRole") && !kinds.contains("ClusterRoleBinding"), "{kinds:?}");
    let mut namespaces: Vec<&str> = objects
        .iter()
        .filter(|object| object.kind() == "Role" && object.name() == "tokenward")
        .map(|object| object.value["metadata"]["namespace"].as_str().unwrap())
        .collect();
    namespaces.sort_unstable();
    assert_eq!(namespaces, ["a", "b"]);
}

#[test]
fn no_cluster_role_of_a_namespaced_release_has_a_say_in_secrets() {
    let everything = EVERYTHING.replace("$NS", "web");
    let objects = render(&Release { name: "tokenward", namespace: "own" }, &everything);
    let roles = objects.iter().filter(|object| object.kind() == "ClusterRole");
    let all: Vec<&Value> =
        roles.flat_map(|role| role.value["rules"].as_sequence().unwrap()).collect();
    assert!(!all.is_empty(), "cluster kinds have one");
    for rule in all {
        let resources = rule["resources"].as_sequence().unwrap();
        assert!(!resources.contains(&"secrets".into()), "{rule:?}");
        assert!(!resources.contains(&"*".into()), "{rule:?}");
    }
}

#[test]
fn each_right_has_its_switch() {
    let names = |values: &str| -> BTreeSet<String> {
        let objects = render(&Release { name: "tokenward", namespace: "own" }, values);
        let ours = objects.iter().filter(|object| object.hook().is_none());
        let ours = ours.filter(|object| object.kind() != "CustomResourceDefinition");
        ours.map(|object| format!("{}/{}", object.kind(), object.name())).collect()
    };
    let least = names("");
    for (values, added) in [
        ("rbac: {revocation: true}", &["ClusterRole", "ClusterRoleBinding"][..]),
        (
            "rbac: {restart: true}",
            &[
                "ClusterRole",
                "ClusterRoleBinding",
                "ValidatingAdmissionPolicy",
                "ValidatingAdmissionPolicyBinding",
            ],
        ),
        ("rbac: {serviceAccountTokens: [{namespace: web, names: [a]}]}", &["Role", "RoleBinding"]),
        ("networkPolicy: {enabled: true}", &["NetworkPolicy", "NetworkPolicy"]),
        ("podMonitor: {enabled: true}", &["PodMonitor"]),
        ("alerts: {enabled: true}", &["PrometheusRule"]),
        ("dashboard: {enabled: true}", &["ConfigMap"]),
    ] {
        let now = names(values);
        assert!(least.is_subset(&now), "{values}");
        let more: Vec<&str> =
            now.difference(&least).map(|object| object.split('/').next().unwrap()).collect();
        assert_eq!(more, added, "{values}");
    }
    let open: Vec<String> =
        least.difference(&names("rbac: {secretTypes: false}")).cloned().collect();
    let policy = "ValidatingAdmissionPolicy";
    assert_eq!(
        open,
        [format!("{policy}/tokenward-secrets"), format!("{policy}Binding/tokenward-secrets")]
    );
    let fewer = names("rbac: {aggregate: false}");
    let gone: Vec<&String> = least.difference(&fewer).collect();
    assert_eq!(gone, ["ClusterRole/tokenward-edit", "ClusterRole/tokenward-view"]);
}

#[test]
fn two_releases_share_nothing_that_is_the_clusters() {
    let values = EVERYTHING.replace("$NS", "web") + "crds: {enabled: false}\n";
    let of_cluster = |name: &str| -> BTreeSet<String> {
        let objects = render(&Release { name, namespace: name }, &values);
        let of_cluster =
            objects.iter().filter(|object| object.value["metadata"]["namespace"].is_null());
        of_cluster.map(|object| format!("{}/{}", object.kind(), object.name())).collect()
    };
    let (one, other) = (of_cluster("tokenward"), of_cluster("team-a"));
    assert!(one.len() > 8, "{one:?}");
    assert!(one.is_disjoint(&other), "{one:?} {other:?}");
}

/// Two of them cannot listen on one node.
#[test]
fn on_the_nodes_network_a_replica_goes_before_the_next_comes() {
    let strategy = |values: &str| {
        let objects = render(&Release { name: "tokenward", namespace: "own" }, values);
        let deployment = objects.iter().find(|object| object.kind() == "Deployment").unwrap();
        deployment.value["spec"]["strategy"]["rollingUpdate"].clone()
    };
    assert_eq!(strategy("hostNetwork: true")["maxSurge"], 0);
    assert_eq!(strategy("hostNetwork: true")["maxUnavailable"], 1);
    assert!(strategy("").is_null());
}

#[test]
fn crds_are_kept_unless_somebody_says_otherwise() {
    let policies = |values: &str| {
        let objects = render(&Release { name: "tokenward", namespace: "own" }, values);
        let crds = objects.iter().filter(|object| object.kind() == "CustomResourceDefinition");
        let policy = crds.map(|crd| {
            let policy = &crd.value["metadata"]["annotations"]["helm.sh/resource-policy"];
            policy.as_str().map(str::to_owned)
        });
        policy.collect::<Vec<_>>()
    };
    assert_eq!(policies(""), vec![Some("keep".to_owned()); 4]);
    assert_eq!(policies("crds: {keep: false}"), vec![None; 4]);
    assert_eq!(policies("crds: {enabled: false}"), Vec::<Option<String>>::new());
}
