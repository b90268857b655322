//! What a token may set when it uses the platform's client.

use provider_simulator::systems::oauth2::{CLIENT_ID, CLIENT_SECRET};
use serde_json::{Value, json};
use tokenward::api::conditions::{READY, STALLED};

use crate::harness::{OPERATOR_NAMESPACE, World, kubectl, oauth2_client, token, try_kubectl};

struct Row {
    name: &'static str,
    usage: Value,
    token: &'static str,
    reason: &'static str,
    says: &'static [&'static str],
    /// What mends it, in `usage`.
    mended: Value,
    /// What the request then holds.
    sends: &'static str,
}

fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "scope",
            usage: json!({}),
            token: "scopes: [read]",
            reason: "ScopeNotAllowed",
            says: &["spec.scopes", "\"read\""],
            mended: json!({"scopes": ["read"]}),
            sends: "scope=read",
        },
        Row {
            name: "near-scope",
            usage: json!({"scopes": ["orders.write"]}),
            token: "scopes: [orders.wirte]",
            reason: "ScopeNotAllowed",
            says: &["\"orders.wirte\"", "did you mean \"orders.write\"?"],
            mended: json!({"scopes": ["orders.wirte"]}),
            sends: "scope=orders.wirte",
        },
        Row {
            name: "parameter",
            usage: json!({"scopes": ["audience"]}),
            token: "parameters: {audience: orders}",
            reason: "ParameterNotAllowed",
            says: &["spec.parameters", "\"audience\""],
            mended: json!({"parameters": ["audience"]}),
            sends: "audience=orders",
        },
        Row {
            name: "own",
            usage: json!({"ownCredentials": "Forbid"}),
            token: "credentialsSecretRef: {name: c}",
            reason: "OwnCredentialsForbidden",
            says: &["spec.credentialsSecretRef"],
            mended: json!({"ownCredentials": "Allow"}),
            sends: "grant_type",
        },
    ]
}

fn apply_provider(world: &World, row: &Row, usage: &Value) {
    let mut usage = usage.clone();
    usage["namespaceSelector"] = json!({});
    let name = format!("{}-{}", world.namespace, row.name);
    let provider = json!({
        "apiVersion": "tokenward.dev/v1alpha1", "kind": "ClusterOAuthProvider",
        "metadata": {"name": name},
        "spec": {
            "preset": "oauth2",
            "variables": {"tokenUrl": world.sim.endpoint(provider_simulator::System::Oauth2)},
            "request": {
                "headers": {"X-Case": row.name},
                "parameters": {"audience": "{{ parameters.audience }}"}
            },
            "credentialsSecretRef": {"name": world.namespace},
            "usage": usage
        }
    });
    kubectl(&["apply", "-f", "-"], &provider.to_string());
    world.litter(&["clusteroauthprovider", &name]);
}

#[tokio::test]
async fn what_the_platform_does_not_allow_is_refused_until_it_does() {
    let world = World::new("limits").await;
    let _operator = world.operator(&["--cluster-kinds"]);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": world.namespace, "namespace": OPERATOR_NAMESPACE},
        "stringData": {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    });
    kubectl(&["apply", "-f", "-"], &secret.to_string());
    world.litter(&["-n", OPERATOR_NAMESPACE, "secret", &world.namespace]);
    world.apply(&oauth2_client("c"));
    let rows = rows();
    for row in &rows {
        apply_provider(&world, row, &row.usage);
        let reference =
            format!("providerRef: {{kind: ClusterOAuthProvider, name: $NS-{}}}", row.name);
        world.apply(&token(row.name, &format!("{reference}, {}", row.token)));
    }
    for row in &rows {
        let message = world.until_condition(row.name, (READY, "False", row.reason)).await;
        for part in row.says {
            assert!(message.contains(part), "{}: {part:?} is not in {message:?}", row.name);
        }
        world.until_condition(row.name, (STALLED, "True", row.reason)).await;
    }
    assert_eq!(world.requests(), 0);
    for row in &rows {
        apply_provider(&world, row, &row.mended);
        world.until_ready(row.name).await;
        let requests = world.sim.requests();
        let request = requests.iter().find(|r| r.header("x-case") == Some(row.name)).unwrap();
        assert!(request.body.contains(row.sends), "{}: {}", row.name, request.body);
    }
    assert_eq!(world.requests(), rows.len());
}

#[tokio::test]
async fn forbidding_own_credentials_needs_credentials_of_the_platform() {
    let world = World::new("forbid").await;
    let provider = json!({
        "apiVersion": "tokenward.dev/v1alpha1", "kind": "ClusterOAuthProvider",
        "metadata": {"name": world.namespace},
        "spec": {"preset": "oauth2", "usage": {"ownCredentials": "Forbid"}}
    });
    world.litter(&["clusteroauthprovider", &world.namespace]);
    let error = try_kubectl(&["create", "-f", "-"], &provider.to_string()).unwrap_err();
    assert!(error.contains("ownCredentials Forbid needs spec.credentialsSecretRef"), "{error}");
}
