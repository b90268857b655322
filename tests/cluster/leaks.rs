//! No token, secret or text of an answer gets where it may be read: a long story at trace level,
//! then a search through everything that the operator has said.

mod scenario;
pub mod search;
mod shapes;
mod sources;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use scenario::Scenario;
use search::percent;

use crate::harness::{World, kubectl};

/// The places where something could leak to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Channel {
    Log,
    Events,
    Objects,
    Metadata,
    Metrics,
}

impl Channel {
    const ALL: [Self; 5] = [Self::Log, Self::Events, Self::Objects, Self::Metadata, Self::Metrics];

    /// Everything that can be read there.
    async fn text(self, world: &World) -> String {
        match self {
            Self::Log => std::fs::read_to_string(world.folder().join("log")).unwrap(),
            Self::Metrics => {
                std::fs::read_to_string(world.folder().join(scenario::METRICS)).unwrap()
            }
            Self::Events => {
                // The older API shows fields that the newer one does not.
                world.events() + &world.kubectl(&["get", "events", "-o", "json"])
            }
            Self::Objects => {
                let kinds = "oauthclienttokens,oauthproviders,clusteroauthproviders";
                world.kubectl(&["get", kinds, "-o", "json", "--show-managed-fields"])
            }
            Self::Metadata => {
                let api: Api<Secret> = Api::namespaced(world.client.clone(), &world.namespace);
                let secrets = api.list_metadata(&ListParams::default()).await.unwrap();
                serde_json::to_string(&secrets.items).unwrap()
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_and_a_planted_leak_is_found() {
    let scenario = Scenario::play().await;
    let world = &scenario.world;
    let needles = scenario.needles();
    for channel in Channel::ALL {
        let text = channel.text(world).await;
        assert!(text.len() > 1000, "{channel:?} is empty: {text}");
        let found = needles.find(&text);
        assert!(found.is_empty(), "{channel:?} leaks:\n{}", found.join("\n"));
    }
    let log = Channel::Log.text(world).await;
    // The search was worth it: the levels were on, and both formats were used.
    for sign in ["DEBUG", "\"level\":\"DEBUG\"", "kube_client::client::builder", "token written"] {
        assert!(log.contains(sign), "the log has no {sign}");
    }
    sources::assert_in_their_places(world).await;
    for channel in Channel::ALL {
        plant(&scenario, channel);
        let found = needles.find(&channel.text(world).await);
        assert!(!found.is_empty(), "a leak planted in {channel:?} was not found");
    }
}

/// Leaks a slice, in a guise of its own for each channel.
fn plant(scenario: &Scenario, channel: Channel) {
    let world = &scenario.world;
    let (token, secret) = (&scenario.a_token(), scenario::ROTATED);
    match channel {
        Channel::Log => {
            use std::io::Write;
            let log = std::fs::File::options().append(true).open(world.folder().join("log"));
            writeln!(log.unwrap(), "DEBUG fetched {}…", &token[20..32]).unwrap();
        }
        Channel::Metrics => {
            let figures = world.folder().join(scenario::METRICS);
            std::fs::write(figures, format!("tokens{{of=\"{}\"}} 1", &token[..16])).unwrap();
        }
        Channel::Events => {
            let event = json!({
                "apiVersion": "events.k8s.io/v1", "kind": "Event",
                "metadata": {"name": "planted", "namespace": world.namespace},
                "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal",
                "reason": "Planted", "action": "Planted", "reportingController": "test",
                "reportingInstance": "test",
                "note": format!("got {}", BASE64_STANDARD.encode(format!("Bearer {token}"))),
                "regarding": {"apiVersion": "v1", "kind": "Secret", "name": "c", "namespace": world.namespace},
            });
            kubectl(&["create", "-f", "-"], &event.to_string());
        }
        Channel::Objects => {
            let message = format!("refused: {}", &percent(secret)[..20]);
            let patch = json!([{"op": "replace", "path": "/status/conditions/0/message", "value": message}]);
            let args =
                ["patch", "oauthclienttoken", "oauth2", "--subresource=status", "--type=json"];
            world.kubectl(&[&args[..], &["-p", &patch.to_string()]].concat());
        }
        Channel::Metadata => {
            let note = format!("note={}", serde_json::to_string(token).unwrap());
            world.kubectl(&["annotate", "secret", "oauth2", &note]);
        }
    }
}
