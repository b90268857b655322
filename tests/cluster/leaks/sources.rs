//! The part of the story in which tokens come of other things than a stored secret.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN};
use provider_simulator::{Endpoint, Policy};
use serde_json::json;
use tokenward::api::OAuthClientToken;
use tokenward::api::conditions::{self, FRESH};

use super::search::Needles;
use crate::harness::{World, kubectl, token};
use crate::service_accounts::{ACCOUNT, asking, providers, trust};

/// Whatever of a request is as good as a secret.
const SENT: [&str; 5] =
    ["client_assertion", "assertion", "subject_token", "refresh_token", "token"];

/// What has to be there before the operator is.
pub async fn prepare(world: &World) {
    trust(world, Policy::default());
    world.apply(ACCOUNT);
    world.grant_tokens_of("shop").await;
    world.grant_revocation().await;
}

fn apply_credentials(world: &World) {
    // Applied on the server, so that no annotation of kubectl's holds the credentials.
    let credentials = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "sources", "namespace": world.namespace},
        "stringData": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN}});
    kubectl(&["apply", "--server-side", "-f", "-"], &credentials.to_string());
}

/// ServiceAccounts, refresh tokens, assertions, a chain, several secrets and a revocation.
pub async fn play(world: &World) {
    apply_credentials(world);
    world.apply(&providers());
    let provider = |name: &str, preset: &str, more: &str| {
        format!(
            r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: {name}}}
spec:
  preset: {preset}
  variables: {{tokenUrl: "http://$SIM/oauth2/token"}}
  limits: {{minInterval: 1s}}
  {more}
"#
        )
    };
    let chained = "clientAuthentication: [none]\n  \
                   request: {parameters: {subject_token: \"{{ tokens.parent }}\"}}";
    world.apply(
        &[
            provider("renewing", "oauth2-refresh-token", ""),
            provider("signing", "oauth2", "clientAuthentication: [client_secret_jwt]"),
            provider("leaving", "oauth2", r#"revocation: {url: "http://$SIM/oauth2/revoke"}"#),
            provider("chained", "oauth2-token-exchange", chained),
        ]
        .join("\n---\n"),
    );
    let spec =
        |name: &str, more: &str| token(name, &format!("providerRef: {{name: {name}}}, {more}"));
    let own = "credentialsSecretRef: {name: sources, secretKeys: [absent, client_secret]}";
    let audience = "https://login.example.com";
    world.apply(
        &[
            asking("federated", audience),
            asking("exchange", audience),
            spec("renewing", "credentialsSecretRef: {name: sources}"),
            spec("signing", own),
            spec("leaving", &format!("{own}, revoke: [Deletion, Rotation]")),
            spec("chained", "tokenRefs: {parent: {name: signing}}"),
        ]
        .join("\n---\n"),
    );
    for name in ["federated", "exchange", "renewing", "signing", "leaving", "chained"] {
        world.until_ready(name).await;
        world.force(name, "once more").await;
    }
    // A crash between an answer and its keeping would lose what was renewed; there is one soon.
    world.patch("oct/renewing", r#"{"spec": {"suspend": true}}"#);
    world
        .until_status("renewing", |status| {
            conditions::find(&status.conditions, FRESH).is_some_and(|c| c.reason == "Suspended")
        })
        .await;
    world.kubectl(&["delete", "oct", "leaving", "--wait=false"]);
    world.until::<OAuthClientToken>("leaving", |token| token.is_none()).await;
    // The last one and every former one.
    assert!(world.sim.requests_beside(Endpoint::Revocation).len() >= 2);
}

/// Everything that was sent, by the name of its parameter.
fn sent(world: &World) -> Vec<(String, String)> {
    let bodies = world.sim.requests().into_iter().map(|request| request.body);
    bodies
        .flat_map(|body| {
            let pairs = url::form_urlencoded::parse(body.as_bytes()).into_owned();
            pairs.filter(|(name, _)| SENT.contains(&name.as_str())).collect::<Vec<_>>()
        })
        .collect()
}

pub fn add_needles(world: &World, needles: &mut Needles) {
    let sent = sent(world);
    for name in SENT {
        let seen = sent.iter().filter(|(sent, _)| sent == name).count();
        assert!(seen >= 2 || name == "assertion", "{seen} of {name}");
    }
    for (name, value) in sent {
        needles.add(&name, &value);
    }
}

/// Access tokens lie in targets, refresh tokens beside the credentials that they came from, and
/// what was signed for one request nowhere.
pub async fn assert_in_their_places(world: &World) {
    let api: Api<Secret> = Api::namespaced(world.client.clone(), &world.namespace);
    let secrets = api.list(&ListParams::default()).await.unwrap().items;
    let holding = |value: &str| -> Vec<String> {
        let holds = |secret: &&Secret| {
            let mut values = secret.data.iter().flat_map(|data| data.values());
            values.any(|held| held.0.windows(value.len()).any(|slice| slice == value.as_bytes()))
        };
        secrets.iter().filter(holds).map(|secret| secret.metadata.name.clone().unwrap()).collect()
    };
    assert_eq!(holding(REFRESH_TOKEN), ["sources"]);
    let (_, kept) = world.secret("sources-renewed").await;
    assert_eq!(holding(&kept["refresh_token"]), ["sources-renewed"]);
    let access: Vec<String> = world.sim.requests().into_iter().filter_map(|r| r.token).collect();
    for (name, value) in sent(world) {
        if value == REFRESH_TOKEN || access.contains(&value) {
            continue;
        }
        assert_eq!(holding(&value), [""; 0], "{name}");
    }
}
