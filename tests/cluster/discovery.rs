//! Providers that are known by their issuer alone.

use provider_simulator::{Discovery, Endpoint, Policy};
use tokenward::api::conditions::{FRESH, READY, STALLED};

use crate::harness::{World, oauth2_client, oauth2_token};

fn apply(world: &World) {
    let provider = format!(
        r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: p}}
spec: {{preset: oauth2-issuer, variables: {{issuer: "{}"}}, limits: {{minInterval: 1s}}}}
"#,
        world.sim.issuer()
    );
    world.apply(&[provider, oauth2_client("c"), oauth2_token("shop")].join("\n---\n"));
}

fn describing(world: &World, discovery: Discovery) {
    world.sim.set_policy(Policy::default().describing(discovery));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_is_enough_and_a_token_endpoint_that_moved_is_found_again() {
    let world = World::new("issuer").await;
    let _operator = world.operator(&[]);
    apply(&world);
    world.until_ready("shop").await;
    let described = || world.sim.requests_beside(Endpoint::Discovery).len();
    let first = described();
    assert_eq!(first, 1);
    world.force("shop", "now").await;
    assert_eq!((described(), world.requests()), (first, 2), "it is remembered");
    describing(
        &world,
        Discovery { token_path: "/oauth2/moved".to_owned(), ..Discovery::default() },
    );
    // What was remembered is doubted with the first refusal.
    let failed = world.force("shop", "moved").await;
    assert_eq!(failed.consecutive_failures, 1);
    world.force("shop", "found").await;
    assert_eq!(world.requests(), 3);
    world.until_condition("shop", (FRESH, "True", "Refreshed")).await;
    world.until_condition("shop", (READY, "True", "TokenValid")).await;
    assert_eq!(described(), first + 1);
    let paths: Vec<String> = world.sim.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths.last().unwrap(), "/oauth2/moved", "{paths:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_another_issuer_are_refused_before_anything_is_sent() {
    let world = World::new("issuer-wrong").await;
    describing(
        &world,
        Discovery { issuer: Some("https://evil.example.com".to_owned()), ..Discovery::default() },
    );
    let _operator = world.operator(&[]);
    apply(&world);
    let message = world.until_condition("shop", (READY, "False", "DiscoveryFailed")).await;
    assert!(!message.contains("evil"), "{message}");
    world.until_condition("shop", (STALLED, "True", "DiscoveryFailed")).await;
    assert_eq!(world.requests(), 0);
    assert!(world.events().contains("DiscoveryFailed"));
    describing(&world, Discovery::default());
    world.force("shop", "mended").await;
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 1);
}
