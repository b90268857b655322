//! What the tests of this folder share.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{HeaderMap, HeaderName};
use secrecy::{ExposeSecret, SecretBox};
use serde_json::Value;

use super::answer::Answer;
use super::credentials::Credentials;
use super::endpoint::{Endpoint, Provenance};
use super::occasion::{ENTROPY, Occasion};
use super::request::{Asking, TokenRequest};
use super::response::Issued;
use super::supplies::Supplies;
use crate::catalogue::merge;
use crate::error::Error;

/// Bytes that every encoding must carry unharmed.
pub(super) const HARD: &str = "a:b%2F+&/=\"\\ é€{{ host }}#?;";

/// What an `OAuthProvider` with this spec (JSON or YAML) compiles to.
pub(super) fn compile(spec: &str) -> Result<Endpoint, Error> {
    let document =
        serde_json::from_str(spec).unwrap_or_else(|_| serde_yaml::from_str(spec).unwrap());
    Endpoint::compile(merge(&document)?, Provenance::Namespaced)
}

pub(super) fn endpoint(spec: &str) -> Endpoint {
    compile(spec).unwrap_or_else(|error| panic!("{error}: {spec}"))
}

pub(super) fn credentials(values: &[(&str, &str)]) -> Credentials {
    let bytes = |value: &str| SecretBox::new(Box::new(value.as_bytes().to_vec()));
    let values = values.iter().map(|(key, value)| ((*key).to_owned(), bytes(value))).collect();
    Credentials::new("web/client", values)
}

/// The usual two.
pub(super) fn client() -> Credentials {
    credentials(&[("client_id", "editor-sync"), ("client_secret", HARD)])
}

pub(super) fn asking(parameters: &[(&str, &str)]) -> Asking {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Asking { parameters: parameters.iter().map(owned).collect(), ..Asking::default() }
}

pub(super) fn supplies(credentials: Credentials) -> Supplies {
    Supplies { credentials, ..Supplies::default() }
}

/// The occasion of every test's request.
pub(super) fn occasion() -> Occasion {
    let mut entropy = [0; ENTROPY];
    entropy.iter_mut().zip(0..).for_each(|(byte, value)| *byte = value);
    Occasion { now: sent_at(), entropy, metadata: None }
}

/// What is asked with these credentials and nothing else.
pub(super) fn requested(
    endpoint: &Endpoint,
    credentials: Credentials,
) -> Result<TokenRequest, Error> {
    endpoint.request(&Asking::default(), &supplies(credentials), &occasion())
}

/// What is asked with these credentials.
pub(super) fn ask(
    endpoint: &Endpoint,
    asking: &Asking,
    credentials: Credentials,
) -> Result<TokenRequest, Error> {
    endpoint.request(asking, &supplies(credentials), &occasion())
}

/// What an answer comes to that was asked for with these credentials.
pub(super) fn read_with(
    endpoint: &Endpoint,
    answer: &Answer,
    credentials: Credentials,
) -> Result<Issued, Error> {
    endpoint.read(answer, &Asking::default(), &supplies(credentials))
}

/// What an answer comes to.
pub(super) fn answered(endpoint: &Endpoint, answer: &Answer) -> Result<Issued, Error> {
    endpoint.read(answer, &Asking::default(), &supplies(client()))
}

pub(super) fn header<'a>(request: &'a TokenRequest, name: &str) -> Option<&'a str> {
    request.headers.get(name).map(|value| std::str::from_utf8(value.as_bytes()).unwrap())
}

pub(super) fn body(request: &TokenRequest) -> Option<&str> {
    request.body.as_ref().map(|body| std::str::from_utf8(body.expose_secret()).unwrap())
}

/// The moment at which every test sends its request.
pub(super) fn sent_at() -> DateTime<Utc> {
    "2026-11-21T20:24:00.5Z".parse().unwrap()
}

pub(super) fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let header = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())
    };
    Answer {
        status,
        headers: headers.iter().map(header).collect::<HeaderMap>(),
        body: SecretBox::new(Box::new(body.to_vec())),
        sent_at: sent_at(),
        received_at: sent_at() + TimeDelta::seconds(2),
    }
}

pub(super) fn json_answer(status: u16, headers: &[(&str, &str)], body: &Value) -> Answer {
    answer(status, headers, body.to_string().as_bytes())
}
