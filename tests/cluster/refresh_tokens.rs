//! Refresh tokens that rotate: what a provider renews is kept before it is used.

use k8s_openapi::api::core::v1::Secret;
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN};
use provider_simulator::{Policy, Refresh, Reuse, Rotation, Seed, System};
use serde_json::json;
use tokenward::api::annotations::{RENEWED_OF, SEED};
use tokenward::api::conditions::READY;

use crate::harness::{World, oauth2_token};

/// Another refresh token of the same client, as of a new consent.
const SECOND: &str = "s3cond/consent+of=the%2Fsame:client~Zq";

/// Each refresh token is good for one use; whoever uses one twice loses all that came of it.
async fn strict(name: &str) -> World {
    let world = World::new(name).await;
    let refresh = Refresh {
        seeds: vec![Seed::new(CLIENT_ID, REFRESH_TOKEN), Seed::new(CLIENT_ID, SECOND)],
        rotation: Rotation::EachUse { grace: 0, on_reuse: Reuse::RevokeFamily },
    };
    world.sim.set_policy(Policy::default().refreshing(refresh));
    world.apply(
        r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {name: p}
spec:
  preset: oauth2-refresh-token
  variables: {tokenUrl: "http://$SIM/oauth2/token"}
  limits: {minInterval: 1s}
"#,
    );
    let credentials = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c"},
        "stringData": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN}});
    world.apply(&credentials.to_string());
    world
}

fn version(secret: &Secret) -> u64 {
    secret.metadata.resource_version.as_ref().unwrap().parse().unwrap()
}

/// How often each request's refresh token was used, and that none was refused.
fn assert_never_reused(world: &World, requests: usize) {
    let seen = world.sim.requests_of(System::Oauth2);
    assert_eq!(seen.len(), requests);
    for request in &seen {
        assert_eq!(request.refusal, None);
    }
    let used: std::collections::BTreeSet<_> =
        seen.iter().map(|request| request.judged.refresh_token.unwrap()).collect();
    assert_eq!(used.len(), requests, "each was used once");
    assert!(world.sim.refresh_tokens().iter().all(|record| record.revoked_at.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_kept_before_its_access_token_is_published() {
    let world = strict("refresh").await;
    let operator = world.operator(&[]);
    world.apply(&oauth2_token("shop"));
    world.until_ready("shop").await;
    let mut seeds = Vec::new();
    for round in 1..=3 {
        let (kept, data) = world.secret("c-renewed").await;
        let (target, shown) = world.secret("shop").await;
        assert!(version(&kept) < version(&target), "round {round}");
        assert_eq!(data.keys().collect::<Vec<_>>(), ["refresh_token"]);
        assert_eq!(shown.keys().collect::<Vec<_>>(), ["access_token", "expires_at", "token_type"]);
        let annotations = kept.metadata.annotations.unwrap();
        assert_eq!(annotations[RENEWED_OF], "c");
        seeds.push(annotations[SEED].clone());
        let owners = kept.metadata.owner_references.unwrap();
        assert_eq!((&*owners[0].kind, &*owners[0].name), ("Secret", "c"));
        world.force("shop", &format!("round {round}")).await;
    }
    assert!(seeds.iter().all(|seed| *seed == seeds[0]), "{seeds:?}");
    let log = operator.log().len();
    operator.kill();
    let operator = world.operator(&[]);
    operator.wait_for_log_after(log, "caches are filled").await;
    world.force("shop", "after a restart").await;
    assert_never_reused(&world, 5);
    let families = |world: &World| {
        let records = world.sim.refresh_tokens();
        records.iter().map(|record| record.family).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(families(&world), 1);

    // A new consent wins over what was renewed since the former one.
    world.patch("secret/c", &json!({"stringData": {"refresh_token": SECOND}}).to_string());
    world.until_requests(6).await;
    let reseeded = |kept: Option<&Secret>| {
        let annotations = kept.and_then(|kept| kept.metadata.annotations.as_ref());
        annotations.is_some_and(|annotations| annotations[SEED] != seeds[0])
    };
    world.until::<Secret>("c-renewed", reseeded).await;
    world.force("shop", "on from there").await;
    assert_never_reused(&world, 7);
    assert_eq!(families(&world), 2);

    // Put back, the former consent goes on where it was: what it began with is used up.
    world.patch("secret/c", &json!({"stringData": {"refresh_token": REFRESH_TOKEN}}).to_string());
    world.until_requests(8).await;
    world.force("shop", "on from where it was").await;
    assert_never_reused(&world, 9);
    assert_eq!(families(&world), 2);

    // It goes with the credentials that it is of.
    world.kubectl(&["delete", "secret", "c"]);
    world.until::<Secret>("c-renewed", |kept| kept.is_none()).await;
    world.until_condition("shop", (READY, "True", "TokenValid")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_made_again_keep_what_is_renewed_of_them() {
    let world = strict("renewed-again").await;
    let _operator = world.operator(&[]);
    world.apply(&oauth2_token("shop"));
    world.until_ready("shop").await;
    let credentials = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c"},
        "stringData": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
            "refresh_token": SECOND}});
    world.kubectl(&["delete", "secret", "c"]);
    world.apply(&credentials.to_string());
    world.until_requests(2).await;
    let (made, _) = world.secret("c").await;
    let owned = |kept: Option<&Secret>| {
        let owners = kept.and_then(|kept| kept.metadata.owner_references.as_ref());
        owners.is_some_and(|owners| Some(&owners[0].uid) == made.metadata.uid.as_ref())
    };
    world.until::<Secret>("c-renewed", owned).await;
    world.force("shop", "on from there").await;
    assert_never_reused(&world, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tokens_of_one_consent_do_not_undo_each_other() {
    let world = strict("consent").await;
    let _operator = world.operator(&[]);
    world.apply(&[oauth2_token("one"), oauth2_token("two")].join("\n---\n"));
    for name in ["one", "two"] {
        world.until_ready(name).await;
    }
    for round in 0..3 {
        let value = format!("round {round}");
        tokio::join!(world.force("one", &value), world.force("two", &value));
    }
    assert_never_reused(&world, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_secret_of_that_name_is_left_alone_and_nothing_is_used_up() {
    let world = strict("renewed-foreign").await;
    let _operator = world.operator(&[]);
    world.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: c-renewed}, stringData: {note: mine}}",
    );
    world.apply(&oauth2_token("shop"));
    let message = world.until_condition("shop", (READY, "False", "SecretNotOwned")).await;
    assert!(message.contains(&format!("{}/c-renewed", world.namespace)), "{message}");
    assert_eq!(world.sim.requests(), []);
    let (_, data) = world.secret("c-renewed").await;
    assert_eq!(data.into_iter().collect::<Vec<_>>(), [("note".to_owned(), "mine".to_owned())]);
    world.kubectl(&["delete", "secret", "c-renewed"]);
    world.until_ready("shop").await;
    assert_never_reused(&world, 1);
}
