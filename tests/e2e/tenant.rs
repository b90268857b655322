//! A namespace with a token and a workload that uses it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::cluster::{Cluster, PATIENCE, until};

/// What the status says of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub issued: DateTime<Utc>,
    pub expires: DateTime<Utc>,
    pub due: DateTime<Utc>,
}

/// Its namespace, which is also its client's identifier and its workload's name.
pub struct Tenant {
    pub name: &'static str,
    manifests: String,
}

impl Tenant {
    /// As a user writes it; `provider` is where the simulator listens.
    pub fn new(name: &'static str, cluster: &Cluster, (provider, nudge): (&str, bool)) -> Self {
        let image = &cluster.settings.simulator;
        let secret = secret(name);
        let manifests = format!(
            r#"
apiVersion: v1
kind: Namespace
metadata: {{name: {name}, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: simulator, namespace: {name}}}
spec:
  preset: oauth2
  variables: {{tokenUrl: "http://{provider}/oauth2/token"}}
---
apiVersion: v1
kind: Secret
metadata: {{name: orders-client, namespace: {name}}}
stringData: {{client_id: {name}, client_secret: {secret}}}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {{name: orders, namespace: {name}}}
spec:
  providerRef: {{name: simulator}}
  credentialsSecretRef: {{name: orders-client}}
  target: {{secretName: orders-token, nudge: {nudge}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: reader, namespace: {name}}}
spec:
  selector: {{matchLabels: {{app: reader}}}}
  template:
    metadata: {{labels: {{app: reader}}}}
    spec:
      automountServiceAccountToken: false
      securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
        - name: reader
          image: {image}
          imagePullPolicy: Never
          command: [/token-consumer, --name={name}, --every-ms=500]
          args: [--token-file=/token/access_token, "--url=http://{provider}/resource"]
          securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
          volumeMounts: [{{name: token, mountPath: /token, readOnly: true}}]
      volumes:
        - name: token
          secret: {{secretName: orders-token}}
"#
        );
        Self { name, manifests }
    }

    pub fn apply(&self, cluster: &Cluster) {
        cluster.apply(&self.manifests);
    }

    pub fn delete(&self, cluster: &Cluster) {
        cluster.delete(&["namespace", self.name]);
    }

    pub fn token(&self, cluster: &Cluster) -> Option<Token> {
        let object = cluster.get(&["oauthclienttoken", "orders", "-n", self.name])?;
        let state = &object["status"]["token"];
        let time = |field: &Value| field.as_str()?.parse().ok();
        Some(Token {
            issued: time(&state["issuedAt"])?,
            expires: time(&state["expiresAt"])?,
            due: time(&state["refreshAt"])?,
        })
    }

    /// Deletes the target, and waits until there is another one.
    pub fn lose_target(&self, cluster: &Cluster) {
        let uid = || {
            let secret = cluster.get(&["secret", "orders-token", "-n", self.name])?;
            Some(secret["metadata"]["uid"].as_str()?.to_owned())
        };
        let former = until("there is a target", PATIENCE, uid);
        cluster.kubectl(&["delete", "secret", "orders-token", "-n", self.name]).unwrap();
        until("the target is back", PATIENCE, || uid().filter(|uid| *uid != former));
    }

    /// What the workload prints, a line each time it uses a token.
    pub fn lines(&self, cluster: &Cluster) -> Vec<String> {
        let log = until("the workload's log can be read", PATIENCE, || {
            cluster.kubectl(&["logs", "-n", self.name, "deployment/reader", "--tail=-1"]).ok()
        });
        log.lines().map(str::to_owned).collect()
    }
}

/// The client's secret, of no use elsewhere.
pub fn secret(name: &str) -> String {
    format!("{name}-secret-of-a-test")
}
