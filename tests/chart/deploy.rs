//! deploy/ is for those who do without Helm, and for the other tests: it is made from the chart.

use std::fs;
use std::path::Path;

use crate::generated::is_current;
use crate::helm::{Object, ROOT, SHIPPED, render};

/// A file of deploy/: what is said above it, the values, and which objects are in it.
struct File {
    name: &'static str,
    head: &'static str,
    values: &'static str,
    namespaces: &'static [&'static str],
    objects: &'static [&'static str],
}

const WORKLOADS: &str = "rbac: {restart: true, nudge: true}";

const FILES: [File; 7] = [
    File {
        name: "rbac.yaml",
        head: "The least that works: what the operator may do, cluster-wide. Tests run under exactly this.",
        values: "",
        namespaces: &["tokenward-system"],
        objects: &["ServiceAccount/tokenward", "tokenward", "tokenward-leader-election"],
    },
    File {
        name: "rbac-namespaced.yaml",
        head: "What the operator may do where it works in named namespaces only (`--namespace web`): a Role in\n\
               each of them, and in its own for the digest key, the count of requests and the Lease. No\n\
               ClusterRole.",
        values: "namespaces: [web]",
        namespaces: &["tokenward-system", "web"],
        objects: &[
            "ServiceAccount/tokenward",
            "tokenward",
            "tokenward-own",
            "tokenward-leader-election",
        ],
    },
    File {
        name: "rbac-revocation.yaml",
        head: "What `spec.revoke: [Deletion]` and `spec.target.creationPolicy: Merge` (with `deletionPolicy:\n\
               Delete`) need beyond rbac.yaml or rbac-namespaced.yaml: the finalizer tokenward.dev/revoke, which\n\
               stands for both, is set and removed by a patch of the resource itself. RBAC cannot limit that to\n\
               the finalizers, so it is apart. For named namespaces only, bind the ClusterRole by a RoleBinding in\n\
               each of them.",
        values: "rbac: {revocation: true}",
        namespaces: &[],
        objects: &["tokenward-revocation"],
    },
    File {
        name: "rbac-workloads.yaml",
        head: "What `spec.target.restart` and `spec.target.nudge` need beyond rbac.yaml or rbac-namespaced.yaml.\n\
               RBAC cannot limit a patch to an annotation: workloads-policy.yaml does, so apply both. Leave out\n\
               the rule of what is not used. For named namespaces only, bind the ClusterRole by a RoleBinding in\n\
               each.",
        values: WORKLOADS,
        namespaces: &[],
        objects: &["ClusterRole/tokenward-workloads", "ClusterRoleBinding/tokenward-workloads"],
    },
    File {
        name: "rbac-service-account.yaml",
        head: "An example to adapt: what `spec.serviceAccountRef` needs beyond rbac.yaml or rbac-namespaced.yaml.\n\
               Whoever may create serviceaccounts/token can act as that ServiceAccount: so it is a Role in each\n\
               namespace, and names the ServiceAccounts that tokenward may ask for, one by one.",
        values: "rbac: {serviceAccountTokens: [{namespace: web, names: [shop]}]}",
        namespaces: &[],
        objects: &["tokenward-service-accounts"],
    },
    File {
        name: "secrets-policy.yaml",
        head: "Goes with rbac.yaml or rbac-namespaced.yaml. RBAC cannot limit Secrets by their type: this refuses\n\
               tokenward's ServiceAccount those that give power, so that whoever takes the operator over cannot have\n\
               Kubernetes fill one with a ServiceAccount's token. Where tokenward runs under another ServiceAccount\n\
               than tokenward-system/tokenward, change the matchCondition: the policy says nothing of others.",
        values: "",
        namespaces: &[],
        objects: &[
            "ValidatingAdmissionPolicy/tokenward-secrets",
            "ValidatingAdmissionPolicyBinding/tokenward-secrets",
        ],
    },
    File {
        name: "workloads-policy.yaml",
        head: "Limits what tokenward's ServiceAccount may change of workloads and pods to its own annotations:\n\
               whoever takes the operator over cannot run anything by way of rbac-workloads.yaml. Where tokenward\n\
               runs under another ServiceAccount than tokenward-system/tokenward, change the two matchConditions:\n\
               the policy says nothing of others.",
        values: WORKLOADS,
        namespaces: &[],
        objects: &[
            "ValidatingAdmissionPolicy/tokenward-workloads",
            "ValidatingAdmissionPolicyBinding/tokenward-workloads",
            "ValidatingAdmissionPolicy/tokenward-pods",
            "ValidatingAdmissionPolicyBinding/tokenward-pods",
        ],
    },
];

/// Kinds of which a bare name stands for all.
const RIGHTS: [&str; 4] = ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];

fn is_wanted(object: &Object, wanted: &[&str]) -> bool {
    let full = format!("{}/{}", object.kind(), object.name());
    wanted.iter().any(|wanted| *wanted == full)
        || (RIGHTS.contains(&object.kind()) && wanted.contains(&object.name()))
}

/// Without what is Helm's: its labels, and where it has it from.
fn plain(text: &str) -> String {
    let ours = ["app.kubernetes.io/", "helm.sh/chart", "# Source: "];
    let lines = text.lines().filter(|line| {
        !line.trim().is_empty() && !ours.iter().any(|start| line.trim_start().starts_with(start))
    });
    let lines: Vec<&str> = lines.filter(|line| *line != "  labels:").collect();
    lines.join("\n") + "\n"
}

fn written(file: &File) -> String {
    let head: Vec<String> = file.head.lines().map(|line| format!("# {line}\n")).collect();
    let namespaces = file.namespaces.iter().map(|namespace| {
        format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {namespace}\n")
    });
    let objects = render(&SHIPPED, file.values);
    // The account first: whoever reads on knows whose rights they are.
    let of_chart = objects.iter().filter(|object| is_wanted(object, file.objects));
    let parts: Vec<String> = namespaces.chain(of_chart.map(|object| plain(&object.text))).collect();
    format!("{}# Made from charts/tokenward: make deploy\n{}", head.concat(), parts.join("---\n"))
}

#[test]
fn deploy_is_current() {
    for file in &FILES {
        is_current(&format!("deploy/{}", file.name), &written(file));
    }
    let shipped = fs::read_dir(Path::new(ROOT).join("deploy")).unwrap().count();
    assert_eq!(shipped, FILES.len(), "what else is in deploy/ is in no test");
}

#[test]
fn the_chart_has_the_crds_that_the_types_make() {
    let of_chart = fs::read(Path::new(ROOT).join("charts/tokenward/files/crds.yaml")).unwrap();
    let shipped = fs::read(Path::new(ROOT).join("crds/tokenward.yaml")).unwrap();
    assert!(of_chart == shipped, "run `make crds`");
}
