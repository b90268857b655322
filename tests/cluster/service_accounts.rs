//! Tokens of ServiceAccounts in place of stored secrets, before a provider that trusts this very
//! control plane.

use k8s_openapi::api::core::v1::ServiceAccount;
use provider_simulator::systems::oauth2::CLIENT_ID;
use provider_simulator::{
    Authentication, Federation, GrantType, Keys, Policy, System, TrustedIssuer,
};
use serde_json::Value;
use tokenward::api::conditions::{self, READY, STALLED};

use crate::harness::{World, kubectl, token};

/// Whom the tokens are for.
const AUDIENCE: &str = "https://login.example.com";

/// The control plane as an issuer, by what it tells of itself.
pub fn control_plane() -> TrustedIssuer {
    let told = kubectl(&["get", "--raw", "/.well-known/openid-configuration"], "");
    let told: Value = serde_json::from_str(&told).unwrap();
    let jwks = kubectl(&["get", "--raw", "/openid/v1/jwks"], "");
    TrustedIssuer {
        issuer: told["issuer"].as_str().unwrap().to_owned(),
        audience: AUDIENCE.to_owned(),
        jwks: Keys::jwks(&jwks).unwrap(),
    }
}

/// Lets the ServiceAccount `shop` stand for the client.
pub fn trust(world: &World, policy: Policy) {
    let issuer = control_plane();
    let federation = Federation {
        client_id: CLIENT_ID.to_owned(),
        issuer: issuer.issuer.clone(),
        subject: subject(world),
        audience: AUDIENCE.to_owned(),
    };
    world.sim.set_policy(policy.trusting(issuer).federating(federation));
}

fn subject(world: &World) -> String {
    format!("system:serviceaccount:{}:shop", world.namespace)
}

/// Providers that take it as the client's assertion and as the subject token.
pub fn providers() -> String {
    format!(
        r#"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: federated}}
spec:
  preset: oauth2
  variables: {{tokenUrl: "http://$SIM/oauth2/token"}}
  clientID: "{CLIENT_ID}"
  clientAuthentication: [federated_jwt]
  limits: {{minInterval: 1s}}
---
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {{name: exchange}}
spec:
  preset: oauth2-token-exchange
  variables: {{tokenUrl: "http://$SIM/oauth2/token"}}
  clientAuthentication: [none]
  request:
    parameters:
      subject_token: "{{{{ serviceAccount.token }}}}"
      subject_token_type: urn:ietf:params:oauth:token-type:jwt
  limits: {{minInterval: 1s}}
"#
    )
}

/// A token of one of them that names ServiceAccount `shop`, for these audiences.
pub fn asking(name: &str, audiences: &str) -> String {
    let spec = format!(
        "providerRef: {{name: {name}}}, serviceAccountRef: {{name: shop, audiences: [{audiences}]}}"
    );
    token(name, &spec)
}

pub const ACCOUNT: &str = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: shop}}";

/// Waits until a token is not Ready for this reason, and its message says this.
async fn until_denied(world: &World, name: &str, says: &str) {
    world
        .until_status(name, |status| {
            conditions::find(&status.conditions, READY).is_some_and(|ready| {
                ready.reason == "ServiceAccountTokenDenied" && ready.message.contains(says)
            })
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_stands_for_a_client_and_as_a_subject() {
    let world = World::new("account").await;
    trust(&world, Policy::default());
    let operator = world.operator(&[]);
    world.apply(&providers());
    world.apply(&asking("federated", AUDIENCE));
    // Under the base rules alone: what to apply is told, and heals it.
    until_denied(&world, "federated", "deploy/rbac-service-account.yaml").await;
    let stalled = (STALLED, "True", "ServiceAccountTokenDenied");
    let message = world.until_condition("federated", stalled).await;
    assert!(message.contains(&format!("{}/shop", world.namespace)), "{message}");
    world.grant_tokens_of("shop").await;
    until_denied(&world, "federated", "does not exist").await;
    world.until_condition("federated", (STALLED, "False", "Progressing")).await;
    assert_eq!(world.sim.requests(), []);
    world.apply(ACCOUNT);
    world.until_ready("federated").await;
    world.apply(&asking("exchange", AUDIENCE));
    world.until_ready("exchange").await;

    let [federated, exchange] = &world.sim.requests_of(System::Oauth2)[..] else { panic!() };
    assert_eq!(federated.judged.authentication, Some(Authentication::FederatedJwt));
    assert_eq!(federated.judged.client_id.as_deref(), Some(CLIENT_ID));
    let assertion = federated.judged.client_assertion.as_ref().unwrap();
    assert_eq!(assertion.subject.as_deref(), Some(&*subject(&world)));
    assert_eq!(exchange.judged.grant, Some(GrantType::TokenExchange));
    assert_eq!(exchange.judged.subject.as_deref(), Some(&*subject(&world)));
    for request in [federated, exchange] {
        assert_eq!(request.refusal, None);
    }
    // A fresh one for each request; that it is another is no reason to ask.
    world.force("federated", "now").await;
    let requests = world.sim.requests_of(System::Oauth2);
    let again = requests[2].judged.client_assertion.as_ref().unwrap();
    assert_eq!(requests.len(), 3);
    assert_ne!(again.jti, assertion.jti);
    assert_eq!(world.until_ready("federated").await.consecutive_failures, 0);
    let log = operator.log().len();
    operator.kill();
    let operator = world.operator(&[]);
    operator.wait_for_log_after(log, "caches are filled").await;
    world.force("exchange", "now").await;
    assert_eq!(world.requests(), 4, "a restart asks for nothing");
    world.until::<ServiceAccount>("shop", |account| account.is_some()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_server_would_take_is_shown_to_nobody() {
    let world = World::new("audience").await;
    trust(&world, Policy::default());
    world.grant_tokens_of("shop").await;
    world.apply(ACCOUNT);
    let _operator = world.operator(&[]);
    world.apply(&providers());
    let own = control_plane().issuer;
    world.apply(&asking("federated", &own));
    world.apply(&asking("exchange", &format!("{AUDIENCE}, {own}")));
    for name in ["federated", "exchange"] {
        until_denied(&world, name, "spec.serviceAccountRef.audiences").await;
        world.until_condition(name, (STALLED, "True", "ServiceAccountTokenDenied")).await;
    }
    assert_eq!(world.sim.requests(), []);
    world.apply(&asking("federated", AUDIENCE));
    world.until_ready("federated").await;
    assert_eq!(world.requests(), 1);
}
