//! What a target looks like is its spec's to say, and costs no token request.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use tokenward::api::annotations::SHAPE;
use tokenward::api::conditions::{FRESH, READY};

use crate::harness::{World, oauth2_client, oauth2_provider, token, try_kubectl};

const REFERENCES: &str = "providerRef: {name: p}, credentialsSecretRef: {name: c}";

/// A token whose target is declared to be this.
fn shaped(target: &str) -> String {
    token("shop", &format!("{REFERENCES}, target: {target}"))
}

async fn ready(world: &World, target: &str) {
    world.apply(&format!("{}\n---\n{}", oauth2_provider("p", ""), oauth2_client("c")));
    world.apply(&shaped(target));
    world.until_ready("shop").await;
}

fn keys(secret: Option<&Secret>) -> Vec<String> {
    let data = secret.and_then(|secret| secret.data.as_ref());
    data.into_iter().flat_map(|data| data.keys().cloned()).collect()
}

/// Waits until the target has exactly these keys beside the default ones.
async fn until_keys(world: &World, further: &[&str]) {
    let mut expected: Vec<&str> = ["access_token", "expires_at", "token_type"].into();
    expected.extend(further);
    expected.sort_unstable();
    world.until::<Secret>("shop", |secret| keys(secret) == expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_shape_is_written_again_without_a_request() {
    let world = World::new("shape").await;
    let operator = world.operator(&[]);
    ready(
        &world,
        "{formats: {json: {}}, template: {data: {note: '{{ expires_at }}'}, labels: {team: web}}}",
    )
    .await;
    until_keys(&world, &["note", "token.json"]).await;
    let (before, data) = world.secret("shop").await;
    assert_eq!(data["note"], data["expires_at"]);
    assert!(data["token.json"].contains(&data["access_token"]));
    assert_eq!(before.labels()["team"], "web");
    // Keys and labels that are not declared any more go.
    world.apply(&shaped("{formats: {authorizationHeader: {}}, template: {annotations: {example.com/of: '{{ name }}'}}}"));
    until_keys(&world, &["authorization"]).await;
    let (after, shown) = world.secret("shop").await;
    assert_eq!(shown["authorization"], format!("Bearer {}", data["access_token"]));
    assert!(!after.labels().contains_key("team"));
    assert_eq!(after.annotations()["example.com/of"], "shop");
    assert_eq!(after.metadata.uid, before.metadata.uid);
    // And so do changes that nobody watched.
    let log = operator.log().len();
    operator.kill();
    world.apply(&shaped("{formats: {netrc: {host: a.example}}}"));
    let operator = world.operator(&[]);
    operator.wait_for_log_after(log, "caches are filled").await;
    until_keys(&world, &[".netrc"]).await;
    world.apply(&token("shop", REFERENCES));
    until_keys(&world, &[]).await;
    let (last, _) = world.secret("shop").await;
    assert!(!last.annotations().contains_key(SHAPE));
    assert_eq!(world.requests(), 1);
    world.force("shop", "barrier").await;
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn what_somebody_changes_of_a_shape_is_mended_without_a_request() {
    let world = World::new("drift").await;
    let _operator = world.operator(&[]);
    ready(
        &world,
        "{formats: {json: {}}, template: {labels: {team: web}, annotations: {note: '{{ name }}'}}}",
    )
    .await;
    let (_, before) = world.secret("shop").await;
    let whole = |secret: Option<&Secret>| {
        let Some(secret) = secret else { return false };
        let json = secret.data.as_ref().and_then(|data| data.get("token.json"));
        json.is_some_and(|json| json.0 == before["token.json"].as_bytes())
            && secret.labels().get("team").is_some_and(|team| team == "web")
            && secret.annotations().get("note").is_some_and(|note| note == "shop")
    };
    for damage in [
        r#"{"stringData": {"token.json": "{}"}}"#,
        r#"{"data": {"token.json": null}}"#,
        r#"{"metadata": {"labels": {"team": "other"}}}"#,
        r#"{"metadata": {"annotations": {"note": null}}}"#,
        r#"{"metadata": {"annotations": {"tokenward.dev/shape": "other"}}}"#,
    ] {
        world.patch("secret/shop", damage);
        world.until::<Secret>("shop", whole).await;
    }
    assert_eq!(world.requests(), 1);
    world.force("shop", "barrier").await;
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn a_secret_whose_type_changes_is_made_anew_with_the_same_token() {
    let world = World::new("type").await;
    let _operator = world.operator(&[]);
    ready(&world, "{}").await;
    let (mut last, data) = world.secret("shop").await;
    assert_eq!(last.type_.as_deref(), Some("Opaque"));
    let registry = "{formats: {dockerConfigJson: {registries: [a.example], username: u}}}";
    let no_more = "{template: {data: {x: '1'}}}";
    for (target, type_) in [
        ("{formats: {basicAuth: {username: shop}}}", "kubernetes.io/basic-auth"),
        (registry, "kubernetes.io/dockerconfigjson"),
        (no_more, "Opaque"),
    ] {
        // Fields that are declared no more go: `kubectl apply` sees to it.
        world.apply(&shaped(target));
        let is =
            |secret: Option<&Secret>| secret.is_some_and(|s| s.type_.as_deref() == Some(type_));
        world.until::<Secret>("shop", is).await;
        let (secret, now) = world.secret("shop").await;
        assert_ne!(secret.metadata.uid, last.metadata.uid);
        assert_eq!(now["access_token"], data["access_token"]);
        last = secret;
    }
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 1);
    world.force("shop", "barrier").await;
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn what_does_not_fit_together_is_refused_before_any_request() {
    let world = World::new("refused").await;
    let _operator = world.operator(&[]);
    // By the API server, where a rule says it all.
    for (target, says) in [
        ("{type: kubernetes.io/service-account-token}", "power beyond its data"),
        (
            "{formats: {basicAuth: {username: a}, dockerConfigJson: {registries: [a], username: a}}}",
            "different types",
        ),
        (
            "{formats: {basicAuth: {username: a}, argoCD: {url: a, username: a}}}",
            "username and password",
        ),
        ("{type: Opaque, formats: {basicAuth: {username: a}}}", "type contradicts"),
        ("{template: {labels: {app.kubernetes.io/managed-by: me}}}", "cannot be set"),
        ("{template: {annotations: {tokenward.dev/owner: me}}}", "cannot be set"),
        ("{template: {data: {access_token: x}}}", "there anyway"),
        ("{template: {data: {..data: x}}}", "a key of a Secret"),
    ] {
        let args = ["-n", &world.namespace, "apply", "-f", "-"];
        let refusal = try_kubectl(&args, &shaped(target)).unwrap_err();
        assert!(refusal.contains(says), "{target}: {refusal}");
    }
    // By tokenward, where it takes more.
    world.apply(&format!("{}\n---\n{}", oauth2_provider("p", ""), oauth2_client("c")));
    for (target, says) in [
        ("{formats: {env: {key: t}, json: {key: t}}}", &["formats.json", "formats.env"][..]),
        ("{type: kubernetes.io/tls}", &["tls.crt and tls.key"]),
        ("{template: {data: {x: 'a\n\n{{ acess_token }}'}}}", &["data.x: line 2", "access_token"]),
        ("{template: {data: {x: '{{ outputs.url }}'}}}", &["outputs", "\"url\""]),
    ] {
        world.apply(&shaped(target));
        let is = |status: &tokenward::api::OAuthClientTokenStatus| {
            status.conditions.iter().any(|condition| {
                condition.type_ == READY
                    && condition.reason == "InvalidSpec"
                    && says.iter().all(|words| condition.message.contains(words))
            })
        };
        world.until_status("shop", is).await;
    }
    assert_eq!(world.requests(), 0);
    world.apply(&shaped("{}"));
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn what_the_answer_does_not_tell_costs_one_request_and_no_good_token() {
    let world = World::new("untold").await;
    let _operator = world.operator(&[]);
    let outputs = "response: {outputs: {url: {at: [/instance_url]}}}";
    world.apply(&format!("{}\n---\n{}", oauth2_provider("p", outputs), oauth2_client("c")));
    world.apply(&shaped("{}"));
    world.until_ready("shop").await;
    let (_, before) = world.secret("shop").await;
    world.apply(&shaped("{template: {data: {x: '{{ outputs.url }}'}}}"));
    let message = world.until_condition("shop", (FRESH, "False", "TargetNotRendered")).await;
    assert!(message.contains("data.x: line 1") && message.contains("outputs.url"), "{message}");
    let (_, after) = world.secret("shop").await;
    assert_eq!(before, after, "the last good token stays");
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 2);
    // Mended from what is there.
    world.apply(&shaped("{template: {data: {x: '{{ outputs.url | default(\"none\") }}'}}}"));
    until_keys(&world, &["x"]).await;
    world.until_condition("shop", (FRESH, "True", "Refreshed")).await;
    assert_eq!(world.requests(), 2);
}

#[tokio::test]
async fn a_secret_that_is_taken_over_is_never_deleted_for_its_type() {
    let world = World::new("taken-type").await;
    world.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: shop, annotations: {tokenward.dev/allow: shop}}, \
         type: example.com/theirs, stringData: {theirs: x}}",
    );
    let (theirs, _) = world.secret("shop").await;
    let _operator = world.operator(&[]);
    world.apply(&format!("{}\n---\n{}", oauth2_provider("p", ""), oauth2_client("c")));
    world.apply(&shaped("{formats: {basicAuth: {username: a}}}"));
    let message = world.until_condition("shop", (READY, "False", "SecretNotOwned")).await;
    assert!(message.contains("kubernetes.io/basic-auth"), "{message}");
    let (secret, data) = world.secret("shop").await;
    assert_eq!((secret.metadata.uid, &*data["theirs"]), (theirs.metadata.uid, "x"));
}
