//! The operator for named namespaces, under exactly the rules that deploy/ gives it.

use std::collections::BTreeSet;
use std::path::Path;

use tokenward::api::conditions::READY;

use provider_simulator::systems::oauth2::REFRESH_TOKEN;

use crate::harness::{
    LOOPBACK, Operator, World, kubectl, oauth2_provider, service_account_kubeconfig, token,
};

/// The shipped rules, for an operator in `own` that works in `namespace`.
fn grant(own: &str, namespace: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rbac-namespaced.yaml");
    let rules = std::fs::read_to_string(path).unwrap();
    let rules = rules
        .replace("tokenward-system", own)
        .replace("namespace: web", &format!("namespace: {namespace}"))
        .replace("name: web\n", &format!("name: {namespace}\n"));
    assert!(!rules.contains("kind: Cluster"), "a ClusterRole is not for named namespaces");
    kubectl(&["apply", "-f", "-"], &rules);
}

#[tokio::test]
async fn the_rules_for_named_namespaces_are_enough_and_nothing_else_is_asked_for() {
    let (own, one) = (World::new("ns-own").await, World::new("ns-one").await);
    let (two, outside) = (World::new("ns-two").await, World::new("ns-outside").await);
    grant(&own.namespace, &one.namespace);
    grant(&own.namespace, &two.namespace);
    let kubeconfig = service_account_kubeconfig(&own.namespace, "tokenward", own.folder());
    let args = [
        &LOOPBACK[..],
        // Its own namespace is that of its kubeconfig.
        &["--namespace", &one.namespace, "--namespace", &two.namespace],
        &["--log-level", "info,kube_client=debug,tokenward=debug"],
    ];
    let args: Vec<String> = args.concat().into_iter().map(str::to_owned).collect();
    let operator = Operator::start(&kubeconfig, own.folder().join("log"), &args);

    for world in [&one, &two, &outside] {
        world.apply_oauth2("shop", "");
    }
    one.until_ready("shop").await;
    two.until_ready("shop").await;
    // Everything that it may ever do: mend, refresh, rename, refuse, tell.
    one.kubectl(&["delete", "secret", "shop"]);
    one.until_requests(2).await;
    one.force("shop", "now").await;
    one.patch("oct/shop", r#"{"spec": {"target": {"secretName": "orders"}}}"#);
    one.until_status("shop", |status| status.secret_name.as_deref() == Some("orders")).await;
    one.until::<k8s_openapi::api::core::v1::Secret>("shop", |secret| secret.is_none()).await;
    // What a provider renews is kept beside the credentials.
    one.apply(
        &oauth2_provider("renewing", "").replace("preset: oauth2", "preset: oauth2-refresh-token"),
    );
    one.patch("secret/c", &format!(r#"{{"stringData": {{"refresh_token": "{REFRESH_TOKEN}"}}}}"#));
    one.apply(&token("renewing", "providerRef: {name: renewing}, credentialsSecretRef: {name: c}"));
    one.until_ready("renewing").await;
    one.force("renewing", "now").await;
    assert!(one.secret("c-renewed").await.1.contains_key("refresh_token"));
    let cluster = r#"{"spec": {"providerRef": {"kind": "ClusterOAuthProvider"}}}"#;
    two.patch("oct/shop", cluster);
    two.until_condition("shop", ("Fresh", "False", "ClusterKindsDisabled")).await;
    two.until_condition("shop", (READY, "True", "TokenValid")).await;
    let events = one.kubectl(&["get", "events.events.k8s.io", "-o", "name"]);
    assert!(!events.is_empty(), "events are filed");
    one.until::<tokenward::api::OAuthProvider>("p", |provider| {
        provider.is_some_and(|provider| provider.status.is_some())
    })
    .await;

    let log = operator.log();
    for word in ["status_code=403", "Forbidden", "forbidden", "a watch broke"] {
        assert!(!log.contains(word), "{word}:\n{log}");
    }
    // Nor was anything else tried: each request names one of its namespaces.
    let paths: BTreeSet<&str> = log
        .split("http.url=")
        .skip(1)
        .filter_map(|rest| rest.split([' ', '?', '}']).next())
        .collect();
    assert!(!paths.is_empty(), "the log shows no request");
    let named = [&own, &one, &two].map(|world| format!("/namespaces/{}/", world.namespace));
    // Everybody may read that.
    let published = |path: &&str| path.contains("/openapi/v3/apis/tokenward.dev/");
    for path in paths.into_iter().filter(|path| !published(path)) {
        assert!(named.iter().any(|named| path.contains(named)), "{path}");
    }
    assert_eq!(outside.sim.requests(), []);
    let untouched = outside.kubectl(&["get", "oct", "shop", "-o", "jsonpath={.status}"]);
    assert_eq!(untouched, "");
}
