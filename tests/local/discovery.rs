//! Endpoints that an issuer tells.

use provider_simulator::systems::oauth2::CLIENT_SECRET;
use provider_simulator::{Behaviour, Endpoint, Fault};

use crate::bench::Bench;

fn write(bench: &Bench, asked: &str) {
    bench.write(
        "shop.yaml",
        &format!(
            r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: p, namespace: web}}
spec:
  preset: oauth2-issuer
  variables: {{issuer: "http://SIM/oauth2"}}
  limits: {{minInterval: 1s}}
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
async fn what_an_issuer_told_is_made_do_with_while_it_tells_nothing() {
    let bench = Bench::new().await;
    bench.write_credentials(CLIENT_SECRET);
    write(&bench, "");
    let keeper = bench.keep();
    bench.until("a token is there", || bench.key("shop", "access_token").is_some()).await;
    let first = bench.key("shop", "access_token").unwrap();

    // A refusal makes what it told doubtful, and now it tells nonsense.
    bench.sim.set_beside(Endpoint::Discovery, Behaviour::failing(Fault::Html));
    bench.write_credentials("wrong-secret-wrong-secret");
    bench.until("it is refused", || keeper.log().contains("invalid_client")).await;
    bench.write_credentials(CLIENT_SECRET);
    bench
        .until("it goes on all the same", || {
            bench.key("shop", "access_token").is_some_and(|token| token != first)
        })
        .await;
    assert!(keeper.log().contains("its former metadata is made do with"), "it was not asked again");
}
