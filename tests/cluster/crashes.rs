//! kill -9 at any moment, at a server that ends the whole grant when a refresh token comes twice
//! (oidc-provider). What may be lost is written down in `docs/refresh-tokens.md`: an answer that the
//! server has given and that was not kept yet. Nothing else may be.

use std::time::Instant;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use tokenward::api::OAuthClientTokenStatus;
use tokenward::api::conditions::{self, FRESH};

use crate::harness::{Operator, World, oauth2_token};
use crate::server::{Side, server};

const SECRET: &str = "s3cr3t";
const SCOPE: &str = "openid offline_access read write";
/// For how long a process is waited for whose request may still be answered follows from that.
const SHORT: [&str; 2] = ["--request-timeout", "8"];

/// What came of some rounds.
#[derive(Debug, Default)]
struct Tally {
    rounds: usize,
    /// Kills after the server's answer and before it was kept.
    swallowed: usize,
    /// Kills after an intent was noted and before the server's answer.
    unsent: usize,
    /// Refresh tokens that the server gave out.
    rotations: usize,
    /// Grants that the server ended though nothing was swallowed.
    lost: usize,
}

/// How much is tried.
#[derive(Clone, Copy)]
struct Extent {
    /// Grants, each with an operator of its own.
    lanes: u64,
    /// Kills of each operator.
    rounds: usize,
    /// How long an answer is on its way, in milliseconds.
    delay: u64,
}

/// A grant, and the operator that lives on it.
struct Lane {
    world: World,
    client: String,
    random: u64,
}

impl Lane {
    async fn new(number: u64, delay: u64) -> Self {
        let world = World::new(&format!("crash-{number}")).await;
        let client = world.namespace.clone();
        let registered = json!({
            "client_id": client, "client_secret": SECRET, "scope": SCOPE,
            "grant_types": ["refresh_token"],
        });
        server().control(Side::Http, "client", registered).await;
        let delayed = json!({"client_id": client, "milliseconds": delay});
        server().control(Side::Http, "delay", delayed).await;
        let lane = Self { world, client, random: number + 1 };
        let refresh_token = lane.consent().await;
        let url = format!("{}/token", server().issuer(Side::Http));
        lane.world.apply(&format!(
            r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: p}}
spec: {{preset: oauth2-refresh-token, variables: {{tokenUrl: "{url}"}}, limits: {{minInterval: 1s}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: c}}
stringData: {{client_id: "{client}", client_secret: {SECRET}, refresh_token: "{refresh_token}"}}
"#,
            client = lane.client,
        ));
        lane.world.apply(&oauth2_token("shop"));
        lane
    }

    async fn consent(&self) -> String {
        let wanted = json!({"client_id": self.client, "scope": SCOPE});
        let given = server().control(Side::Http, "refresh-token", wanted).await;
        given["value"].as_str().unwrap().to_owned()
    }

    /// What came to the token endpoint: how many with this outcome.
    async fn outcomes(&self, outcome: &str) -> usize {
        let log = server().control(Side::Http, "log", json!({"client_id": self.client})).await;
        let requests = log["requests"].as_array().unwrap();
        requests.iter().filter(|request| request["outcome"] == outcome).count()
    }

    /// In `0.0..1.0`; the same with every run.
    fn chance(&mut self) -> f64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        f64::from((self.random >> 33) as u32) / f64::from(1_u32 << 31)
    }

    fn ask(&self, value: &str) {
        let annotation = format!("tokenward.dev/refresh-requested-at={value}");
        self.world.kubectl(&["annotate", "--overwrite", "oct", "shop", &annotation]);
    }

    /// Until the last wish was granted, or refused for good.
    async fn settled(&self, value: &str) -> OAuthClientTokenStatus {
        let settled = |status: &OAuthClientTokenStatus| {
            let fresh = conditions::find(&status.conditions, FRESH).unwrap();
            status.last_handled_refresh_request.as_deref() == Some(value)
                && (fresh.status == "True" || fresh.reason == "TokenRequestRejected")
        };
        self.world.until_status("shop", settled).await
    }

    /// Whether what is kept is what the server would take.
    async fn is_whole(&self) -> bool {
        server().control(Side::Http, "idle", Value::Null).await;
        let (_, kept) = self.world.secret("c-renewed").await;
        let (_, credentials) = self.world.secret("c").await;
        let current = kept.get("refresh_token").unwrap_or(&credentials["refresh_token"]);
        server().introspect(Side::Http, current).await["active"] == true
    }

    async fn is_noted(&self) -> bool {
        let (kept, _) = self.world.secret("c-renewed").await;
        kept.metadata.annotations.unwrap().contains_key(tokenward::api::annotations::INTENT)
    }

    /// Kills again and again while a refresh is under way.
    async fn go(&mut self, rounds: usize) -> Tally {
        let mut tally = Tally::default();
        let mut operator = self.world.operator(&SHORT);
        self.world.until_ready("shop").await;
        let begun = Instant::now();
        self.world.force("shop", "how long does it take").await;
        let usual = begun.elapsed();
        for round in 0..rounds {
            let value = format!("round {round}");
            let (before, _) = self.world.secret("c-renewed").await;
            self.ask(&value);
            let chance = self.chance();
            match round % 3 {
                // From the intent on, or what comes first.
                2 => {
                    let version = before.metadata.resource_version;
                    let is_changed = |kept: Option<&Secret>| {
                        kept.is_some_and(|kept| kept.metadata.resource_version != version)
                    };
                    self.world.until("c-renewed", is_changed).await;
                    tokio::time::sleep(usual.mul_f64(chance / 8.0)).await;
                }
                _ => tokio::time::sleep(usual.mul_f64(chance)).await,
            }
            operator.kill();
            let whole = self.is_whole().await;
            tally.swallowed += usize::from(!whole);
            tally.unsent += usize::from(whole && self.is_noted().await);
            operator = self.recover(&value, whole, &mut tally).await;
        }
        tally.rounds = rounds;
        tally.rotations = self.outcomes("success").await;
        assert_eq!(self.outcomes("invalid_grant").await, tally.swallowed + tally.lost);
        tally
    }

    /// A new process takes over; where an answer was swallowed a person consents anew.
    async fn recover(&self, value: &str, whole: bool, tally: &mut Tally) -> Operator {
        let operator = self.world.operator(&SHORT);
        let status = self.settled(value).await;
        let fresh = conditions::find(&status.conditions, FRESH).unwrap();
        if fresh.status == "True" {
            assert!(whole, "a swallowed answer cannot be had again");
            return operator;
        }
        tally.lost += usize::from(whole);
        let told = "between the provider's answer and our storing it";
        assert!(whole || fresh.message.contains(told), "{}", fresh.message);
        let patch = json!({"stringData": {"refresh_token": self.consent().await}});
        self.world.patch("secret/c", &patch.to_string());
        let healed =
            |status: &OAuthClientTokenStatus| conditions::is_true(&status.conditions, FRESH);
        self.world.until_status("shop", healed).await;
        operator
    }
}

async fn run(extent: Extent) -> Tally {
    let Extent { lanes, rounds, delay } = extent;
    let lane = |number| async move { Lane::new(number, delay).await.go(rounds).await };
    let mut sum = Tally::default();
    for tally in join_all((0..lanes).map(lane)).await {
        println!("{tally:?}");
        sum.rounds += tally.rounds;
        sum.swallowed += tally.swallowed;
        sum.unsent += tally.unsent;
        sum.rotations += tally.rotations;
        sum.lost += tally.lost;
    }
    println!("{sum:?}");
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn no_grant_is_lost_by_a_kill_but_where_an_answer_is_swallowed() {
    let tally = run(Extent { lanes: 4, rounds: 3, delay: 0 }).await;
    assert_eq!((tally.rounds, tally.lost), (12, 0), "{tally:?}");
}

/// The same at length: `cargo test --test cluster two_hundred_kills -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a quarter of an hour"]
async fn two_hundred_kills() {
    let tally = run(Extent { lanes: 10, rounds: 20, delay: 200 }).await;
    assert_eq!((tally.rounds, tally.lost), (200, 0), "{tally:?}");
    assert!(tally.swallowed > 0 && tally.unsent > 0, "no kill came while a request was under way");
}
