//! What people see: columns, conditions, events, the status of providers.

use serde_json::Value;
use tokenward::api::OAuthProvider;
use tokenward::api::conditions::{self, READY};

use crate::harness::{World, oauth2_client, oauth2_provider, oauth2_token};

#[tokio::test]
async fn kubectl_get_prints_the_columns() {
    let world = World::new("columns").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    let token = world.until_ready("shop").await.token.unwrap();
    let cells = |args: &[&str]| -> Vec<Vec<String>> {
        let printed = world.kubectl(&[&["get", "oct"], args].concat());
        printed.lines().map(|l| l.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let plain = cells(&[]);
    assert_eq!(plain[0], ["NAME", "READY", "PROVIDER", "SECRET", "EXPIRES", "REFRESH", "AGE"]);
    let time =
        |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
    let (expires, refresh) = (time(token.expires_at), time(token.refresh_at));
    assert_eq!(plain[1][..6], ["shop", "True", "p", "shop", &expires, &refresh]);
    let wide = cells(&["-o", "wide"]);
    assert_eq!(wide[0].last().unwrap(), "REASON");
    assert_eq!(wide[1].last().unwrap(), "Refreshed");
    // The category also shows the cluster providers of others.
    let all = world.kubectl(&["get", "tokenward", "-o", "name"]);
    for name in ["oauthclienttoken.tokenward.dev/shop", "oauthprovider.tokenward.dev/p"] {
        assert!(all.lines().any(|line| line == name), "{all}");
    }
}

#[tokio::test]
async fn a_change_of_state_is_an_event_and_a_refresh_is_none() {
    let world = World::new("events").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    for value in ["one", "two", "three"] {
        world.force("shop", value).await;
    }
    assert_eq!(world.requests(), 4);
    let told = |world: &World| -> Vec<String> {
        let events = world.kubectl(&["get", "events.events.k8s.io", "-o", "json"]);
        let events: Value = serde_json::from_str(&events).unwrap();
        let events = events["items"].as_array().unwrap();
        let of_token = events.iter().filter(|event| event["regarding"]["name"] == "shop");
        of_token
            .map(|event| {
                assert_eq!(event["reportingController"], "tokenward");
                assert!(event["series"].is_null(), "{event}");
                format!("{} {}", event["type"].as_str().unwrap(), event["reason"].as_str().unwrap())
            })
            .collect()
    };
    assert_eq!(told(&world), ["Normal TokenValid"]);
    // A change of state is told, once.
    world.kubectl(&["delete", "secret", "c"]);
    world.until_condition("shop", (conditions::FRESH, "False", "CredentialsNotFound")).await;
    world.apply(&oauth2_client("c"));
    world.until_condition("shop", (conditions::FRESH, "True", "Refreshed")).await;
    world.force("shop", "barrier").await;
    let mut told = told(&world);
    told.sort();
    assert_eq!(told, ["Normal Refreshed", "Normal TokenValid", "Warning CredentialsNotFound"]);
}

#[tokio::test]
async fn conditions_speak_of_the_generation_that_was_seen() {
    let world = World::new("generation").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    let first = world.until_ready("shop").await;
    assert_eq!(first.observed_generation, Some(1));
    world.patch("oct/shop", r#"{"spec": {"scopes": ["read"]}}"#);
    let second = world.until_status("shop", |status| status.observed_generation == Some(2)).await;
    assert!(second.conditions.iter().all(|c| c.observed_generation == Some(2)));
    let second = world
        .until_status("shop", |status| status.token.as_ref().unwrap().scopes == ["read"])
        .await;
    // Ready stayed true: so did its time.
    let since =
        |conditions| conditions::find(conditions, READY).unwrap().last_transition_time.clone();
    assert_eq!(since(&first.conditions), since(&second.conditions));
}

#[tokio::test]
async fn a_provider_tells_whether_it_can_be_used_and_by_how_many_it_is() {
    let world = World::new("provider").await;
    let _operator = world.operator(&[]);
    // The tokens first: a count alone is written once a minute.
    for name in ["a", "b"] {
        world.apply(&oauth2_token(name));
        world.until_condition(name, (READY, "False", "ProviderNotFound")).await;
    }
    world.apply(&oauth2_provider("p", "request: {url: \"{{ tokenUlr }}\"}"));
    let ready = |provider: &OAuthProvider, status: &str, generation: i64| {
        provider.status.as_ref().is_some_and(|found| {
            let ready = conditions::find(&found.conditions, READY);
            found.observed_generation == Some(generation)
                && ready.is_some_and(|c| {
                    c.status == status && c.observed_generation == Some(generation)
                })
        })
    };
    let broken = world
        .until::<OAuthProvider>("p", |p| p.is_some_and(|p| ready(p, "False", 1)))
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(broken.tokens, 2);
    let why = conditions::find(&broken.conditions, READY).unwrap();
    assert_eq!(why.reason, "InvalidProvider");
    assert!(why.message.contains("did you mean \"tokenUrl\"?"), "{}", why.message);
    world.apply(&oauth2_provider("p", ""));
    world.until::<OAuthProvider>("p", |p| p.is_some_and(|p| ready(p, "True", 2))).await;
    let printed = world.kubectl(&["get", "oap", "-o", "wide"]);
    let lines: Vec<Vec<&str>> = printed.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NAME", "READY", "PRESET", "TOKENS", "AGE", "REASON"]);
    assert_eq!(lines[1][..4], ["p", "True", "oauth2", "2"]);
}
