//! Where token requests may not go. Nothing is connected, and the message names the flag.

use std::net::{IpAddr, TcpListener};

use kube::config::Kubeconfig;
use provider_simulator::Options;
use serde_json::json;
use tokenward::api::conditions::{READY, STALLED};

use crate::harness::{World, kubeconfig, oauth2_client, oauth2_provider, oauth2_token, token};

const DENIED: (&str, &str, &str) = (READY, "False", "EgressDenied");

/// A provider of its own, and a token, for each URL.
fn apply(world: &World, urls: &[(&str, String)]) {
    world.apply(&oauth2_client("c"));
    for (name, url) in urls {
        world.apply(&oauth2_provider(name, &format!("request: {{url: '{url}'}}")));
        let spec = format!("providerRef: {{name: {name}}}, credentialsSecretRef: {{name: c}}");
        world.apply(&token(name, &spec));
    }
}

/// A listener that nobody may connect to.
struct Trap(TcpListener);

impl Trap {
    fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    fn assert_untouched(&self) {
        let error = self.0.accept().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[tokio::test]
async fn loopback_is_refused_whatever_it_is_called() {
    let world = World::new("loopback").await;
    let trap = Trap::set();
    let port = trap.port();
    let _operator = world.strict_operator(&["--allow-http"]);
    let hosts = [
        ("literal", "127.0.0.1"),
        ("another", "127.8.8.8"),
        ("decimal", "2130706433"),
        ("short", "127.1"),
        ("zero", "0.0.0.0"),
        ("name", "localhost"),
        ("upper", "LocalHost"),
        ("v6", "[::1]"),
        ("mapped", "[::ffff:127.0.0.1]"),
        ("nat64", "[64:ff9b::7f00:1]"),
    ];
    let urls = hosts.map(|(name, host)| (name, format!("http://{host}:{port}/oauth2/token")));
    apply(&world, &urls);
    for (name, _) in urls {
        let message = world.until_condition(name, DENIED).await;
        assert!(message.contains("--egress-allow-cidr"), "{name}: {message}");
        world.until_condition(name, (STALLED, "True", "EgressDenied")).await;
    }
    trap.assert_untouched();
}

#[tokio::test]
async fn what_nobody_needs_or_only_the_platform_may_reach_is_refused() {
    let world = World::new("ranges").await;
    let _operator = world.strict_operator(&["--allow-http"]);
    let hosts = [
        ("metadata", "169.254.169.254", "link-local"),
        ("alibaba", "100.100.100.200", "metadata"),
        ("multicast", "224.0.0.1", "multicast"),
        ("ten", "10.0.0.1", "private"),
        ("cgnat", "100.64.0.1", "private"),
        ("ula", "[fd12::1]", "private"),
        ("mapped", "[::ffff:a9fe:a9fe]", "link-local"),
    ];
    apply(&world, &hosts.map(|(name, host, _)| (name, format!("http://{host}/oauth2/token"))));
    for (name, _, kind) in hosts {
        let message = world.until_condition(name, DENIED).await;
        assert!(message.contains(kind), "{name}: {message}");
    }
}

#[tokio::test]
async fn an_address_that_is_allowed_heals_without_a_restart() {
    let world = World::new("allowed").await;
    let _operator = world.strict_operator(&["--allow-http", "--egress-allow-cidr", "127.0.0.1/32"]);
    apply(&world, &[("shop", "http://127.0.0.2:1/oauth2/token".to_owned())]);
    world.until_condition("shop", DENIED).await;
    world.apply(&oauth2_provider("shop", ""));
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn the_api_server_stays_refused_when_its_range_is_allowed() {
    let config = Kubeconfig::read_from(kubeconfig()).unwrap();
    let server = config.clusters[0].cluster.as_ref().unwrap().server.clone().unwrap();
    let server: url::Url = server.parse().unwrap();
    let port = server.port_or_known_default().unwrap();
    let host = server.host_str().unwrap().to_owned();
    let mut urls = vec![("server", format!("https://{host}:{port}/api"))];
    if let Ok(IpAddr::V4(ip)) = host.parse() {
        urls.push(("mapped", format!("https://[::ffff:{ip}]:{port}/api")));
        if ip.is_loopback() {
            urls.push(("name", format!("https://localhost:{port}/api")));
        }
    }
    let world = World::new("apiserver").await;
    let _operator = world.operator(&["--egress-allow-cidr", "0.0.0.0/0"]);
    apply(&world, &urls);
    for (name, _) in &urls {
        world.until_condition(name, DENIED).await;
        // Another port of the same host is another service.
        world.apply(&oauth2_provider(name, ""));
        world.until_ready(name).await;
    }
}

#[tokio::test]
async fn plain_http_is_refused_unless_it_is_allowed() {
    let world = World::with("http", Options::tls()).await;
    let _operator = world.strict_operator(&["--egress-allow-cidr", "127.0.0.0/8"]);
    world.apply(&oauth2_provider("p", ""));
    world.apply(&format!("{}---\n{}", oauth2_client("c"), oauth2_token("shop")));
    let message = world.until_condition("shop", DENIED).await;
    assert!(message.contains("https") && message.contains("--allow-http"), "{message}");
    assert_eq!(world.sim.requests(), []);
    let url = world.sim.endpoint(provider_simulator::System::Oauth2);
    let spec = json!({"variables": {"tokenUrl": url}, "caBundle": world.sim.ca_pem().unwrap()});
    let patch = json!({"spec": spec}).to_string();
    world.kubectl(&["patch", "oap/p", "--type=merge", "-p", &patch]);
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 1);
}
