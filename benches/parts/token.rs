//! A token as it stands a while after its last refresh: its resource, its provider, its credentials
//! and its target, as the API server tells of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretBox;
use serde_json::{Value, json};
use tokenward::api::annotations::{
    EXPIRES_AT, INPUTS, ISSUED_AT, OWNER, Owner, REFRESH_AT, format_time,
};
use tokenward::api::{OAuthProvider, ProviderKind};
use tokenward::oauth::{Asking, Credentials, Digester, Endpoint};
use tokenward::watch::compile;

pub const NAMESPACE: &str = "web";
pub const PROVIDER: &str = "login";
pub const CREDENTIALS: &str = "editor-sync";
const SCOPE: &str = "orders.read";
const LIFE: TimeDelta = TimeDelta::hours(1);

/// When everything here takes place: a quarter of an hour after the last refresh.
pub fn now() -> DateTime<Utc> {
    issued_at() + TimeDelta::minutes(15)
}

/// When the token was asked for.
pub fn issued_at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// When the next one is due.
pub fn refresh_at() -> DateTime<Utc> {
    issued_at() + LIFE * 4 / 5
}

pub fn expires_at() -> DateTime<Utc> {
    issued_at() + LIFE
}

pub fn name(number: usize) -> String {
    format!("orders-{number}")
}

/// What is asked for.
pub fn asking() -> Asking {
    Asking { scopes: vec![SCOPE.to_owned()], ..Asking::default() }
}

/// A provider by this preset.
pub fn provider(preset: &str) -> Value {
    json!({
        "apiVersion": "tokenward.dev/v1alpha1",
        "kind": "OAuthProvider",
        "metadata": metadata(PROVIDER),
        "spec": {"preset": preset, "variables": {"tokenUrl": "https://login.example.com/oauth/token"}},
    })
}

/// Its token endpoint.
pub fn endpoint(preset: &str) -> Arc<Endpoint> {
    let provider: OAuthProvider = serde_json::from_value(provider(preset)).unwrap();
    compile(&provider.spec.document, ProviderKind::OAuthProvider).unwrap()
}

/// The values of the credentials Secret that a provider by this preset wants.
pub fn credential_values(preset: &str) -> BTreeMap<String, String> {
    let secret: &[(&str, &str)] = match preset {
        "oauth2" => &[("client_secret", "kPz3:vQ/8+rT=wM1xY7sB")],
        "oauth2-private-key-jwt" => {
            &[("key_id", "2026-11"), ("private_key", include_str!("../../tests/data/keys/rsa.pem"))]
        }
        other => panic!("{other} has no credentials here"),
    };
    let values = [("client_id", CREDENTIALS)].into_iter().chain(secret.iter().copied());
    values.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The same as they are read.
pub fn credentials(preset: &str) -> Credentials {
    let bytes = |value: String| SecretBox::new(Box::new(value.into_bytes()));
    let values = credential_values(preset).into_iter().map(|(key, value)| (key, bytes(value)));
    Credentials::new(format!("{NAMESPACE}/{CREDENTIALS}"), values.collect())
}

/// The key of every digest.
pub fn digester() -> Digester {
    Digester::new(&SecretBox::new(Box::new([7; 32])))
}

/// What the token was asked with.
pub fn inputs() -> String {
    digester().inputs(&endpoint("oauth2"), &asking(), (&credentials("oauth2"), &[])).unwrap()
}

/// The resource.
pub fn resource(number: usize) -> Value {
    json!({
        "apiVersion": "tokenward.dev/v1alpha1",
        "kind": "OAuthClientToken",
        "metadata": metadata(&name(number)),
        "spec": {
            "providerRef": {"kind": "OAuthProvider", "name": PROVIDER},
            "credentialsSecretRef": {"name": CREDENTIALS},
            "scopes": [SCOPE],
        },
    })
}

/// Its target, without values.
pub fn target(number: usize, inputs: &str) -> Value {
    let name = name(number);
    let owner = Owner {
        kind: "OAuthClientToken".to_owned(),
        namespace: NAMESPACE.to_owned(),
        uid: uid(&name),
        name: name.clone(),
    };
    let mut metadata = metadata(&name);
    metadata["uid"] = json!(format!("secret-{}", owner.uid));
    metadata["labels"] = json!({"app.kubernetes.io/managed-by": "tokenward"});
    metadata["annotations"] = json!({
        ISSUED_AT: format_time(issued_at()),
        EXPIRES_AT: format_time(expires_at()),
        REFRESH_AT: format_time(refresh_at()),
        INPUTS: inputs,
        OWNER: owner.to_string(),
    });
    metadata["ownerReferences"] = json!([{
        "apiVersion": "tokenward.dev/v1alpha1", "kind": owner.kind, "name": owner.name,
        "uid": owner.uid, "controller": true, "blockOwnerDeletion": false,
    }]);
    metadata["managedFields"] = json!([{
        "manager": "tokenward", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "time": format_time(issued_at()),
        "fieldsV1": {
            "f:data": {"f:access_token": {}, "f:expires_at": {}, "f:token_type": {}},
            "f:metadata": {
                "f:labels": {"f:app.kubernetes.io/managed-by": {}},
                "f:annotations": {
                    "f:tokenward.dev/issued-at": {}, "f:tokenward.dev/expires-at": {},
                    "f:tokenward.dev/refresh-at": {}, "f:tokenward.dev/inputs": {},
                    "f:tokenward.dev/owner": {},
                },
                "f:ownerReferences": {"k:{\"uid\":\"…\"}": {}},
            },
            "f:type": {},
        },
    }]);
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
}

/// What every object has.
pub fn metadata(name: &str) -> Value {
    json!({
        "name": name, "namespace": NAMESPACE, "uid": uid(name), "generation": 1,
        "resourceVersion": "1000", "creationTimestamp": format_time(issued_at()),
    })
}

fn uid(name: &str) -> String {
    format!("0b2e1c5e-7f4a-4c1d-9a52-{name}")
}
