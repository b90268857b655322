//! Refresh tokens that rotate, kept in OUT.

use std::fs;

use provider_simulator::System;
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN};

use crate::bench::{Bench, text};

fn write(bench: &Bench, asked: &str) {
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
---
apiVersion: v1
kind: Secret
metadata: {{name: c, namespace: web}}
stringData: {{client_id: "{CLIENT_ID}", client_secret: "{CLIENT_SECRET}", refresh_token: "{REFRESH_TOKEN}"}}
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
        write(&bench, asked);
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
