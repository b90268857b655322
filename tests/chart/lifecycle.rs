//! Installed, upgraded and uninstalled by Helm, on a real API server. There is no node: what kubelet
//! would run, the tests run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, ResourceExt};
use tokenward::api::OAuthClientToken;
use tokenward::api::annotations::REVOKE_FINALIZER;

use crate::harness::{
    Operator, PATIENCE, World, kubeconfig, kubectl, oauth2_client, oauth2_provider,
    service_account_kubeconfig, token, try_kubectl,
};
use crate::helm::{Object, Release, arguments, helm, render};

const VALUES: &str = "
namespaces: [$NS]
rbac: {revocation: true}
allowHTTP: true
egressAllowCIDRs: [127.0.0.0/8]
replicas: 2
";

/// Others have installed the CRDs of a cluster that many tests share.
const ADOPT: [&str; 2] = ["--take-ownership", "--force-conflicts"];

fn release(verb: &str, release: &Release<'_>, more: &[&str], values: &str) -> String {
    let mut args = vec![verb, release.name];
    if verb != "uninstall" {
        args.extend(["charts/tokenward", "-f", "-"]);
    }
    args.extend(["-n", release.namespace]);
    args.extend(more);
    helm(&args, values).unwrap_or_else(|complaint| panic!("helm {verb}: {complaint}"))
}

/// The operator as its pod would run it, but for the port.
fn operator(world: &World, name: &str, objects: &[Object]) -> Operator {
    let mut args = arguments(objects);
    assert_eq!(args.remove(0), "controller");
    args.retain(|arg| !arg.starts_with("--admin-address"));
    args.push("--admin-address=127.0.0.1:0".to_owned());
    let kubeconfig = service_account_kubeconfig(&world.namespace, name, world.folder());
    Operator::start(&kubeconfig, world.folder().join("log"), &args)
}

/// Runs the container of a pod that nobody else would, and tells the API server how it ended.
fn run_pod(world: &World, pod: &Pod) -> Output {
    let spec = pod.spec.as_ref().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let account = spec.service_account_name.as_deref().unwrap();
    let kubeconfig = service_account_kubeconfig(&world.namespace, account, folder.path());
    let output = tokenward(&kubeconfig, spec.containers[0].args.as_deref().unwrap());
    let phase = if output.status.success() { "Succeeded" } else { "Failed" };
    let patch = format!(r#"{{"status": {{"phase": "{phase}"}}}}"#);
    let name = pod.name_any();
    world.kubectl(&["patch", "pod", &name, "--subresource=status", "--type=merge", "-p", &patch]);
    output
}

fn tokenward(kubeconfig: &Path, args: &[String]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tokenward"))
        .args(args)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap()
}

/// Waits for the pod of a Job.
async fn pod_of(world: &World, job: &str) -> Pod {
    let api: Api<Pod> = Api::namespaced(world.client.clone(), &world.namespace);
    let of_job = kube::api::ListParams::default().labels(&format!("job-name={job}"));
    let found = async {
        loop {
            if let Some(pod) = api.list(&of_job).await.unwrap().items.pop() {
                return pod;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("the Job never made its pod")
}

/// What `helm test` waits for: the Secret that its pod mounts.
async fn until_tested(world: &World, name: &str, objects: &[Object]) {
    let wanted = ["Secret", "OAuthProvider", "OAuthClientToken"];
    let test = objects.iter().filter(|object| object.hook() == Some("test"));
    let mut test: Vec<&str> = test
        .filter(|object| wanted.contains(&object.kind()))
        .map(|object| object.text.as_str())
        .collect();
    assert_eq!(test.len(), wanted.len());
    kubectl(&["apply", "-f", "-"], &test.join("\n---\n"));
    let secret = world.until::<Secret>(&format!("{name}-test"), |secret| secret.is_some()).await;
    assert!(secret.unwrap().data.unwrap().contains_key("access_token"));
    test.reverse();
    kubectl(&["delete", "-f", "-"], &test.join("\n---\n"));
}

fn left_of(name: &str) -> String {
    let of_it = format!("app.kubernetes.io/instance={name}");
    let kinds = "deployments,jobs,pods,secrets,serviceaccounts,roles,rolebindings,clusterroles,\
                 clusterrolebindings,poddisruptionbudgets,\
                 validatingadmissionpolicies,validatingadmissionpolicybindings";
    kubectl(&["get", kinds, "--all-namespaces", "-l", &of_it, "-o", "name"], "")
}

#[tokio::test(flavor = "multi_thread")]
async fn installed_upgraded_and_uninstalled_it_leaves_tokens_and_no_finalizer() {
    let world = World::new("lifecycle").await;
    let name = format!("tokenward-{}", std::process::id());
    let this = Release { name: &name, namespace: &world.namespace };
    let values = VALUES.replace("$NS", &world.namespace);
    let notes = release("install", &this, &ADOPT, &values);
    assert!(notes.contains("WARNING: allowHTTP is on"), "{notes}");
    let objects = render(&this, &values);
    let operator = operator(&world, &name, &objects);
    world.apply(&format!("{}\n---\n{}", oauth2_provider("p", ""), oauth2_client("c")));
    let revoked = "providerRef: {name: p}, credentialsSecretRef: {name: c}, revoke: [Deletion]";
    world.apply(&token("shop", revoked));
    world.until_ready("shop").await;
    let held = |token: &OAuthClientToken| token.finalizers().contains(&REVOKE_FINALIZER.to_owned());
    world.until::<OAuthClientToken>("shop", |token| token.is_some_and(held)).await;

    until_tested(&world, &name, &objects).await;
    let log = operator.log();
    assert!(!log.contains("orbidden"), "{log}");
    operator.kill();
    release("upgrade", &this, &[], &values.replace("replicas: 2", "replicas: 0"));
    let replicas = |deployment: Option<&Deployment>| {
        deployment.is_some_and(|deployment| deployment.spec.as_ref().unwrap().replicas == Some(0))
    };
    world.until::<Deployment>(&name, replicas).await;

    let uninstalling = {
        let (name, namespace) = (name.clone(), world.namespace.clone());
        tokio::task::spawn_blocking(move || {
            let this = Release { name: &name, namespace: &namespace };
            release("uninstall", &this, &["--timeout=2m"], "")
        })
    };
    let pod = pod_of(&world, &format!("{name}-release")).await;
    let output = run_pod(&world, &pod);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    let here = &world.namespace;
    assert!(said.contains(&format!("Deployment {here}/{name}: stopped\n")), "{said}");
    assert!(said.ends_with("looked at: 1, released: 1\n"), "{said}");
    uninstalling.await.unwrap();
    let free = |token: &OAuthClientToken| token.finalizers().is_empty();
    world.until::<OAuthClientToken>("shop", |token| token.is_some_and(free)).await;
    assert_eq!(left_of(&name), "");

    // What was kept is the same release's again.
    release("install", &this, &[], &values);
    release("uninstall", &this, &["--no-hooks"], "");
    assert!(try_kubectl(&["get", "crd", "oauthclienttokens.tokenward.dev"], "").is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_helm_test_comes_where_only_presets_may() {
    let world = World::new("presets").await;
    let name = world.namespace.clone();
    let this = Release { name: &name, namespace: &world.namespace };
    let values = format!(
        "{{fullnameOverride: {name}, namespaces: [{name}], namespacedProviders: CatalogueOnly, \
         crds: {{enabled: false}}, rbac: {{aggregate: false}}}}"
    );
    release("install", &this, &[], &values);
    let objects = render(&this, &values);
    let operator = operator(&world, &name, &objects);
    until_tested(&world, &name, &objects).await;
    operator.kill();
    release("uninstall", &this, &["--no-hooks"], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn release_stops_what_it_is_told_to_and_says_what_it_cannot() {
    let world = World::new("stop").await;
    let release = |kubeconfig: &PathBuf, stop: &str| {
        let args = ["release", "--namespace", &world.namespace, "--stop", stop];
        let output = tokenward(kubeconfig, &args.map(str::to_owned));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout) + &text(output.stderr))
    };
    let admin = kubeconfig();
    let (code, said) = release(&admin, &format!("{}/none", world.namespace));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("/none: not there\n"), "{said}");
    let (code, said) = release(&admin, "none");
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("NAMESPACE/NAME"), "{said}");
    let nobody = service_account_kubeconfig(&world.namespace, "default", world.folder());
    let (code, said) = release(&nobody, &format!("{}/none", world.namespace));
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("cannot be read: RBAC does not let tokenward get deployments (403)"),
        "{said}"
    );
}
