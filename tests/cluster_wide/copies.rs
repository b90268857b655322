//! What copies are like, what stands in their way, and what becomes of them.

use k8s_openapi::api::core::v1::Secret;
use provider_simulator::{Behaviour, Fault, Options, System};
use serde_json::json;
use tokenward::api::conditions::{FRESH, READY};

use crate::ONE_AT_A_TIME;
use crate::fleet::{COPY, Fleet, holds, reason};
use crate::harness::{LOOPBACK, OPERATOR_NAMESPACE, kubectl, token};

fn keys(secret: &Secret) -> Vec<&str> {
    secret.data.iter().flatten().map(|(key, _)| key.as_str()).collect()
}

fn text(secret: &Secret, key: &str) -> String {
    String::from_utf8(secret.data.as_ref().unwrap()[key].0.clone()).unwrap()
}

/// Whether a Secret goes with what owns it.
fn is_owned(secret: &Secret) -> bool {
    secret.metadata.owner_references.as_ref().is_some_and(|references| !references.is_empty())
}

async fn copy(fleet: &Fleet, which: &str) -> Secret {
    let namespace = fleet.namespace(which);
    fleet.until_secret((&namespace, COPY), |secret| secret.is_some()).await.unwrap()
}

#[tokio::test]
async fn copies_have_the_shape_and_the_policies_that_are_declared() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::new("shapes").await;
    let _operator = fleet.world.bare_operator(&LOOPBACK);
    fleet.add(&["a", "b"]);
    fleet.apply_token(&json!({"target": {
        "secretName": COPY,
        "deletionPolicy": "Retain",
        "formats": {"authorizationHeader": {}},
        "template": {
            "data": {"who": "{{ name }} in {{ namespace }}"},
            "labels": {"of": "{{ namespace }}"}
        }
    }}));
    fleet.until_counts(2, 2, 0).await;
    for which in ["a", "b"] {
        let (copy, namespace) = (copy(&fleet, which).await, fleet.namespace(which));
        assert_eq!(text(&copy, "who"), format!("{} in {namespace}", fleet.name()));
        assert_eq!(text(&copy, "authorization"), format!("Bearer {}", text(&copy, "access_token")));
        assert_eq!(copy.metadata.labels.as_ref().unwrap()["of"], namespace);
        assert!(!is_owned(&copy), "it is to stay");
    }
    // The master copy holds the token and nothing else, and goes.
    let master = fleet.master();
    let found = fleet.until_secret((OPERATOR_NAMESPACE, &master), |s| s.is_some()).await.unwrap();
    assert_eq!(keys(&found), ["access_token", "expires_at", "token_type"]);
    assert!(is_owned(&found));

    // Under another name as well; but a former copy stays where the new one cannot be.
    let taken = "somebodys-own";
    let namespace = fleet.namespace("a");
    let take = ["create", "secret", "generic", taken, "--from-literal=own=1", "-n", &namespace];
    kubectl(&take, "");
    fleet.patch(&json!({"target": {"secretName": taken, "deletionPolicy": "Delete"}}));
    fleet.until_copy("b", |copy| copy.is_none()).await;
    assert_eq!(text(&copy(&fleet, "a").await, "who"), format!("{} in {namespace}", fleet.name()));
    fleet.patch(&json!({"target": {"secretName": COPY, "deletionPolicy": "Retain"}}));
    fleet.until_counts(2, 2, 0).await;

    // What is not selected any more stays, as long as that is the policy.
    fleet.label("b", "selected-");
    fleet.until_counts(1, 1, 0).await;
    let retained = copy(&fleet, "b").await;
    assert_eq!(text(&retained, "access_token"), text(&found, "access_token"));

    // Another shape, type and policy: what is there is written anew, and asked for is nothing.
    fleet.patch(&json!({"target": {
        "deletionPolicy": "Delete",
        "formats": {"authorizationHeader": null, "basicAuth": {"username": "shop"}},
        "template": null
    }}));
    fleet.until_copy("b", |copy| copy.is_none()).await;
    let basic_auth = |copy: Option<&Secret>| {
        copy.is_some_and(|copy| copy.type_.as_deref() == Some("kubernetes.io/basic-auth"))
    };
    fleet.until_copy("a", basic_auth).await;
    let reshaped = copy(&fleet, "a").await;
    assert_eq!(
        keys(&reshaped),
        ["access_token", "expires_at", "password", "token_type", "username"]
    );
    assert!(is_owned(&reshaped));
    assert_eq!(text(&reshaped, "access_token"), text(&found, "access_token"));

    // Another name.
    fleet.patch(&json!({"target": {"secretName": "renamed", "formats": null}}));
    fleet.until_copy("a", |copy| copy.is_none()).await;
    let namespace = fleet.namespace("a");
    fleet.until_secret((&namespace, "renamed"), holds(&text(&found, "access_token"))).await;
    assert_eq!(fleet.requests(), 1);
}

#[tokio::test]
async fn copies_that_are_retained_outlive_their_owner_and_are_its_successors() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::new("retained").await;
    let _operator = fleet.world.bare_operator(&LOOPBACK);
    fleet.add(&["a"]);
    fleet.apply_token(&json!({}));
    fleet.until_copy("a", |copy| copy.is_some_and(is_owned)).await;
    fleet.patch(&json!({"target": {"deletionPolicy": "Retain"}}));
    fleet.until_copy("a", |copy| copy.is_some_and(|copy| !is_owned(copy))).await;
    kubectl(&["delete", "coct", fleet.name()], "");
    let master = fleet.master();
    fleet.until_secret((OPERATOR_NAMESPACE, &master), |secret| secret.is_none()).await;
    let retained = text(&copy(&fleet, "a").await, "access_token");
    assert!(fleet.world.sim.is_active(&retained));
    // Another of the same name: its copy is this one.
    fleet.apply_token(&json!({}));
    fleet.until_copy("a", |copy| copy.is_some_and(is_owned)).await;
    fleet.until_counts(1, 1, 0).await;
    assert_eq!(fleet.requests(), 2);
}

#[tokio::test]
async fn an_expired_token_leaves_the_copies_where_that_is_wanted() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let options = Options::default().with(System::Oauth2, Behaviour::living(10));
    let fleet = Fleet::with("expired", options).await;
    let _operator =
        fleet.world.bare_operator(&[&LOOPBACK[..], &["--request-timeout", "10"]].concat());
    fleet.add(&["a", "b"]);
    fleet.apply_token(&json!({"onExpiry": "Remove"}));
    fleet.until_counts(2, 2, 0).await;
    fleet.world.sim.set(System::Oauth2, Behaviour::failing(Fault::Hang));
    fleet.until(|status| reason(status, READY) == "False/TokenExpired").await;
    for which in ["a", "b"] {
        fleet.until_copy(which, |copy| copy.is_some_and(|copy| keys(copy).is_empty())).await;
    }
    fleet.until_counts(2, 0, 0).await;
    // All is well again by itself once the provider answers.
    fleet.world.sim.set(System::Oauth2, Behaviour::living(10));
    fleet.until_counts(2, 2, 0).await;
    // Who is to have copies is unknown without a provider. What expires leaves them all the same.
    kubectl(&["delete", "clusteroauthprovider", fleet.name()], "");
    for which in ["a", "b"] {
        fleet.until_copy(which, |copy| copy.is_some_and(|copy| keys(copy).is_empty())).await;
    }
}

#[tokio::test]
async fn who_was_there_first_keeps_the_secret() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::new("rivals").await;
    let world = &fleet.world;
    let _operator = world.bare_operator(&LOOPBACK);
    let target = format!("target: {{secretName: {COPY}}}");
    let spec = format!("providerRef: {{name: p}}, credentialsSecretRef: {{name: c}}, {target}");
    world.apply_oauth2("other", "");
    world.apply(&token("first", &spec));
    world.until_ready("first").await;
    let before = fleet.requests();
    for label in ["selected", "admitted"] {
        let label = format!("{label}={}", fleet.name());
        kubectl(&["label", "namespace", &world.namespace, &label], "");
    }
    fleet.apply_token(&json!({}));
    let status = fleet.until_counts(1, 0, 1).await;
    let failure = &status.failures[0];
    assert_eq!((&failure.namespace, failure.reason.as_str()), (&world.namespace, "SecretNotOwned"));
    assert!(failure.message.contains("OAuthClientToken \"first\""), "{failure:?}");
    world.until_ready("first").await;

    // It leaves, and the copy comes.
    world.kubectl(&["delete", "oct", "first"]);
    fleet.until_counts(1, 1, 0).await;
    assert_eq!(fleet.requests(), before + 1);

    // Now the copy was there first.
    world.apply(&token("late", &spec));
    let message = world.until_condition("late", (READY, "False", "SecretNotOwned")).await;
    let whose = format!("ClusterOAuthClientToken \"{}\"", fleet.name());
    assert!(message.contains(&whose), "{message}");
    fleet.until_counts(1, 1, 0).await;
    assert_eq!(fleet.requests(), before + 1, "found out before anything is asked");
    kubectl(&["label", "namespace", &world.namespace, "selected-"], "");
    world.until_ready("late").await;
}

#[tokio::test]
async fn what_selector_and_provider_say_now_counts() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::new("selector").await;
    let _operator = fleet.world.bare_operator(&LOOPBACK);
    let name = fleet.name();
    let colour = |colour: &str| json!({"namespaceSelector": {"matchLabels": {"of": name, "colour": colour}}});
    fleet.create(&["r1", "r2"], &json!({"admitted": name, "of": name, "colour": "red"}));
    fleet.create(&["b1"], &json!({"admitted": name, "of": name, "colour": "blue"}));
    let crowd: Vec<String> = (10..33).map(|n| format!("c{n}")).collect();
    let crowd: Vec<&str> = crowd.iter().map(String::as_str).collect();
    fleet.create(&crowd, &json!({"of": name, "colour": "blue"}));
    fleet.apply_token(&colour("red"));
    fleet.until_counts(2, 2, 0).await;

    // Another selector: those go, this one comes, and of those that are not admitted 20 are named.
    fleet.patch(&colour("blue"));
    let status = fleet.until_counts(24, 1, 23).await;
    let named: Vec<String> = status.failures.iter().map(|f| f.namespace.clone()).collect();
    let first: Vec<String> = crowd[..20].iter().map(|which| fleet.namespace(which)).collect();
    assert_eq!(named, first);
    assert_eq!(reason(&status, FRESH), "False/NamespacesFailed");
    for which in ["r1", "r2"] {
        fleet.until_copy(which, |copy| copy.is_none()).await;
    }

    // The provider admits others: those that it admits no more lose their copies.
    let usage = |label: &str| {
        let usage = json!({"namespaceSelector": {"matchLabels": {label: name}}});
        let patch = ["patch", "clusteroauthprovider", name, "--type=json", "-p"];
        let replace = json!([{"op": "replace", "path": "/spec/usage", "value": usage}]).to_string();
        kubectl(&[&patch[..], &[&replace]].concat(), "");
    };
    usage("nobody");
    let status = fleet.until_counts(24, 0, 24).await;
    assert_eq!(reason(&status, READY), "False/NamespacesFailed");
    fleet.until(|status| reason(status, FRESH) == "False/NamespaceNotAdmitted").await;
    fleet.until_copy("b1", |copy| copy.is_none()).await;
    usage("of");
    let status = fleet.until_counts(24, 24, 0).await;
    assert_eq!(status.failures, []);
    assert_eq!(reason(&status, FRESH), "True/Refreshed");
    assert_eq!(fleet.requests(), 1);
}

#[tokio::test]
async fn a_namespace_that_takes_no_secrets_holds_up_no_other() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::new("full").await;
    let _operator = fleet.world.bare_operator(&LOOPBACK);
    fleet.create(&["full"], &json!({"admitted": fleet.name()}));
    let full = fleet.namespace("full");
    let quota = ["create", "quota", "none", "--hard=secrets=0", "-n", &full];
    kubectl(&quota, "");
    fleet.label("full", &format!("selected={}", fleet.name()));
    fleet.add(&["free"]);
    fleet.apply_token(&json!({}));
    let status = fleet.until_counts(2, 1, 1).await;
    let failure = &status.failures[0];
    assert_eq!((&failure.namespace, failure.reason.as_str()), (&full, "WriteFailed"));
    assert!(failure.message.contains("quota"), "{failure:?}");
    assert_eq!(reason(&status, FRESH), "False/NamespacesFailed");
    kubectl(&["delete", "quota", "none", "-n", &full], "");
    // It would be tried again within minutes; another spec is tried at once.
    fleet.patch(&json!({"target": {"template": {"labels": {"of": "all"}}}}));
    fleet.until_counts(2, 2, 0).await;
    assert_eq!(fleet.requests(), 1);
}

#[tokio::test]
async fn a_crash_midway_costs_no_request() {
    const MANY: i32 = 60;
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::new("midway").await;
    let operator = fleet.world.bare_operator(&LOOPBACK);
    let names: Vec<String> = (0..MANY).map(|n| format!("n{n}")).collect();
    fleet.add(&names.iter().map(String::as_str).collect::<Vec<_>>());
    fleet.apply_token(&json!({}));
    // The first by name; how many there are by now is chance.
    fleet.until_copy("n0", |copy| copy.is_some()).await;
    operator.kill();
    let before = fleet.copies().await;
    let _operator = fleet.world.bare_operator(&LOOPBACK);
    fleet.until_counts(MANY, MANY, 0).await;
    let after = fleet.copies().await;
    assert!(before.iter().all(|(namespace, copy)| after[namespace] == *copy), "written once");
    assert_eq!(fleet.requests(), 1);
}

#[tokio::test]
async fn an_operator_for_one_namespace_serves_that_one() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let fleet = Fleet::new("one").await;
    let world = &fleet.world;
    for label in ["selected", "admitted"] {
        let label = format!("{label}={}", fleet.name());
        kubectl(&["label", "namespace", &world.namespace, &label], "");
    }
    fleet.add(&["elsewhere"]);
    fleet.apply_token(&json!({}));
    // Without --cluster-kinds it leaves cluster tokens alone.
    let operator = world.operator(&[]);
    world.apply_oauth2("own", "");
    world.until_ready("own").await;
    assert_eq!(fleet.requests(), 1);
    operator.kill();
    let _operator = world.operator(&["--cluster-kinds"]);
    fleet.until_counts(1, 1, 0).await;
    world.until::<Secret>(COPY, |copy| copy.is_some()).await;
    assert_eq!(fleet.requests(), 2);
}
