//! The systems that must always work, through their presets, against the strict simulator.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use provider_simulator::systems::{mediahound, optimizely, oracle, sitecore};
use provider_simulator::{Options, Recorded, System};
use serde_json::{Value, json};
use tokenward::api::conditions::READY;

use crate::harness::{LOOPBACK, PATIENCE, World, oauth2_client, oauth2_token};

/// A system as its users would write it down.
struct Wanted {
    name: &'static str,
    system: System,
    /// Fields of the provider's spec.
    provider: String,
    credentials: Value,
    /// Fields of the token's spec.
    token: &'static str,
    /// Seconds.
    life: i64,
    token_type: Option<&'static str>,
}

fn pair(id: &str, secret: &str) -> Value {
    json!({"client_id": id, "client_secret": secret})
}

fn systems(world: &World) -> Vec<Wanted> {
    let mut systems = vec![oracle(world)];
    systems.extend(named_by_url(world));
    systems.extend(optimizely(world));
    systems
}

/// The presets' own URLs begin with https.
fn path(world: &World, path: &str) -> String {
    match world.sim.scheme() {
        "https" => String::new(),
        _ => format!(", request: {{url: 'http://{{{{ host }}}}{path}'}}"),
    }
}

fn named_by_url(world: &World) -> [Wanted; 2] {
    [
        Wanted {
            name: "sitecore",
            system: System::Sitecore,
            provider: format!(
                "preset: sitecore-content-hub-one, variables: {{authority: '{}', audience: '{}'}}",
                world.sim.endpoint(System::Sitecore),
                sitecore::AUDIENCE
            ),
            credentials: pair(sitecore::CLIENT_ID, sitecore::CLIENT_SECRET),
            token: "",
            life: 900,
            token_type: Some("Bearer"),
        },
        Wanted {
            name: "mediahound",
            system: System::Mediahound,
            provider: format!(
                "preset: mediahound, variables: {{tokenUrl: '{}'}}",
                world.sim.endpoint(System::Mediahound)
            ),
            credentials: pair(mediahound::CLIENT_ID, mediahound::CLIENT_SECRET),
            token: "",
            life: 3600,
            token_type: Some("bearer"),
        },
    ]
}

fn optimizely(world: &World) -> [Wanted; 2] {
    let host = world.sim.addr();
    let path = path(world, "/_cms/{{ version }}/oauth/token");
    let wanted = |name, preset: &str, version: &str, token| Wanted {
        name,
        system: System::Optimizely,
        provider: format!("preset: {preset}, variables: {{host: '{host}'{version}}}{path}"),
        credentials: pair(optimizely::CLIENT_ID, optimizely::CLIENT_SECRET),
        token,
        life: 300,
        token_type: Some("Bearer"),
    };
    let act_as = "parameters: {act_as: editor@example.com}";
    [
        wanted("optimizely", "optimizely-cms-saas", "", act_as),
        wanted("optimizely-basic", "optimizely-cms-saas-basic", ", version: preview3", ""),
    ]
}

fn oracle(world: &World) -> Wanted {
    let url = path(world, "/content/management/api/v1.1/channels/{{ channelId }}/oauthToken");
    Wanted {
        name: "oracle",
        system: System::Oracle,
        provider: format!(
            "preset: oracle-content-channel, variables: {{host: '{}', channelId: {}}}{url}",
            world.sim.addr(),
            oracle::CHANNEL_ID
        ),
        credentials: json!({"channel_secret": oracle::CHANNEL_SECRET}),
        token: "",
        life: 604_800,
        token_type: None,
    }
}

fn apply(world: &World, wanted: &Wanted) {
    let Wanted { name, provider, credentials, token, .. } = wanted;
    let ca = world.sim.ca_pem().map(|pem| format!(", caBundle: {}", json!(pem)));
    let ca = ca.unwrap_or_default();
    // Verbatim: a certificate may hold any three letters.
    world.apply_verbatim(&format!(
        r"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: {name}}}
spec: {{{provider}{ca}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: {name}-client}}
stringData: {credentials}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {{name: {name}}}
spec:
  providerRef: {{name: {name}}}
  credentialsSecretRef: {{name: {name}-client}}
  target: {{secretName: {name}-token}}
  {token}
"
    ));
}

async fn works(world: &World, wanted: &Wanted) {
    let status = world.until_ready(wanted.name).await;
    let name = wanted.name;
    let token = status.token.unwrap();
    let (_, data) = world.secret(&format!("{name}-token")).await;
    assert!(world.sim.is_active(&data["access_token"]), "{name}");
    assert_eq!(token.token_type.as_deref(), wanted.token_type, "{name}");
    assert_eq!(data.get("token_type").map(String::as_str), wanted.token_type, "{name}");
    let life = (token.expires_at - token.issued_at).num_seconds();
    // Whole seconds, on both ends.
    assert!((wanted.life - 2..=wanted.life + 1).contains(&life), "{name}: {life}");
    assert!(token.issued_at < token.refresh_at && token.refresh_at < token.expires_at, "{name}");
}

async fn all_work(world: World, args: &[&str]) -> Vec<Recorded> {
    let _operator = world.strict_operator(args);
    let systems = systems(&world);
    for wanted in &systems {
        apply(&world, wanted);
    }
    for wanted in &systems {
        works(&world, wanted).await;
    }
    for wanted in &systems {
        let expected = systems.iter().filter(|other| other.system == wanted.system).count();
        let requests = world.sim.wait_for(expected, wanted.system, PATIENCE).await.unwrap();
        assert_eq!(requests.len(), expected, "{}: one request is enough", wanted.name);
        for request in requests {
            assert_eq!(request.refusal, None, "{}", wanted.name);
        }
    }
    world.sim.requests()
}

#[tokio::test]
async fn the_four_systems_work_through_their_presets() {
    let world = World::new("systems").await;
    let requests = all_work(world, &LOOPBACK).await;
    let of = |path: &str| requests.iter().find(|r| r.path.starts_with(path)).unwrap();
    let body = |request: &Recorded| -> Value { serde_json::from_str(&request.body).unwrap() };
    assert!(of("/sitecore").body.contains("audience=https%3A%2F%2Fcontent-hub-one.example%2Fapi"));
    let both = of("/mediahound");
    let pair = both.header("authorization").unwrap().strip_prefix("Basic ").unwrap();
    let pair = String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap();
    assert_eq!(pair, format!("{}:{}", mediahound::CLIENT_ID, mediahound::CLIENT_SECRET));
    assert!(both.body.contains("client_id=mhclt_reader"));
    assert_eq!(both.header("accept"), Some("application/json"));
    let json = of("/_cms/preview2");
    assert_eq!(body(json)["act_as"], "editor@example.com");
    assert_eq!(json.header("authorization"), None);
    let basic = of("/_cms/preview3");
    assert_eq!(basic.body, "grant_type=client_credentials");
    let channel = of("/content");
    assert_eq!(body(channel), json!({"channelSecret": oracle::CHANNEL_SECRET}));
    assert_eq!(channel.header("x-requested-with"), Some("XMLHttpRequest"));
    assert_eq!(channel.header("authorization"), None);
}

#[tokio::test]
async fn they_work_over_tls_with_their_own_urls() {
    let world = World::with("tls", Options::tls()).await;
    all_work(world, &["--egress-allow-cidr", "127.0.0.0/8"]).await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_gets_no_request() {
    let world = World::with("untrusted", Options::tls()).await;
    let _operator = world.operator(&[]);
    let provider = r#"variables: {tokenUrl: "https://$SIM/oauth2/token"}, preset: oauth2"#;
    world.apply(&format!(
        "apiVersion: tokenward.dev/v1alpha1\nkind: OAuthProvider\nmetadata: {{name: p}}\nspec: {{{provider}}}\n---\n{}---\n{}",
        oauth2_client("c"),
        oauth2_token("shop")
    ));
    let message = world.until_condition("shop", (READY, "False", "ProviderUnreachable")).await;
    assert!(message.contains("TLS"), "{message}");
    assert_eq!(world.requests(), 0);
    let patch = json!({"spec": {"caBundle": world.sim.ca_pem().unwrap()}}).to_string();
    world.kubectl(&["patch", "oap/p", "--type=merge", "-p", &patch]);
    world.until_ready("shop").await;
}
