//! Odd lifetimes: bounded, and no hot loop.

use chrono::TimeDelta;
use futures::future::join_all;
use provider_simulator::{Behaviour, ExpiresIn, Fault, System};

use crate::harness::{Lane, PATIENCE, World};

/// Requests of one lane that came in this order, and the least time between them.
async fn at_least_apart(lane: &Lane<'_>, seconds: i64) {
    let requests = lane.sim.wait_for(4, System::Oauth2, PATIENCE).await.unwrap();
    // The first may have been long under way; the pauses add up.
    let span = requests[3].time - requests[0].time;
    let least = TimeDelta::milliseconds(seconds * 1000 * 3 - 800);
    assert!(span >= least, "{}: four requests within {span}", lane.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_second_makes_no_hot_loop() {
    let world = World::new("second").await;
    let _operator = world.operator(&[]);
    let usual = Lane::new(&world, "usual", Behaviour::living(1)).await;
    let quick = Lane::new(&world, "quick", Behaviour::living(1)).await;
    Lane::apply(&world, std::slice::from_ref(&usual), "limits: {}");
    Lane::apply(&world, std::slice::from_ref(&quick), "limits: {minInterval: 1s}");
    futures::join!(at_least_apart(&usual, 5), at_least_apart(&quick, 1));
    // It is refreshed all the same, and what is there has an expiry that can be told.
    let (secret, data) = world.secret("quick").await;
    let annotations = secret.metadata.annotations.unwrap();
    assert_eq!(annotations["tokenward.dev/expires-at"], data["expires_at"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifetime_is_read_however_it_is_written_and_bounded_by_a_century() {
    let world = World::new("lives").await;
    let _operator = world.operator(&[]);
    let rendered =
        |expires_in| Behaviour { lifetime: Some(3599), ..Behaviour::rendering(expires_in) };
    let century = 36_500 * 24 * 3600;
    let cases = [
        ("text", rendered(ExpiresIn::String), 3599),
        ("float", rendered(ExpiresIn::Float), 3599),
        ("number", rendered(ExpiresIn::Number), 3599),
        ("century", Behaviour::living(century), century),
        ("endless", Behaviour::living(century * 50), century),
        ("largest", Behaviour::living(i64::MAX), century),
    ];
    let lanes = cases.iter().map(|(name, behaviour, _)| Lane::new(&world, name, behaviour.clone()));
    let lanes = join_all(lanes).await;
    Lane::apply(&world, &lanes, "limits: {minInterval: 1s}");
    for (lane, (name, _, life)) in lanes.iter().zip(&cases) {
        let token = lane.until_fresh().await.token.unwrap();
        assert_eq!((token.expires_at - token.issued_at).num_seconds(), *life, "{name}");
        assert!(token.refresh_at > token.issued_at && token.refresh_at < token.expires_at);
    }
    // They are taken up in order: had one of them looped, it would have shown by now.
    world.witness("witness", "text", "c").await;
    for (lane, requests) in lanes.iter().zip([2, 1, 1, 1, 1, 1]) {
        assert_eq!(lane.requests().len(), requests, "{}", lane.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_token_again_makes_no_loop() {
    let world = World::new("same").await;
    let _operator = world.operator(&[]);
    let same =
        |life, until_remaining| Behaviour::living(life).with(Fault::SameToken { until_remaining });
    let lanes = [
        Lane::new(&world, "long", same(3600, 60)).await,
        Lane::new(&world, "short", same(16, 4)).await,
    ];
    Lane::apply(&world, &lanes, "limits: {minInterval: 1s}");
    let [long, short] = &lanes;
    long.until_fresh().await;
    let (_, token) = long.target().await;
    long.ask("1").await;
    let answered = |wish: &'static str| {
        long.until(move |status| status.last_handled_refresh_request.as_deref() == Some(wish))
    };
    let status = answered("1").await;
    // Half of what remains later.
    let wait = status.next_attempt_at.unwrap() - status.last_attempt_at.unwrap();
    assert!(wait >= TimeDelta::minutes(25), "{wait}");
    assert_eq!(long.target().await.1, token);
    assert!(long.requests()[1].same_token);
    long.ask("2").await;
    answered("2").await;
    assert_eq!(long.requests().len(), 3);

    short.until_fresh().await;
    let (_, first) = short.target().await;
    let changed = world.until::<k8s_openapi::api::core::v1::Secret>("short", |secret| {
        let data = secret.and_then(|secret| secret.data.as_ref());
        data.is_some_and(|data| data["access_token"].0 != first.as_bytes())
    });
    changed.await;
    // The first, the same again, the next.
    assert!(short.requests().len() <= 3, "{:#?}", short.requests());
}
