//! `tokenward local`, running on.

use std::fs;
use std::time::{Duration, Instant};

use provider_simulator::systems::oauth2::CLIENT_SECRET;
use provider_simulator::{Behaviour, Client, Fault, System};

use crate::bench::{Bench, PATIENCE};

#[tokio::test]
async fn a_reader_never_sees_an_expired_token() {
    let bench = Bench::new().await;
    bench.sim.set(System::Oauth2, Behaviour::living(8));
    bench.write_good("shop");
    let _keeper = bench.keep();
    bench.until("the first token is there", || bench.key("shop", "access_token").is_some()).await;
    let end = Instant::now() + Duration::from_mins(1);
    let mut reads = 0;
    while Instant::now() < end {
        let token = bench.key("shop", "access_token").expect("the file vanished");
        assert!(bench.sim.is_active(&token), "an expired token was read after {reads} reads");
        reads += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let requests = bench.requests();
    assert!((8..=30).contains(&requests), "{requests} requests in 60 s with lives of 8 s");
}

#[tokio::test]
async fn changed_manifests_are_acted_on() {
    let bench = Bench::new().await;
    bench.write_good("shop");
    let keeper = bench.keep();
    bench.until("the first token is there", || bench.key("shop", "access_token").is_some()).await;
    let first = bench.key("shop", "access_token");

    let other = "another+secret/with=chars";
    let id = provider_simulator::systems::oauth2::CLIENT_ID;
    bench.sim.set_clients(System::Oauth2, vec![Client::new(id, other)]);
    bench.write_credentials(other);
    bench
        .until("the new credentials are used", || bench.key("shop", "access_token") != first)
        .await;
    assert_eq!(bench.requests(), 2);

    // A comment is a change of the file, and of nothing else.
    let file = bench.manifests().join("shop.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("# a comment\n{text}")).unwrap();
    bench
        .until("the comment is read", || keeper.log().matches("the manifests changed").count() >= 2)
        .await;

    // What is wrong is told, and the former manifests stay.
    bench.write("wrong.yaml", "kind: [");
    bench.until("the error is told", || keeper.log().contains("wrong.yaml:1")).await;
    fs::remove_file(bench.manifests().join("wrong.yaml")).unwrap();

    fs::remove_file(&file).unwrap();
    bench.until("the target went with its token", || !bench.out().join("web/shop").exists()).await;
    // The folder goes first.
    bench.until("its annotations are gone", || !bench.out().join("web/shop.json").exists()).await;
    assert_eq!(bench.requests(), 2, "something else than the credentials cost a request");
}

#[tokio::test]
async fn a_lost_target_comes_back() {
    let bench = Bench::new().await;
    bench.write_good("shop");
    let _keeper = bench.keep();
    bench.until("the first token is there", || bench.key("shop", "access_token").is_some()).await;
    fs::remove_dir_all(bench.out().join("web/shop")).unwrap();
    bench.until("the target is back", || bench.key("shop", "access_token").is_some()).await;
    fs::remove_file(bench.out().join("web/shop/access_token")).unwrap();
    bench.until("the key is back", || bench.key("shop", "access_token").is_some()).await;
    assert_eq!(bench.requests(), 3);
}

#[tokio::test]
async fn killed_and_started_again_it_asks_nothing() {
    let bench = Bench::new().await;
    bench.write_good("shop");
    let keeper = bench.keep();
    // The last thing to be written of a token.
    let written = || {
        let text = fs::read_to_string(bench.out().join("web/shop.json")).unwrap_or_default();
        text.contains("tokenward.dev/expires-at")
    };
    bench.until("the first token is there", written).await;
    keeper.kill();
    let _keeper = bench.keep();
    // A second token shows that the first was looked at too.
    bench.write_good("other");
    bench.until("the second token is there", || bench.key("other", "access_token").is_some()).await;
    assert_eq!(bench.requests(), 2);
}

#[tokio::test]
async fn asked_to_end_it_writes_what_it_fetched() {
    let bench = Bench::new().await;
    bench.sim.set(System::Oauth2, Behaviour::default().with(Fault::Delay { milliseconds: 1500 }));
    bench.write_good("shop");
    let keeper = bench.keep();
    bench.sim.wait_for(1, System::Oauth2, PATIENCE).await.unwrap();
    let status = keeper.terminate().await;
    assert_eq!(status.code(), Some(0));
    let token = bench.key("shop", "access_token").expect("the token that was fetched is lost");
    assert!(bench.sim.is_active(&token));
}

#[tokio::test]
async fn no_secret_and_no_token_is_logged() {
    let bench = Bench::new().await;
    bench.sim.set(System::Oauth2, Behaviour::living(8));
    bench.write_good("shop");
    let keeper = bench.keep();
    bench.sim.wait_for(3, System::Oauth2, PATIENCE).await.unwrap();
    let log = keeper.log();
    let tokens = bench.sim.requests().into_iter().filter_map(|request| request.token);
    for secret in tokens.chain([CLIENT_SECRET.to_owned()]) {
        let characters: Vec<char> = secret.chars().collect();
        for slice in characters.windows(12) {
            let slice: String = slice.iter().collect();
            assert!(!log.contains(&slice), "a slice of a secret is logged");
        }
    }
}
