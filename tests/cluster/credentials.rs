//! Credentials that are not there, not whole or not to be touched.

use tokenward::api::conditions::READY;

use crate::harness::{World, oauth2_client, oauth2_provider, token};

/// One mistake: a Secret's manifest after its name, or none.
struct Row {
    name: &'static str,
    secret: Option<&'static str>,
    reason: &'static str,
    says: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row {
        name: "missing",
        secret: None,
        reason: "CredentialsNotFound",
        says: &["$NS/missing-client", "does not exist"],
    },
    Row {
        name: "no-key",
        secret: Some("stringData: {client_id: a, client_secrt: b}"),
        reason: "CredentialsKeyMissing",
        says: &["$NS/no-key-client", "\"client_secret\"", "did you mean \"client_secrt\"?"],
    },
    Row {
        name: "empty-key",
        secret: Some("stringData: {client_id: a, client_secret: ''}"),
        reason: "CredentialsKeyMissing",
        says: &["$NS/empty-key-client", "\"client_secret\" is empty"],
    },
    Row {
        name: "no-data",
        secret: Some("type: Opaque"),
        reason: "CredentialsKeyMissing",
        says: &["$NS/no-data-client", "\"client_id\""],
    },
    Row {
        name: "binary",
        secret: Some("data: {client_id: YQ==, client_secret: //79}"),
        reason: "InvalidCredentials",
        says: &["$NS/binary-client", "\"client_secret\" is not UTF-8 text"],
    },
];

fn manifest(name: &str, rest: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\n{rest}\n")
}

fn asking(name: &str) -> String {
    token(name, &format!("providerRef: {{name: p}}, credentialsSecretRef: {{name: {name}-client}}"))
}

#[tokio::test]
async fn what_is_wrong_with_credentials_is_said_and_heals_when_it_is_mended() {
    let world = World::new("credentials").await;
    let _operator = world.operator(&[]);
    world.apply(&oauth2_provider("p", ""));
    for row in ROWS {
        if let Some(rest) = row.secret {
            world.apply(&manifest(&format!("{}-client", row.name), rest));
        }
        world.apply(&asking(row.name));
    }
    for row in ROWS {
        let message = world.until_condition(row.name, (READY, "False", row.reason)).await;
        for part in row.says {
            let part = part.replace("$NS", &world.namespace);
            assert!(message.contains(&part), "{}: {part:?} is not in {message:?}", row.name);
        }
    }
    assert_eq!(world.requests(), 0);
    for row in ROWS {
        world.apply(&oauth2_client(&format!("{}-client", row.name)));
    }
    for row in ROWS {
        world.until_ready(row.name).await;
    }
    assert_eq!(world.requests(), ROWS.len());
}

#[tokio::test]
async fn privileged_secrets_are_no_credentials() {
    let world = World::new("types").await;
    let _operator = world.operator(&[]);
    world.apply(&oauth2_provider("p", ""));
    world.kubectl(&["create", "serviceaccount", "robot"]);
    let rows = [
        ("account", "kubernetes.io/service-account-token"),
        ("bootstrap", "bootstrap.kubernetes.io/token"),
        ("release", "helm.sh/release.v1"),
    ];
    for (name, type_) in rows {
        world.apply(&format!(
            "apiVersion: v1\nkind: Secret\ntype: {type_}\nmetadata: {{name: {name}-client, \
             annotations: {{kubernetes.io/service-account.name: robot}}}}\n\
             stringData: {{client_id: a, client_secret: b}}\n"
        ));
        world.apply(&asking(name));
    }
    for (name, type_) in rows {
        let message = world.until_condition(name, (READY, "False", "SecretTypeNotAllowed")).await;
        assert!(message.contains(type_), "{message}");
    }
    assert_eq!(world.requests(), 0);
    // A type cannot be changed: the Secret is made anew.
    for (name, _) in rows {
        let secret = format!("{name}-client");
        world.kubectl(&["delete", "secret", &secret]);
        world.apply(&oauth2_client(&secret));
        world.until_ready(name).await;
    }
    assert_eq!(world.requests(), rows.len());
}

#[tokio::test]
async fn wrong_credentials_are_told_by_code_and_heal_at_once() {
    let world = World::new("wrong").await;
    let _operator = world.operator(&[]);
    world.apply(&oauth2_provider("p", ""));
    world
        .apply(&manifest("shop-client", "stringData: {client_id: nobody, client_secret: nothing}"));
    world.apply(&asking("shop"));
    let message = world.until_condition("shop", (READY, "False", "TokenRequestRejected")).await;
    assert!(message.contains("invalid_client"), "{message}");
    world.until_condition("shop", ("Stalled", "True", "TokenRequestRejected")).await;
    assert_eq!(world.requests(), 1);
    // The next probe is a minute away: it is the change that heals.
    world.apply(&oauth2_client("shop-client"));
    let status = world.until_ready("shop").await;
    assert_eq!(status.consecutive_failures, 0);
    assert_eq!(world.requests(), 2);
}
