//! What the targets share.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{SecretBox, SecretString};
use tokenward::api::ProviderDocument;
use tokenward::catalogue::merge;
use tokenward::error::Error;
use tokenward::oauth::{
    Answer, Asking, Credentials, ENTROPY, Endpoint, Issued, Occasion, Provenance, Renewed,
    Supplies, TokenRequest,
};

/// The one secret of most targets: nothing that is shown may hold a piece of it.
pub const SECRET: &str = "s3cr3t+/0123456789%20abcdef";

/// No token lives longer.
pub const LONGEST: TimeDelta = TimeDelta::days(36_500);

/// What errors say of an answer, before and behind what is the document's own.
const SENTENCES: &[(&str, &str)] = &[
    ("the answer holds no token (a non-empty string at ", ")"),
    ("the answer holds no ", ")"),
    ("the token holds a control character", ""),
    ("the answer tells no expiry and the document has no response.expiry.default", ""),
    ("the token has already expired by its own account", ""),
    ("the expiry at ", " is not a number of seconds"),
    ("the expiry at ", " is not a number of milliseconds"),
    ("the expiry at ", " is not a number of seconds since 1970"),
    ("the expiry at ", " is not a number of milliseconds since 1970"),
    ("the expiry at ", " is not an RFC 3339 timestamp"),
    ("the expiry at ", " is not a day, as 2026-11-21"),
    ("the time of issue at ", " cannot be read"),
];

/// Codes that everybody knows.
const CODES: &str = "invalid_request invalid_client invalid_grant unauthorized_client \
    unsupported_grant_type invalid_scope invalid_target access_denied consent_required \
    interaction_required server_error temporarily_unavailable slow_down authorization_pending \
    expired_token invalid_dpop_proof use_dpop_nonce invalid_token insufficient_scope \
    unsupported_token_type login_required unrecognised";

/// What an `OAuthProvider` with this spec (YAML) compiles to.
pub fn endpoint(spec: &str) -> Endpoint {
    let document = serde_yaml::from_str(spec).unwrap_or_else(|error| panic!("{error}: {spec}"));
    compile(&document).unwrap_or_else(|error| panic!("{error}: {spec}"))
}

pub fn compile(document: &ProviderDocument) -> Result<Endpoint, Error> {
    Endpoint::compile(merge(document)?, Provenance::Namespaced)
}

pub fn credentials<'a>(values: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Credentials {
    let owned =
        |(key, value): (&str, &[u8])| (key.to_owned(), SecretBox::new(Box::new(value.to_vec())));
    Credentials::new("web/client", values.into_iter().map(owned).collect())
}

/// A client, and everything else that a document may take from credentials.
pub fn supplies(endpoint: &Endpoint) -> Supplies {
    let mut values: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for key in endpoint.needs().credentials() {
        values.insert(key, value(key));
    }
    Supplies {
        credentials: credentials(values),
        secret_key: None,
        tokens: endpoint
            .needs()
            .tokens()
            .map(|name| (name.to_owned(), SecretString::from(SECRET)))
            .collect(),
        service_account: Some(SECRET.into()),
        renewed: Renewed::default(),
    }
}

fn value(key: &str) -> &'static [u8] {
    match key {
        "private_key" => include_bytes!("../../tests/data/keys/es256.pem"),
        "tls.key" => include_bytes!("../../tests/data/keys/rsa.pem"),
        "tls.crt" | "ca.crt" => include_bytes!("../../tests/data/keys/certificate.pem"),
        _ => SECRET.as_bytes(),
    }
}

/// As much as the document has a place for.
pub fn asking(endpoint: &Endpoint) -> Asking {
    let needs = endpoint.needs();
    let scopes = if needs.scopes { vec!["read".to_owned(), "write".to_owned()] } else { vec![] };
    Asking {
        scopes,
        parameters: needs.parameters().map(|name| (name.to_owned(), "1".to_owned())).collect(),
        token_refs: needs.tokens().map(str::to_owned).collect(),
        service_account: needs.service_account,
        ..Asking::default()
    }
}

pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_292_640, 500_000_000).unwrap_or_default()
}

pub fn occasion() -> Occasion {
    Occasion { now: now(), entropy: [7; ENTROPY], metadata: None }
}

/// An answer as text: `STATUS`, lines `NAME: VALUE`, an empty line, the body.
pub fn answer(text: &[u8]) -> Answer {
    let end = text.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&text[..end], &text[end + 2..]),
        None => (text, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.trim().parse().ok());
    let headers = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let value = line[colon + 1..].trim_ascii();
        Some((HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(value).ok()?))
    });
    Answer {
        status: status.filter(|status| (100..=999).contains(status)).unwrap_or(200),
        headers: headers.collect::<HeaderMap>(),
        body: SecretBox::new(Box::new(body.to_vec())),
        sent_at: now(),
        received_at: now() + TimeDelta::seconds(2),
    }
}

/// Splits at the first line break.
pub fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, b""),
    }
}

/// The one of that name; for a name that is none, any.
pub fn pick<'a, T>(all: &'a [(String, T)], name: &[u8]) -> &'a T {
    let named = all.iter().find(|(known, _)| known.as_bytes() == name);
    let sum: usize = name.iter().map(|byte| usize::from(*byte)).sum();
    &named.unwrap_or(&all[sum % all.len()]).1
}

/// An error is made of our words, those of the document (`words`) and the status, and of nothing
/// else that an answer says.
pub fn assert_ours(message: &str, (status, words): (u16, &str)) {
    let is_of_document = |text: &str| text.split([' ', ',', '(']).all(|part| words.contains(part));
    let sentence = SENTENCES.iter().any(|(begin, end)| {
        let middle = message.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
        middle.is_some_and(|middle| is_of_document(&middle.replace(" (at ", " ")))
    });
    let no_object = format!("the answer (HTTP {status}) is not a JSON object");
    let refusal = message.strip_prefix(&format!("the provider answered HTTP {status}"));
    let refusal = refusal.map(|rest| rest.trim_end_matches(" (redirects are not followed)"));
    let refused = refusal.is_some_and(|code| match code.strip_prefix(": ") {
        Some(code) => {
            CODES.split_whitespace().any(|known| known == code)
                || words.to_ascii_lowercase().contains(&format!("{code:?}"))
        }
        None => code.is_empty(),
    });
    assert!(sentence || refused || message == no_object, "{message:?}");
}

/// A text must hold no twelve characters of what is hidden.
pub fn assert_hidden(shown: &str, hidden: &[u8]) {
    let hidden = String::from_utf8_lossy(hidden);
    let ends: Vec<usize> = shown.char_indices().map(|(at, _)| at).chain([shown.len()]).collect();
    for span in ends.windows(13) {
        let slice = &shown[span[0]..span[12]];
        assert!(!hidden.contains(slice), "{shown:?} shows {slice:?}");
    }
}

/// What holds of every token.
pub fn assert_good(issued: &Issued) {
    let life = issued.life.expires_at - issued.life.issued_at;
    assert!(life > TimeDelta::zero() && life <= LONGEST, "{life}");
    assert_eq!(issued.life.issued_at, now());
}

/// Where a request goes; what is shown of it says the same.
pub fn origin(request: &TokenRequest) -> String {
    let origin = request.url().origin().ascii_serialization();
    let shown = format!("{request:?}");
    assert!(shown.contains(&format!("origin: {origin:?}")), "{shown}");
    origin
}
