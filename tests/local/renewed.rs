//! Refresh tokens that rotate, kept in OUT.

use std::fs;

use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN};
use provider_simulator::{Behaviour, Fault, Policy, Refresh, Reuse, Rotation, Seed, System};

use crate::bench::{Bench, PATIENCE, text};

/// What differs from one writing to the next.
struct Written<'a> {
    asked: &'a str,
    seed: &'a str,
    /// What the provider's document says of the answer.
    response: &'a str,
}

const PLAIN: Written<'_> = Written { asked: "", seed: REFRESH_TOKEN, response: "{}" };

fn write(bench: &Bench, Written { asked, seed, response }: &Written<'_>) {
    bench.write(
        "shop.yaml",
        &format!(
            r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: p, namespace: web}}
spec:
  preset: oauth2-refresh-token
  variables: {{tokenUrl: "http://SIM/oauth2/token"}}
  limits: {{minInterval: 1s}}
  response: {response}
---
apiVersion: v1
kind: Secret
metadata: {{name: c, namespace: web}}
stringData: {{client_id: "{CLIENT_ID}", client_secret: "{CLIENT_SECRET}", refresh_token: "{seed}"}}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {{name: shop, namespace: web, annotations: {{tokenward.dev/refresh-requested-at: "{asked}"}}}}
spec: {{providerRef: {{name: p}}, credentialsSecretRef: {{name: c}}}}
"#
        ),
    );
}

#[tokio::test]
async fn what_was_renewed_outlives_the_digest_key() {
    let bench = Bench::new().await;
    for asked in ["", "again", "with a new key"] {
        write(&bench, &Written { asked, ..PLAIN });
        if asked == "with a new key" {
            fs::remove_file(bench.out().join(".tokenward/key")).unwrap();
        }
        let output = bench.once(&[]).await;
        assert_eq!(output.status.code(), Some(0), "{asked}: {:?}", text(&output));
    }
    let requests = bench.sim.requests_of(System::Oauth2);
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.refusal.is_none()), "{requests:?}");
    assert!(!bench.out().join("web/shop/refresh_token").exists());
}

/// Another refresh token of the same client, as of a new consent.
const SECOND: &str = "s3cond-consent-of-the-same-client";

/// Each refresh token is good for one use; whoever uses one twice loses all that came of it.
const STRICT: Rotation = Rotation::EachUse { grace: 0, on_reuse: Reuse::RevokeFamily };

fn rotate(bench: &Bench, rotation: Rotation) {
    let seeds = vec![Seed::new(CLIENT_ID, REFRESH_TOKEN), Seed::new(CLIENT_ID, SECOND)];
    bench.sim.set_policy(Policy::default().refreshing(Refresh { seeds, rotation }));
}

fn assert_none_refused(bench: &Bench, requests: usize) {
    let seen = bench.sim.requests_of(System::Oauth2);
    assert_eq!(seen.len(), requests);
    assert!(seen.iter().all(|request| request.refusal.is_none()), "{seen:?}");
}

#[tokio::test]
async fn what_was_renewed_is_kept_though_the_rest_of_its_answer_is_of_no_use() {
    let bench = Bench::new().await;
    rotate(&bench, STRICT);
    let wanting = "{outputs: {x: {at: [/x], required: true}}}";
    write(&bench, &Written { response: wanting, ..PLAIN });
    assert_eq!(bench.once(&[]).await.status.code(), Some(1));
    write(&bench, &PLAIN);
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
    assert_none_refused(&bench, 2);
}

#[tokio::test]
async fn a_new_consent_wins_also_after_the_digest_key_was_replaced() {
    let bench = Bench::new().await;
    rotate(&bench, STRICT);
    for written in [
        PLAIN,
        Written { asked: "with a new key", ..PLAIN },
        Written { asked: "of a new consent", seed: SECOND, ..PLAIN },
    ] {
        if written.asked == "with a new key" {
            fs::remove_file(bench.out().join(".tokenward/key")).unwrap();
            // So this answer brings nothing to be kept.
            rotate(&bench, Rotation::Never);
        }
        write(&bench, &written);
        let output = bench.once(&[]).await;
        assert_eq!(output.status.code(), Some(0), "{}: {:?}", written.asked, text(&output));
    }
    assert_none_refused(&bench, 3);
    let requests = bench.sim.requests_of(System::Oauth2);
    assert!(requests[2].body.contains(SECOND), "the former consent won");
}

/// A link that leads nowhere stands where the folder ought to be: there is nothing to read, and no
/// way to write.
fn obstruct(bench: &Bench) -> std::path::PathBuf {
    let folder = bench.out().join(".tokenward/renewed");
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", &folder).unwrap();
    folder
}

#[tokio::test]
async fn where_an_answer_could_not_be_kept_nothing_is_used_up() {
    let bench = Bench::new().await;
    rotate(&bench, STRICT);
    write(&bench, &PLAIN);
    let folder = obstruct(&bench);
    let keeper = bench.keep();
    bench.until("it could not be written", || keeper.log().contains("WriteFailed")).await;
    assert_eq!(bench.requests(), 0);
    fs::remove_file(&folder).unwrap();
    bench.until("a token is there", || bench.key("shop", "access_token").is_some()).await;
    assert_none_refused(&bench, 1);
}

/// The token is issued at once, and told of late.
fn answer_late(bench: &Bench) {
    let late = Fault::Delay { milliseconds: 3000 };
    bench.sim.set(System::Oauth2, Behaviour::failing(late));
}

#[tokio::test]
async fn what_could_not_be_kept_is_kept_before_anything_is_asked_again() {
    let bench = Bench::new().await;
    rotate(&bench, STRICT);
    write(&bench, &PLAIN);
    answer_late(&bench);
    let keeper = bench.keep();
    bench.sim.wait_for(1, System::Oauth2, PATIENCE).await.unwrap();
    let folder = obstruct(&bench);
    bench.until("it could not be kept", || keeper.log().contains("is not kept yet")).await;
    assert_eq!(bench.key("shop", "access_token"), None, "it was published all the same");
    // The next answer renews nothing.
    bench.sim.set(System::Oauth2, Behaviour::default());
    rotate(&bench, Rotation::Never);
    assert_eq!(bench.requests(), 1);
    fs::remove_file(&folder).unwrap();
    bench.until("it is kept", || folder.join("web/c.json").exists()).await;
    bench.until("a token is there", || bench.key("shop", "access_token").is_some()).await;
    assert_none_refused(&bench, bench.requests());
    keeper.kill();
    write(&bench, &Written { asked: "after a crash", ..PLAIN });
    assert_eq!(bench.once(&[]).await.status.code(), Some(0));
    assert_none_refused(&bench, bench.requests());
}

#[tokio::test]
async fn an_answer_that_a_crash_has_swallowed_is_told_of_at_once_and_a_new_consent_heals() {
    let bench = Bench::new().await;
    rotate(&bench, STRICT);
    write(&bench, &PLAIN);
    answer_late(&bench);
    let keeper = bench.keep();
    bench.sim.wait_for(1, System::Oauth2, PATIENCE).await.unwrap();
    keeper.kill();
    bench.sim.set(System::Oauth2, Behaviour::default());
    // Nobody else can be at it: the process that is gone held the lock.
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(1));
    let (_, told) = text(&output);
    assert!(told.contains("between the provider's answer and our storing it"), "{told}");
    assert!(told.contains("put the new refresh_token into Secret web/c"), "{told}");
    write(&bench, &Written { seed: SECOND, ..PLAIN });
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
}
