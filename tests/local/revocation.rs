//! Tokens are revoked once nobody can hold them any more.

use std::fs;

use chrono::TimeDelta;
use provider_simulator::Endpoint;

use crate::bench::Bench;

/// A provider that revokes, and a token that is to be revoked whenever it is not needed any more.
fn write(bench: &Bench, asked: &str) {
    bench.write(
        "provider.yaml",
        r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {name: p, namespace: web}
spec:
  preset: oauth2
  variables: {tokenUrl: "http://SIM/oauth2/token"}
  revocation: {url: "http://SIM/oauth2/revoke"}
  limits: {minInterval: 1s}
"#,
    );
    bench.write(
        "shop.yaml",
        &format!(
            r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {{name: shop, namespace: web, annotations: {{tokenward.dev/refresh-requested-at: "{asked}"}}}}
spec: {{providerRef: {{name: p}}, credentialsSecretRef: {{name: c}}, revoke: [Rotation, Deletion]}}
"#
        ),
    );
}

#[tokio::test]
async fn a_former_token_is_revoked_when_every_reader_has_the_new_one_and_the_last_with_its_manifest()
 {
    let bench = Bench::new().await;
    bench.write_credentials(provider_simulator::systems::oauth2::CLIENT_SECRET);
    write(&bench, "");
    let keeper = bench.keep();
    bench.until("the first token is there", || bench.key("shop", "access_token").is_some()).await;
    let first = bench.key("shop", "access_token").unwrap();
    write(&bench, "now");
    bench
        .until("the second is there", || {
            bench.key("shop", "access_token").is_some_and(|token| token != first)
        })
        .await;
    let second = bench.key("shop", "access_token").unwrap();
    bench.until("the first is revoked", || !bench.sim.is_active(&first)).await;
    let [revocation] = &bench.sim.revocations()[..] else {
        panic!("{:?}", bench.sim.revocations())
    };
    let written = bench.sim.introspect(&second).unwrap().issued_at;
    let waited = revocation.time - written;
    assert!(waited.num_seconds() >= 15, "{waited}");
    assert!(bench.sim.is_active(&second));

    let removed = bench.sim.now();
    fs::remove_file(bench.manifests().join("shop.yaml")).unwrap();
    bench.until("the target went with its token", || !bench.out().join("web/shop").exists()).await;
    assert!(!bench.sim.is_active(&second), "it is revoked before its target goes");
    let [_, last] = &bench.sim.revocations()[..] else { panic!("{:?}", bench.sim.revocations()) };
    assert!(last.time - removed >= TimeDelta::seconds(9), "a file that is being written");
    assert_eq!(keeper.log().matches("was revoked").count(), 2);
    assert_eq!(bench.requests(), 2);
}

#[tokio::test]
async fn whoever_issued_a_token_revokes_it_and_nobody_else_sees_it() {
    let (bench, next) = (Bench::new().await, Bench::new().await);
    bench.write_credentials(provider_simulator::systems::oauth2::CLIENT_SECRET);
    write(&bench, "");
    let _keeper = bench.keep();
    bench.until("the first token is there", || bench.key("shop", "access_token").is_some()).await;
    let first = bench.key("shop", "access_token").unwrap();
    let provider = fs::read_to_string(bench.manifests().join("provider.yaml")).unwrap();
    let (from, to) = (bench.sim.addr().to_string(), next.sim.addr().to_string());
    bench.write("provider.yaml", &provider.replace(&from, &to));
    bench.until("the next provider is asked", || next.requests() == 1).await;
    bench.until("the first token is revoked", || !bench.sim.is_active(&first)).await;
    assert_eq!(next.sim.requests_beside(Endpoint::Revocation).len(), 0);
}
