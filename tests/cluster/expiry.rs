//! When a token is refreshed, and what is told and done when it could not be.

use chrono::TimeDelta;
use k8s_openapi::api::core::v1::Secret;
use provider_simulator::{Behaviour, Fault, System};
use tokenward::api::OAuthClientTokenStatus;
use tokenward::api::conditions::{self, FRESH, READY};

use crate::harness::{Lane, World};

/// A token that cannot be replaced before it expires: the provider takes longer than that.
async fn hanging<'w>(world: &'w World, name: &str, spec: &str) -> Lane<'w> {
    let lane = Lane::new(world, name, Behaviour::living(10)).await;
    Lane::apply(world, std::slice::from_ref(&lane), "limits: {minInterval: 1s}");
    world.patch(&format!("oct/{name}"), &format!(r#"{{"spec": {spec}}}"#));
    // Fresh is not enough: on a slow machine the first one may have expired before it was told.
    lane.until(|status| conditions::is_true(&status.conditions, READY)).await;
    lane.set(Behaviour::failing(Fault::Hang));
    lane
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_is_told_while_the_provider_hangs_and_the_token_leaves_where_that_is_wanted() {
    let world = World::new("expiry").await;
    let _operator = world.operator(&["--request-timeout", "20"]);
    world.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: host, annotations: \
         {tokenward.dev/allow: merged}}, stringData: {user: me}}",
    );
    let merge =
        r#"{"onExpiry": "Remove", "target": {"secretName": "host", "creationPolicy": "Merge"}}"#;
    let (kept, removed, merged) = futures::join!(
        hanging(&world, "kept", r#"{"onExpiry": "Keep"}"#),
        hanging(&world, "removed", r#"{"onExpiry": "Remove"}"#),
        hanging(&world, "merged", merge),
    );
    for lane in [&kept, &removed, &merged] {
        let expired = |status: &OAuthClientTokenStatus| {
            let ready = conditions::find(&status.conditions, READY);
            ready.is_some_and(|ready| ready.reason == "TokenExpired")
        };
        // One look at all of it: on a slow machine a successor may be there by the next.
        let status = lane.until(expired).await;
        let ready = conditions::find(&status.conditions, READY).unwrap();
        assert!(ready.message.starts_with("the token expired at "), "{}", ready.message);
        let told = ready.last_transition_time.0.as_second();
        assert!(told >= status.token.unwrap().expires_at.timestamp(), "not before");
        // The one that expires unseen was told while nothing had come of the request yet.
        assert_eq!(status.consecutive_failures, 0, "{}", lane.name);
    }
    let (_, data) = world.secret("kept").await;
    assert!(data.contains_key("access_token"), "it stays where nothing else is asked for");
    let emptied = |secret: Option<&Secret>| {
        secret.is_some_and(|secret| {
            secret.data.as_ref().is_none_or(std::collections::BTreeMap::is_empty)
        })
    };
    let emptied = world.until::<Secret>("removed", emptied).await.unwrap();
    let annotations = emptied.metadata.annotations.unwrap();
    assert!(annotations.contains_key("tokenward.dev/expires-at"), "{annotations:?}");
    // Of what is somebody else's only our keys go.
    let keys = |secret: &Secret| secret.data.iter().flatten().map(|(k, _)| k.clone()).collect();
    let bare = |secret: Option<&Secret>| {
        secret.is_some_and(|secret| {
            let keys: Vec<String> = keys(secret);
            keys == ["user"]
        })
    };
    world.until("host", bare).await;
    // All is well again by itself once the provider answers.
    for lane in [&kept, &removed, &merged] {
        lane.set(Behaviour::default());
    }
    for (lane, target) in [(&kept, "kept"), (&removed, "removed"), (&merged, "host")] {
        world.until_ready(&lane.name).await;
        let (_, data) = world.secret(target).await;
        assert!(lane.sim.is_active(&data["access_token"]), "{}", lane.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_spec_says_when_to_refresh() {
    let world = World::new("refresh").await;
    let _operator = world.operator(&[]);
    let lane = Lane::new(&world, "timely", Behaviour::living(300)).await;
    Lane::apply(&world, std::slice::from_ref(&lane), "limits: {minInterval: 1s}");
    let wait = |status: &tokenward::api::OAuthClientTokenStatus| {
        let token = status.token.as_ref().unwrap();
        (status.next_attempt_at.unwrap() - token.issued_at).num_seconds()
    };
    // 140 s before its end for volumes, jittered by 5 %.
    let status = lane.until_fresh().await;
    assert!((152..=168).contains(&wait(&status)), "{status:?}");
    world.patch("oct/timely", r#"{"spec": {"refresh": {"lead": "4m"}}}"#);
    let earlier = lane.until(|status| wait(status) < 100).await;
    assert!((48..=72).contains(&wait(&earlier)), "{earlier:?}");
    assert_eq!(lane.requests().len(), 1, "a changed lead asks for nothing");
    // 60 s for readers that are told at once.
    world.patch("oct/timely", r#"{"spec": {"refresh": {"lead": null, "delivery": "Watch"}}}"#);
    lane.ask("1").await;
    let watched = lane.until(|s| s.last_handled_refresh_request.as_deref() == Some("1")).await;
    assert!((236..=244).contains(&wait(&watched)), "{watched:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_and_a_clock_that_is_off_are_told() {
    let world = World::new("gap").await;
    let _operator = world.operator(&[]);
    let skewed = Behaviour::living(3600).with(Fault::DateSkew { seconds: -90 });
    let lane = Lane::new(&world, "gap", skewed).await;
    let limits = "limits: {minInterval: 1s, sameTokenUntil: 0s}";
    Lane::apply(&world, std::slice::from_ref(&lane), limits);
    let message = world.until_condition("gap", (FRESH, "True", "GapExpected")).await;
    assert!(message.contains("may see an expired one for up to 90 s"), "{message}");
    let skew = message.split("the provider's clock is ").nth(1).unwrap();
    let seconds: i64 = skew.split(' ').next().unwrap().parse().unwrap();
    assert!((85..=95).contains(&seconds) && skew.contains("s behind ours"), "{message}");
    let status = lane.until(|_| true).await;
    let after = status.next_attempt_at.unwrap() - status.token.unwrap().expires_at;
    assert_eq!(after, TimeDelta::seconds(1), "to ask sooner gains nothing");
    assert_eq!(lane.sim.requests_of(System::Oauth2).len(), 1);
}
