//! Every document of the catalogue against its recorded answers, `tests/data/catalogue/NAME.yaml`:
//! what is sent, what a success comes to, what a refusal means.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::occasion::Occasion;
use super::request::{Asking, TokenRequest};
use super::response::Issued;
use super::supplies::{Renewed, Supplies};
use super::{jwt, testing};
use crate::api::{Method, ProviderDocument};
use crate::catalogue::{entries, merge};
use crate::error::{Class, Error};

/// When every request is sent; answers say the same unless they say otherwise.
const SENT_AT: &str = "2026-11-21T20:24:00Z";
const DATE: &str = "Sat, 21 Nov 2026 20:24:00 GMT";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    credentials: BTreeMap<String, Value>,
    #[serde(default)]
    tokens: BTreeMap<String, String>,
    service_account_token: Option<String>,
    current_token: Option<String>,
    /// What the issuer tells, where the document asks it.
    metadata: Option<Value>,
    request: Sent,
    answers: Vec<Recorded>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    method: Option<String>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    form: Option<Map<String, Value>>,
    json: Option<Map<String, Value>>,
    query: Option<Map<String, Value>>,
    jwt: Option<Jwt>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwt {
    #[serde(default)]
    header: Map<String, Value>,
    #[serde(default)]
    claims: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Recorded {
    name: String,
    from: String,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: Value,
    token: Option<String>,
    lifetime: Option<String>,
    token_type: Option<String>,
    scopes: Option<Vec<String>>,
    outputs: Option<BTreeMap<String, String>>,
    refresh_token: Option<String>,
    class: Option<String>,
    code: Option<String>,
    retry_after: Option<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/catalogue")
}

fn cases() -> Vec<(String, Case)> {
    let mut cases = Vec::new();
    for file in std::fs::read_dir(folder()).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let case = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        cases.push((name, case));
    }
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

fn compile(name: &str, variables: &BTreeMap<String, String>) -> Endpoint {
    let document = ProviderDocument {
        preset: Some(name.to_owned()),
        variables: variables.clone(),
        ..ProviderDocument::default()
    };
    let merged = merge(&document).unwrap_or_else(|error| panic!("{name}: {error}"));
    Endpoint::compile(merged, super::Provenance::Namespaced)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A credential's text; `@rsa` and the like stand for test keys.
fn credential(value: &Value) -> String {
    let key = |name: &str| {
        let file = folder().parent().unwrap().join("keys").join(format!("{name}.pem"));
        std::fs::read_to_string(file).unwrap()
    };
    match value {
        Value::String(text) => match text.as_str() {
            "@rsa" => key("rsa"),
            "@ec256" => key("es256"),
            "@cert" => key("certificate"),
            text => text.to_owned(),
        },
        Value::Object(file) => {
            let members: Map<String, Value> =
                file.iter().map(|(key, value)| (key.clone(), credential(value).into())).collect();
            Value::Object(members).to_string()
        }
        other => other.to_string(),
    }
}

impl Case {
    fn asking(&self) -> Asking {
        Asking {
            scopes: self.scopes.clone(),
            parameters: self.parameters.clone(),
            token_refs: self.tokens.keys().cloned().collect(),
            service_account: self.service_account_token.is_some(),
            sources: Value::Null,
        }
    }

    fn supplies(&self, endpoint: &Endpoint) -> Supplies {
        let values: Vec<(String, String)> =
            self.credentials.iter().map(|(key, value)| (key.clone(), credential(value))).collect();
        let values: Vec<(&str, &str)> =
            values.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let credentials = testing::credentials(&values);
        Supplies {
            credentials: match endpoint.credentials_json() {
                Some(key) => credentials.unpack(key).unwrap(),
                None => credentials,
            },
            secret_key: None,
            tokens: self
                .tokens
                .iter()
                .map(|(name, token)| (name.clone(), SecretString::from(token.as_str())))
                .collect(),
            service_account: self.service_account_token.clone().map(SecretString::from),
            renewed: Renewed {
                access_token: self.current_token.clone().map(SecretString::from),
                refresh_token: None,
            },
        }
    }

    fn occasion(&self) -> Occasion {
        let metadata = self.metadata.clone().map(|m| Arc::new(serde_json::from_value(m).unwrap()));
        Occasion { now: SENT_AT.parse().unwrap(), metadata, ..testing::occasion() }
    }
}

impl Recorded {
    fn answer(&self) -> Answer {
        let body = match &self.body {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            json => json.to_string(),
        };
        let mut headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("date")) {
            headers.push(("date", DATE));
        }
        let answer = testing::answer(self.status, &headers, body.as_bytes());
        let sent_at = SENT_AT.parse().unwrap();
        Answer { sent_at, received_at: sent_at, ..answer }
    }
}

#[test]
fn what_is_sent_is_what_the_provider_documents() {
    for (name, case) in cases() {
        let endpoint = compile(&name, &case.variables);
        let (asking, supplies, occasion) =
            (case.asking(), case.supplies(&endpoint), case.occasion());
        let minted = if endpoint.is_local() {
            let issued = endpoint.sign(&asking, (&supplies, &occasion));
            let issued = issued.unwrap_or_else(|error| panic!("{name}: {error}"));
            Some(issued.access_token.expose_secret().to_owned())
        } else {
            let request = endpoint.request(&asking, &supplies, &occasion);
            let request = request.unwrap_or_else(|error| panic!("{name}: {error}"));
            check_request(&name, &case.request, &request)
        };
        if let Some(expected) = &case.request.jwt {
            check_jwt(&name, expected, &minted.unwrap_or_else(|| panic!("{name}: no JWT is sent")));
        }
    }
}

/// Compares a request, and answers with the first JWT of it that was signed here.
fn check_request(name: &str, expected: &Sent, request: &TokenRequest) -> Option<String> {
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    assert_eq!(expected.method.as_deref().unwrap_or(method), method, "{name}");
    let mut jwts = Vec::new();
    let mut url = request.url.clone();
    let body = testing::body(request).unwrap_or_default();
    let pairs = url::form_urlencoded::parse(body.as_bytes());
    if let Some(form) = &expected.form {
        compare(name, form, &collect(pairs), &mut jwts);
    } else if let Some(json) = &expected.json {
        let sent: Map<String, Value> = serde_json::from_str(body).unwrap();
        compare(name, json, &sent, &mut jwts);
    } else {
        assert!(matches!(body, "" | "{}"), "{name}: a body is sent that the case does not name");
    }
    if let Some(query) = &expected.query {
        compare(name, query, &collect(request.url.query_pairs()), &mut jwts);
        url.set_query(None);
    }
    if let Some(expected) = &expected.url {
        let expected: url::Url = expected.parse().unwrap();
        assert_eq!(url.as_str(), expected.as_str(), "{name}");
    }
    for (header, expected) in &expected.headers {
        let found = testing::header(request, header);
        match (expected.as_str(), found.and_then(|found| found.strip_prefix("Bearer "))) {
            ("@jwt", Some(token)) if jwt::claims(token).is_some() => jwts.push(token.to_owned()),
            ("@any", _) => assert!(found.is_some(), "{name}: {header}"),
            _ => assert_eq!(found, Some(expected.as_str()), "{name}: {header}"),
        }
    }
    jwts.into_iter().next()
}

/// Pairs as an object; what is there more than once is a list.
fn collect<'a>(
    pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
) -> Map<String, Value> {
    let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (key, value) in pairs {
        all.entry(key.into_owned()).or_default().push(value.into_owned().into());
    }
    let one = |mut values: Vec<Value>| match values.len() {
        1 => values.remove(0),
        _ => Value::Array(values),
    };
    all.into_iter().map(|(key, values)| (key, one(values))).collect()
}

fn compare(
    name: &str,
    expected: &Map<String, Value>,
    sent: &Map<String, Value>,
    jwts: &mut Vec<String>,
) {
    let keys = |map: &Map<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(sent), keys(expected), "{name}: parameters");
    for (key, expected) in expected {
        let found = &sent[key];
        match expected.as_str() {
            Some("@jwt") => {
                let token = found.as_str().filter(|token| jwt::claims(token).is_some());
                jwts.push(token.unwrap_or_else(|| panic!("{name}: {key} is no JWT")).to_owned());
            }
            Some("@any") => {}
            _ => assert_eq!(found, expected, "{name}: {key}"),
        }
    }
}

fn check_jwt(name: &str, expected: &Jwt, token: &str) {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    for (key, value) in &expected.header {
        assert_eq!(header.get(key), Some(value).filter(|v| !v.is_null()), "{name}: header {key}");
    }
    let claims = jwt::claims(token).unwrap();
    let seconds = |key: &str| claims[key].as_i64().unwrap();
    for (key, value) in &expected.claims {
        match key.as_str() {
            "exp-iat" => {
                assert_eq!(json!(seconds("exp") - seconds("iat")), *value, "{name}: {key}");
            }
            "iat-now" => {
                let now = SENT_AT.parse::<chrono::DateTime<chrono::Utc>>().unwrap().timestamp();
                assert_eq!(json!(seconds("iat") - now), *value, "{name}: {key}");
            }
            _ if value == "@any" => assert!(claims.get(key).is_some(), "{name}: {key}"),
            _ => {
                let found = claims.get(key);
                assert_eq!(found, Some(value).filter(|v| !v.is_null()), "{name}: {key}");
            }
        }
    }
}

#[test]
fn answers_mean_what_the_provider_documents() {
    for (name, case) in cases() {
        let endpoint = compile(&name, &case.variables);
        for recorded in &case.answers {
            let place = format!("{name}, {:?}", recorded.name);
            assert!(!recorded.from.is_empty(), "{place}: says not where it is from");
            let supplies = case.supplies(&endpoint);
            let read = endpoint.read(&recorded.answer(), &case.asking(), &supplies);
            match (read, &recorded.class) {
                (Ok(issued), None) => check_success(&place, recorded, &issued),
                (Err(error), Some(class)) => check_refusal(&place, (recorded, class), &error),
                (Ok(_), Some(_)) => panic!("{place}: taken for a success"),
                (Err(error), None) => panic!("{place}: {error}"),
            }
        }
    }
}

fn check_success(place: &str, recorded: &Recorded, issued: &Issued) {
    let token = recorded.token.as_deref().unwrap_or_else(|| panic!("{place}: expects no token"));
    assert_eq!(issued.access_token.expose_secret(), token, "{place}");
    let life = (issued.life.expires_at - issued.life.issued_at).num_seconds();
    assert_eq!(Some(format!("{life}s")), recorded.lifetime, "{place}: lifetime");
    if let Some(token_type) = &recorded.token_type {
        assert_eq!(issued.token_type.as_ref(), Some(token_type), "{place}: type");
    }
    if let Some(scopes) = &recorded.scopes {
        assert_eq!(&issued.scopes, scopes, "{place}: scopes");
    }
    if let Some(refresh_token) = &recorded.refresh_token {
        let found = issued.refresh_token.as_ref().map(ExposeSecret::expose_secret);
        assert_eq!(found, Some(refresh_token.as_str()), "{place}: refresh token");
    }
    if let Some(outputs) = &recorded.outputs {
        let found: BTreeMap<String, String> = issued
            .outputs
            .iter()
            .map(|(key, value)| (key.clone(), value.expose_secret().to_owned()))
            .collect();
        assert_eq!(&found, outputs, "{place}: outputs");
    }
}

fn check_refusal(place: &str, (recorded, class): (&Recorded, &str), error: &Error) {
    let found = match error.class() {
        Class::Permanent if error.blames_client() => "invalidClient",
        Class::Permanent => "permanent",
        Class::Transient => "transient",
        Class::Throttled => "throttled",
        Class::Ambiguous | Class::Waiting => "neither",
    };
    assert_eq!(found, class, "{place}: {error}");
    if let Some(code) = &recorded.code {
        let shown = error.message().rsplit(": ").next().unwrap_or_default();
        assert_eq!(shown, code.to_ascii_lowercase(), "{place}");
    }
    if let Some(wait) = &recorded.retry_after {
        let wait: kube::core::Duration = wait.parse().unwrap();
        assert_eq!(error.retry_after(), Some(wait.into()), "{place}: silence");
    }
}

#[test]
fn every_document_has_a_success_and_a_refusal() {
    let cases: BTreeMap<String, Case> = cases().into_iter().collect();
    let documented: Vec<&str> = entries().keys().copied().collect();
    assert_eq!(cases.keys().map(String::as_str).collect::<Vec<_>>(), documented);
    for (name, case) in &cases {
        let refusals = case.answers.iter().filter(|recorded| recorded.class.is_some()).count();
        let successes = case.answers.len() - refusals;
        if compile(name, &case.variables).is_local() {
            assert!(case.request.jwt.is_some() && case.answers.is_empty(), "{name} asks nobody");
        } else {
            assert!(successes > 0 && refusals > 0, "{name}: {successes} and {refusals}");
        }
    }
    let verified = entries().values().filter(|entry| entry.verified.trim() != "none").count();
    assert!(verified >= 60, "{verified} documents were checked against a source");
}

#[test]
fn every_document_tells_what_it_wants() {
    for (name, case) in cases() {
        let entry = &entries()[name.as_str()];
        let endpoint = compile(&name, &case.variables);
        let own: BTreeSet<&str> = entry.credentials.keys().map(String::as_str).collect();
        let wanted: BTreeSet<&str> = match endpoint.credentials_json() {
            Some(file) => BTreeSet::from([file]),
            None => endpoint.needs().credentials().collect(),
        };
        assert_eq!(own, wanted, "{name}: credentials");
        for (variable, input) in &entry.inputs {
            assert!(!input.description.is_empty(), "{name}: {variable}");
            let told = input.example.is_some() || input.default.is_some();
            assert!(told, "{name}: {variable} has no example");
        }
    }
}
