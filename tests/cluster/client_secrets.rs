//! Several secrets of one client: a rotation has no gap.

use kube::api::ListParams;
use provider_simulator::systems::oauth2::CLIENT_ID;
use provider_simulator::{Client, System};
use serde_json::json;
use tokenward::api::OAuthClientToken;
use tokenward::api::conditions::{self, FRESH};

use crate::harness::{World, oauth2_provider, token};

const OLD: &str = "0ld-secret/of=the&client+%41";
const NEW: &str = "n3w-secret/of=the&client+%42";
const NEXT: &str = "n3xt-secret/of=the&client+%43";

const SPEC: &str = "providerRef: {name: p}, revoke: [Deletion], \
                    credentialsSecretRef: {name: c, secretKeys: [previous, current]}";

/// Which secrets the requests after the first `skip` came with: `+` taken, `-` refused.
fn told(world: &World, skip: usize) -> String {
    let known = [("old", OLD), ("new", NEW), ("next", NEXT)];
    let known = known.map(|(name, secret)| (name, Client::new(CLIENT_ID, secret).fingerprint()));
    let requests = world.sim.requests_of(System::Oauth2);
    let words = requests[skip..].iter().map(|request| match &request.judged.secret {
        Some(secret) => known.iter().find(|(_, known)| known == secret).unwrap().0,
        None => "refused",
    });
    words.collect::<Vec<_>>().join(" ")
}

fn events(world: &World, reason: &str) -> usize {
    world.events().matches(&format!("\"reason\": \"{reason}\"")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_revoked_makes_way_for_the_next_within_the_attempt() {
    let world = World::new("secrets").await;
    world.grant_revocation().await;
    let client = |secret| Client::new(CLIENT_ID, secret);
    world.sim.set_clients(System::Oauth2, vec![client(OLD), client(NEW)]);
    let revocation = r#"revocation: {url: "http://$SIM/oauth2/revoke"}"#;
    world.apply(&oauth2_provider("p", revocation));
    let credentials = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c"},
        "stringData": {"client_id": CLIENT_ID, "previous": OLD, "current": NEW}});
    world.apply(&credentials.to_string());
    world.apply(&token("shop", SPEC));
    let operator = world.operator(&[]);
    let status = world.until_ready("shop").await;
    assert_eq!(status.client_secret_key.as_deref(), Some("previous"));

    assert!(world.sim.remove_client(System::Oauth2, &client(OLD)));
    let status = world.force("shop", "revoked").await;
    assert_eq!(status.client_secret_key.as_deref(), Some("current"));
    assert_eq!(status.consecutive_failures, 0);
    assert!(conditions::is_true(&status.conditions, FRESH));
    assert_eq!(told(&world, 0), "old refused new");
    // What it took last is tried first, also by the next process.
    world.force("shop", "again").await;
    let log = operator.log().len();
    operator.kill();
    let operator = world.operator(&[]);
    operator.wait_for_log_after(log, "caches are filled").await;
    world.force("shop", "after a restart").await;
    assert_eq!(told(&world, 3), "new new");

    // None is right: told once, and counted once.
    world.sim.set_clients(System::Oauth2, vec![client(NEXT)]);
    let status = world.force("shop", "none").await;
    assert_eq!(status.consecutive_failures, 1);
    let fresh = conditions::find(&status.conditions, FRESH).unwrap();
    assert_eq!((&*fresh.status, &*fresh.reason), ("False", "TokenRequestRejected"));
    assert!(fresh.message.contains("invalid_client"), "{}", fresh.message);
    assert_eq!(told(&world, 5), "refused refused");
    world.patch("secret/c", &json!({"stringData": {"current": NEXT}}).to_string());
    world.until_status("shop", |status| status.consecutive_failures == 0).await;
    assert!(told(&world, 7).ends_with("next"), "{}", told(&world, 7));
    assert_eq!(events(&world, "TokenRequestRejected"), 1);

    // Revoked with the secret that is good.
    let (_, data) = world.secret("shop").await;
    world.kubectl(&["delete", "oct", "shop", "--wait=false"]);
    world.until::<OAuthClientToken>("shop", |token| token.is_none()).await;
    assert!(!world.sim.is_active(&data["access_token"]));
    let tokens: kube::Api<OAuthClientToken> =
        kube::Api::namespaced(world.client.clone(), &world.namespace);
    assert!(tokens.list(&ListParams::default()).await.unwrap().items.is_empty());
}
