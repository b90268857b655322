//! Provider documents, as YAML.

use secrecy::SecretString;
use serde_json::Value;
use tokenward::api::ProviderDocument;
use tokenward::catalogue::merge;
use tokenward::error::{Error, Reason};
use tokenward::oauth::{
    Asking, Digester, Endpoint, KEY_LENGTH, Occasion, Provenance, Supplies, TokenRequest,
};

use super::shared;

/// Reads a document and does with it all that can be done.
pub fn run(data: &[u8]) {
    // What a document spells out itself may be quoted.
    if data.windows(8).any(|slice| shared::SECRET.as_bytes().windows(8).any(|own| own == slice)) {
        return;
    }
    let Ok(value) = serde_yaml::from_slice::<Value>(data) else { return };
    if !durations_fit(&value) {
        return;
    }
    let Ok(document) = serde_json::from_value::<ProviderDocument>(value) else { return };
    let Ok(merged) = merge(&document) else { return };
    match Endpoint::compile(merged, Provenance::Namespaced) {
        Ok(endpoint) => use_it(&endpoint),
        Err(error) => assert_eq!(error.reason(), Reason::InvalidProvider, "{error}"),
    }
}

/// The API server's own rule for a duration: what reads one panics where it overflows.
fn durations_fit(value: &Value) -> bool {
    const DURATIONS: &[&str] = &["default", "max", "lifetime", "backdate", "minInterval", "wait"];
    match value {
        Value::Object(fields) => fields.iter().all(|(key, field)| match field {
            Value::String(text) if DURATIONS.contains(&key.as_str()) => {
                let digits = text.split(|c: char| !c.is_ascii_digit());
                text.len() <= 32 && digits.into_iter().all(|digits| digits.len() <= 9)
            }
            field => durations_fit(field),
        }),
        Value::Array(items) => items.iter().all(durations_fit),
        _ => true,
    }
}

fn use_it(endpoint: &Endpoint) {
    let (asking, occasion) = (shared::asking(endpoint), shared::occasion());
    let supplies = shared::supplies(endpoint);
    if let Ok(shown) = endpoint.show(&asking, (&supplies, &occasion)) {
        shared::assert_hidden(&format!("{shown:?}"), shared::SECRET.as_bytes());
    }
    let digester = Digester::new(&secrecy::SecretBox::new(Box::new([7; KEY_LENGTH])));
    assert_eq!(digester.shape(endpoint, &asking), digester.shape(endpoint, &asking));
    let _ = (endpoint.min_interval(), endpoint.can_revoke(), endpoint.renews());
    if endpoint.is_local() {
        match endpoint.sign(&asking, (&supplies, &occasion)) {
            Ok(issued) => shared::assert_good(&issued),
            Err(error) => check(&error),
        }
    } else {
        ask(endpoint, &asking, (&supplies, &occasion));
    }
    for text in ["200\n\n{\"access_token\": \"t\", \"expires_in\": 9}", "429\n\n{\"error\": \"x\"}"]
    {
        if let Ok(issued) = endpoint.read(&shared::answer(text.as_bytes()), &asking, &supplies) {
            shared::assert_good(&issued);
        }
    }
}

fn ask(endpoint: &Endpoint, asking: &Asking, (supplies, occasion): (&Supplies, &Occasion)) {
    let origin = endpoint.origin().unwrap_or_else(|| panic!("goes nowhere"));
    assert!(matches!(origin.scheme(), "https" | "http"), "{origin}");
    let expected = origin.origin().ascii_serialization();
    match endpoint.request(asking, supplies, occasion) {
        Ok(request) => {
            assert!(endpoint.discovery().is_none(), "nobody told where to");
            assert_eq!(shared::origin(&request), expected);
            check_shown(&request);
        }
        Err(error) => check(&error),
    }
    let token = SecretString::from(shared::SECRET);
    match endpoint.revocation(&token, asking, (supplies, occasion)) {
        Ok(Some(request)) => check_shown(&request),
        Ok(None) => assert!(endpoint.revocation_discovery().is_some() || !endpoint.can_revoke()),
        Err(error) => check(&error),
    }
}

fn check_shown(request: &TokenRequest) {
    shared::assert_hidden(&format!("{request:?}"), shared::SECRET.as_bytes());
}

fn check(error: &Error) {
    shared::assert_hidden(error.message(), shared::SECRET.as_bytes());
    let reasons = [Reason::InvalidProvider, Reason::InvalidSpec, Reason::InvalidCredentials];
    assert!(reasons.contains(&error.reason()), "{error:?}");
}
