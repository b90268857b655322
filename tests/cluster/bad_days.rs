//! Rights that are missing, and an API server that is away: what can go on goes on, and what cannot
//! says why.

use std::path::Path;

use chrono::Utc;
use futures::future::join_all;
use provider_simulator::{Behaviour, System};
use tokenward::api::conditions::FRESH;

use crate::harness::{
    ADMIN, LOOPBACK, OPERATOR_NAMESPACE, Operator, PATIENCE, Passage, Proxy, World, kubectl,
    oauth2_client, oauth2_provider, oauth2_token, service_account_kubeconfig,
};

/// The shipped rules for named namespaces, but for one verb on one resource.
fn grant_all_but(own: &str, namespace: &str, (with, without): (&str, &str)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rbac-namespaced.yaml");
    let rules = std::fs::read_to_string(path).unwrap();
    assert_eq!(rules.matches(with).count(), 1, "{with}");
    let rules = rules
        .replace(with, without)
        .replace("tokenward-system", own)
        .replace("namespace: web", &format!("namespace: {namespace}"))
        .replace("name: web\n", &format!("name: {namespace}\n"));
    kubectl(&["apply", "-f", "-"], &rules);
}

const SECRETS: &str = "resources: [secrets]\n    verbs: [get, list, watch, create, patch, delete]";

/// An operator under these rules, and a token for it.
async fn under(verb: &str, rules: (&str, &str)) -> (World, World, Operator) {
    under_with(verb, rules, &[]).await
}

async fn under_with(verb: &str, rules: (&str, &str), more: &[&str]) -> (World, World, Operator) {
    let own = World::new(&format!("rbac-{verb}-own")).await;
    let world = World::new(&format!("rbac-{verb}")).await;
    grant_all_but(&own.namespace, &world.namespace, rules);
    let kubeconfig = service_account_kubeconfig(&own.namespace, "tokenward", own.folder());
    let args = [&LOOPBACK[..], &["--namespace", &world.namespace], more].concat();
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let operator = Operator::start(&kubeconfig, own.folder().join("log"), &args);
    world.apply_oauth2("shop", "");
    (own, world, operator)
}

async fn told(verb: &str, reason: &str) {
    let rest: Vec<&str> = ["get", "list", "watch", "create", "patch", "delete"]
        .into_iter()
        .filter(|granted| *granted != verb)
        .collect();
    let less = format!("resources: [secrets]\n    verbs: [{}]", rest.join(", "));
    let (_own, world, _operator) = under(verb, (SECRETS, &less)).await;
    if verb == "patch" {
        // What is made is good; what is there cannot be replaced.
        world.until_ready("shop").await;
        world.force("shop", "now").await;
    }
    let message = world.until_condition("shop", (FRESH, "False", reason)).await;
    assert!(
        message.contains(&format!("RBAC does not let tokenward {verb} secrets (403)")),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_is_named_where_it_is_missed() {
    let cases = [("get", "ReadFailed"), ("create", "WriteFailed"), ("patch", "WriteFailed")];
    join_all(cases.map(|(verb, reason)| Box::pin(told(verb, reason)))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_listed_is_looked_up_and_what_cannot_be_told_is_logged() {
    let less = SECRETS.replace("list, ", "");
    let status = "resources: [oauthclienttokens/status, oauthproviders/status]";
    let (listing, telling) = tokio::join!(
        under("list", (SECRETS, &less)),
        under("status", (status, "resources: [oauthproviders/status]"))
    );
    let (_own, world, operator) = listing;
    world.until_ready("shop").await;
    operator.wait_for_log("cannot list resource \"secrets\"").await;
    let (_own, world, operator) = telling;
    operator.wait_for_log("RBAC does not let tokenward patch oauthclienttokens/status (403)").await;
    let (_, data) = world.secret("shop").await;
    assert!(world.sim.is_active(&data["access_token"]), "the workload has its token all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_the_lease_is_not_ready_and_says_why() {
    let lease = "resources: [leases]\n    verbs: [get, update]";
    let election = [&ADMIN[..], &["--leader-elect"]].concat();
    let less = "resources: [leases]\n    verbs: [update]";
    let (own, world, operator) = under_with("lease", (lease, less), &election).await;
    let told =
        "[-] lease: nobody can be elected by it: RBAC does not let tokenward get leases (403)";
    operator.wait_for_gates((503, told)).await;
    grant_all_but(&own.namespace, &world.namespace, (lease, lease));
    operator.wait_for_gates((200, "[+] lease\n")).await;
    world.until_ready("shop").await;
}

/// Tokens, with one life for all.
const TOKENS: usize = 12;
const LIFE: i64 = 16;

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_back_meets_no_storm_nor_does_the_provider() {
    let world = World::new("gone").await;
    world.sim.set(System::Oauth2, Behaviour::living(LIFE));
    let own = service_account_kubeconfig(OPERATOR_NAMESPACE, "tokenward", world.folder());
    let folder = world.folder().join("behind");
    std::fs::create_dir(&folder).unwrap();
    let proxy = Proxy::to_api_server(&own).await;
    let kubeconfig = proxy.kubeconfig(&own, &folder);
    let place =
        ["--namespace", &world.namespace, "--cluster-resource-namespace", OPERATOR_NAMESPACE];
    let args = [&LOOPBACK[..], &ADMIN, &place].concat();
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let operator = Operator::start(&kubeconfig, folder.join("log"), &args);
    let names: Vec<String> = (0..TOKENS).map(|n| format!("shop-{n}")).collect();
    let tokens = names.iter().map(|name| oauth2_token(name));
    let manifests = [oauth2_provider("p", ""), oauth2_client("c")].into_iter().chain(tokens);
    world.apply(&manifests.collect::<Vec<_>>().join("\n---\n"));
    join_all(names.iter().map(|name| world.until_ready(name))).await;

    proxy.set(Passage::Broken);
    // It could ask, but it could not read with what, nor write what it got.
    let held = join_all(names.iter().map(|name| world.secret(name))).await;
    let all_over = async {
        while held.iter().any(|(_, data)| world.sim.is_active(&data["access_token"])) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, all_over).await.expect("a token that does not end");
    let (before, (live, _)) = (world.requests(), operator.admin("/livez"));
    assert_eq!(live, 200);
    proxy.set(Passage::Open);
    let back = Utc::now();
    let is_good = |name: &str| {
        let world = &world;
        let name = name.to_owned();
        async move { world.sim.is_active(&world.secret(&name).await.1["access_token"]) }
    };
    let all_good = async {
        for name in &names {
            while !is_good(name).await {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, all_good).await.expect("a token was lost");
    // One each, and what became due by then, as on any other day.
    let lives = (Utc::now() - back).num_seconds() / (LIFE / 2) + 1;
    let most = TOKENS * usize::try_from(lives).unwrap();
    let asked = world.requests() - before;
    assert!((TOKENS..=most).contains(&asked), "{asked} requests, at most {most} were needed");
    join_all(names.iter().map(|name| world.until_condition(name, (FRESH, "True", "Refreshed"))))
        .await;
}
