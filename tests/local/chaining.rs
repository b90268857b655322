//! Tokens that are made from tokens.

use provider_simulator::systems::oauth2::CLIENT_SECRET;

use crate::bench::{Bench, text};

/// `exchanged` is made from `shop`, and `twice` from `exchanged`.
fn write(bench: &Bench) {
    bench.write_oauth2("shop", CLIENT_SECRET);
    bench.write(
        "chain.yaml",
        r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {name: exchange, namespace: web}
spec:
  preset: oauth2-token-exchange
  variables: {tokenUrl: "http://SIM/oauth2/token"}
  clientAuthentication: [client_secret_basic]
  request: {parameters: {subject_token: "{{ tokens.subject }}"}}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {name: a-twice, namespace: web}
spec:
  providerRef: {name: exchange}
  credentialsSecretRef: {name: c}
  tokenRefs: {subject: {name: exchanged}}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {name: exchanged, namespace: web}
spec:
  providerRef: {name: exchange}
  credentialsSecretRef: {name: c}
  tokenRefs: {subject: {name: shop}}
"#,
    );
}

#[tokio::test]
async fn what_a_token_is_made_from_comes_first() {
    let bench = Bench::new().await;
    write(&bench);
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
    let serial = |name: &str| {
        let token = bench.key(name, "access_token").unwrap();
        bench.sim.introspect(&token).unwrap()
    };
    assert_eq!(serial("exchanged").parent, Some(serial("shop").serial));
    assert_eq!(serial("a-twice").parent, Some(serial("exchanged").serial));
    assert_eq!(bench.requests(), 3);
}

#[tokio::test]
async fn a_circle_is_named_and_nothing_is_asked_for_it() {
    let bench = Bench::new().await;
    write(&bench);
    bench.write(
        "circle.yaml",
        r"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {name: one, namespace: web}
spec: {providerRef: {name: exchange}, credentialsSecretRef: {name: c}, tokenRefs: {subject: {name: two}}}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {name: two, namespace: web}
spec: {providerRef: {name: exchange}, credentialsSecretRef: {name: c}, tokenRefs: {subject: {name: one}}}
",
    );
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(1));
    let complaint = text(&output).1;
    assert!(complaint.contains("one → two → one"), "{complaint}");
    assert!(complaint.contains("two → one → two"), "{complaint}");
    assert_eq!(bench.requests(), 3, "the others are fetched all the same");
}
