//! Ending in good order.

use std::process::ExitStatus;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use provider_simulator::{Behaviour, Fault, System};

use crate::harness::{Operator, PATIENCE, World};

/// Asks an operator to end; it must, long before Kubernetes would kill it.
async fn terminated(operator: Operator) -> ExitStatus {
    let ended = tokio::time::timeout(Duration::from_secs(30), operator.terminate()).await;
    ended.expect("an operator that was asked to end still runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_being_fetched_is_written_before_the_end() {
    let world = World::new("term").await;
    world.sim.set(System::Oauth2, Behaviour::failing(Fault::Delay { milliseconds: 2000 }));
    let operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    // The log has the request when it has been read, long before the answer.
    world.sim.wait_for(1, System::Oauth2, PATIENCE).await.unwrap();
    let log = operator.log().len();
    assert_eq!(terminated(operator).await.code(), Some(0));
    let (secret, data) = world.secret("shop").await;
    assert!(world.sim.is_active(&data["access_token"]));
    assert!(secret.metadata.annotations.unwrap().contains_key("tokenward.dev/expires-at"));
    world.until_ready("shop").await;
    // Nothing is asked twice.
    world.sim.set(System::Oauth2, Behaviour::default());
    let operator = world.operator(&[]);
    operator.wait_for_log_after(log, "caches are filled").await;
    world.witness("witness", "p", "c").await;
    assert_eq!(world.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_operator_ends_at_once() {
    let world = World::new("idle").await;
    let operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    assert_eq!(terminated(operator).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_does_not_hold_up_the_end() {
    let world = World::new("stuck").await;
    world.sim.set(System::Oauth2, Behaviour::failing(Fault::Hang));
    let operator = world.operator(&["--request-timeout", "120"]);
    world.apply_oauth2("shop", "");
    world.sim.wait_for(1, System::Oauth2, PATIENCE).await.unwrap();
    let log = operator.log().len();
    assert_eq!(terminated(operator).await.code(), Some(0));
    // The next one asks again.
    world.sim.set(System::Oauth2, Behaviour::default());
    let operator = world.operator(&[]);
    operator.wait_for_log_after(log, "caches are filled").await;
    world.until::<Secret>("shop", |secret| secret.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_ends_as_sigterm_does() {
    let world = World::new("sigint").await;
    let operator = world.operator(&[]);
    operator.wait_for_log("caches are filled").await;
    let pid = operator.pid().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    operator.wait_for_log("tokenward has ended").await;
}
