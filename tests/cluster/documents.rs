//! Documents and specs that cannot work: the reason says why and names the nearest name, nothing
//! is sent, and mending is enough.

use tokenward::api::conditions::{READY, STALLED};

use crate::harness::{World, oauth2_client, oauth2_provider, token};

/// One mistake.
struct Row {
    name: &'static str,
    /// The provider's spec.
    provider: &'static str,
    /// What the token's spec has besides its references.
    token: &'static str,
    reason: &'static str,
    says: &'static [&'static str],
}

const URL: &str = r#"variables: {tokenUrl: "http://$SIM/oauth2/token"}"#;

const ROWS: &[Row] = &[
    Row {
        name: "preset",
        provider: "preset: oauth3",
        token: "",
        reason: "InvalidProvider",
        says: &["spec.preset", "\"oauth3\"", "did you mean \"oauth2\"?"],
    },
    Row {
        name: "no-url",
        provider: "grant: client_credentials",
        token: "",
        reason: "InvalidProvider",
        says: &["spec.request.url"],
    },
    Row {
        name: "variable",
        provider: "preset: oauth2",
        token: "",
        reason: "InvalidProvider",
        says: &["spec.variables.tokenUrl", "is not set"],
    },
    Row {
        name: "near-variable",
        provider: r#"preset: oauth2, variables: {tokenUlr: "http://$SIM/oauth2/token"}"#,
        token: "",
        reason: "InvalidProvider",
        says: &["tokenUlr", "did you mean \"tokenUrl\"?"],
    },
    Row {
        name: "unused",
        provider: r#"preset: oauth2, variables: {tokenUrl: "http://$SIM/oauth2/token", hots: x}"#,
        token: "",
        reason: "InvalidProvider",
        says: &["spec.variables.hots", "not used", "tokenUrl"],
    },
    Row {
        name: "group",
        provider: r#"preset: oauth2, URL, request: {headers: {X-A: "{{ params.a }}"}}"#,
        token: "",
        reason: "InvalidProvider",
        says: &["request.headers", "params.a", "did you mean \"parameters\"?"],
    },
    Row {
        name: "template-name",
        provider: r#"preset: oauth2, URL, request: {headers: {X-A: "{{ tokenUlr }}"}}"#,
        token: "",
        reason: "InvalidProvider",
        says: &["tokenUlr", "did you mean \"tokenUrl\"?"],
    },
    Row {
        name: "template",
        provider: r#"preset: oauth2, URL, request: {headers: {X-A: "{{ tokenUrl | upper }}"}}"#,
        token: "",
        reason: "InvalidProvider",
        says: &["request.headers", "holds a name only"],
    },
    Row {
        name: "header",
        provider: "preset: oauth2, URL, request: {headers: {Host: a.example}}",
        token: "",
        reason: "InvalidProvider",
        says: &["request.headers", "cannot be set"],
    },
    Row {
        name: "certificate",
        provider: r#"preset: oauth2, URL, caBundle: "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----""#,
        token: "",
        reason: "InvalidProvider",
        says: &["spec.caBundle"],
    },
    Row {
        name: "parameter",
        provider: r#"preset: oauth2, URL, request: {parameters: {audience: "{{ parameters.audience }}"}}"#,
        token: "parameters: {audiense: x}",
        reason: "InvalidSpec",
        says: &["spec.parameters.audiense", "did you mean \"audience\"?"],
    },
    Row {
        name: "no-parameters",
        provider: "preset: oauth2, URL",
        token: "parameters: {act_as: x}",
        reason: "InvalidSpec",
        says: &["spec.parameters.act_as", "no place"],
    },
    Row {
        name: "scopes",
        provider: "preset: oauth2, URL, request: {parameters: {scope: all}}",
        token: "scopes: [read]",
        reason: "InvalidSpec",
        says: &["spec.scopes", "takes no scopes"],
    },
];

fn provider(row: &Row) -> String {
    let spec = row.provider.replace("URL", URL);
    format!(
        "apiVersion: tokenward.dev/v1alpha1\nkind: OAuthProvider\nmetadata: {{name: {}}}\nspec: {{{spec}}}\n",
        row.name
    )
}

fn asking(row: &Row, more: &str) -> String {
    let spec = format!("providerRef: {{name: {}}}, credentialsSecretRef: {{name: c}}", row.name);
    token(row.name, &format!("{spec}, {more}"))
}

#[tokio::test]
async fn what_cannot_work_says_why_sends_nothing_and_heals_when_it_is_mended() {
    let world = World::new("documents").await;
    let _operator = world.operator(&[]);
    let broken: Vec<String> =
        ROWS.iter().flat_map(|row| [provider(row), asking(row, row.token)]).collect();
    world.apply(&oauth2_client("c"));
    world.apply(&broken.join("---\n"));
    for row in ROWS {
        let message = world.until_condition(row.name, (READY, "False", row.reason)).await;
        for part in row.says {
            assert!(message.contains(part), "{}: {part:?} is not in {message:?}", row.name);
        }
        world.until_condition(row.name, (STALLED, "True", row.reason)).await;
    }
    assert_eq!(world.sim.requests(), []);
    // Only what is wrong: both would be two changes, and perhaps two requests.
    let mend = |row: &Row| match row.reason {
        "InvalidSpec" => asking(row, ""),
        _ => oauth2_provider(row.name, ""),
    };
    let mended: Vec<String> = ROWS.iter().map(mend).collect();
    world.apply(&mended.join("---\n"));
    for row in ROWS {
        world.until_ready(row.name).await;
    }
    assert_eq!(world.requests(), ROWS.len());
}

#[tokio::test]
async fn a_provider_may_come_after_its_token() {
    let world = World::new("late").await;
    let _operator = world.operator(&[]);
    world.apply(&oauth2_client("c"));
    world.apply(&oauth2_provider("portal", ""));
    world.apply(&token("shop", "providerRef: {name: portl}, credentialsSecretRef: {name: c}"));
    let message = world.until_condition("shop", (READY, "False", "ProviderNotFound")).await;
    assert!(
        message.contains("\"portl\"") && message.contains("did you mean \"portal\"?"),
        "{message}"
    );
    // What comes by itself is no reason to call a person.
    world.until_condition("shop", (STALLED, "False", "Progressing")).await;
    assert_eq!(world.requests(), 0);
    world.apply(&oauth2_provider("portl", ""));
    world.until_ready("shop").await;
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_good_token_stays_when_its_provider_breaks() {
    let world = World::new("breaks").await;
    let _operator = world.operator(&[]);
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;
    let (_, before) = world.secret("shop").await;
    world.patch("oap/p", r#"{"spec": {"preset": "oauth3"}}"#);
    world.until_condition("shop", ("Fresh", "False", "InvalidProvider")).await;
    world.until_condition("shop", (READY, "True", "TokenValid")).await;
    world.kubectl(&["delete", "oap", "p"]);
    world.until_condition("shop", ("Fresh", "False", "ProviderNotFound")).await;
    world.until_condition("shop", (READY, "True", "TokenValid")).await;
    assert_eq!(world.secret("shop").await.1, before);
    // Back as it was: nothing has changed for the token.
    world.apply(&oauth2_provider("p", ""));
    world.until_condition("shop", ("Fresh", "True", "Refreshed")).await;
    assert_eq!(world.requests(), 1);
}
