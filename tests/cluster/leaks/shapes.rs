//! Tokens in every shape, and in shapes that do not fit them.

use provider_simulator::systems::oauth2;
use serde_json::{Value, json};
use tokenward::api::conditions::{FRESH, READY};

use super::scenario::{Scenario, oauth2_provider};

/// What does not fit a token whose document adds a copy of it, and why.
fn misfits() -> [(&'static str, Value, &'static str); 6] {
    let annotation = json!({"annotations": {"note": "{{ outputs.copy }}"}});
    [
        (
            "label",
            json!({"template": {"labels": {"copy": "{{ outputs.copy }}"}}}),
            "TargetNotRendered",
        ),
        ("annotation", json!({ "template": annotation }), "TargetNotRendered"),
        (
            "untold",
            json!({"template": {"data": {"x": "{{ access_token }}{{ outputs.untold }}"}}}),
            "TargetNotRendered",
        ),
        (
            "grown",
            json!({"template": {"data": {"x": "{{ access_token".to_owned() + &" | b64encode".repeat(60) + " }}"}}}),
            "TargetNotRendered",
        ),
        (
            "config",
            json!({"type": "kubernetes.io/dockerconfigjson",
            "template": {"data": {".dockerconfigjson": "{{ access_token }}"}}}),
            "TargetNotRendered",
        ),
        ("misspelt-name", json!({"template": {"data": {"x": "{{ acess_token }}"}}}), "InvalidSpec"),
    ]
}

/// Plays it.
pub async fn play(scenario: &Scenario) {
    let mut provider = oauth2_provider();
    provider["response"] = json!({"outputs": {
        "copy": {"value": "Bearer {{ outputs.access_token }}"}, "untold": {"at": ["/untold"]}}});
    let client = json!({"client_id": oauth2::CLIENT_ID, "client_secret": oauth2::CLIENT_SECRET});
    scenario.apply_token("shaped", (provider, client));
    scenario.world.until_ready("shaped").await;
    let shape = |target: Value| {
        let patch = json!([{"op": "add", "path": "/spec/target", "value": target}]).to_string();
        let world = &scenario.world;
        world.kubectl(&["patch", "oauthclienttoken", "shaped", "--type=json", "-p", &patch]);
    };
    for (_, target, reason) in misfits() {
        shape(target);
        scenario.until_reason("shaped", FRESH, reason).await;
        shape(json!({}));
        scenario.until_reason("shaped", FRESH, "Refreshed").await;
    }
    let formats = json!({
        "authorizationHeader": {}, "netrc": {"host": "a.example"}, "env": {}, "json": {}, "fluxGit": {},
        "dockerConfigJson": {"registries": ["a.example"], "username": "u"},
    });
    shape(json!({ "formats": formats }));
    let is_there = |secret: Option<&k8s_openapi::api::core::v1::Secret>| {
        secret.is_some_and(|s| s.type_.as_deref() == Some("kubernetes.io/dockerconfigjson"))
    };
    scenario.world.until("shaped", is_there).await;
    scenario.world.until_ready("shaped").await;
    scenario.until_reason("shaped", READY, "TokenValid").await;
}
