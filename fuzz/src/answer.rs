//! Answers of token endpoints: a line with the endpoint's name, then the answer.

use std::sync::LazyLock;

use chrono::TimeDelta;
use secrecy::ExposeSecret;
use serde_json::json;
use tokenward::api::ProviderDocument;
use tokenward::catalogue::{Input, merge, names};
use tokenward::error::Error;
use tokenward::oauth::{Answer, Asking, Endpoint, Issued, Occasion, ShownToken, Supplies};

use super::shared;

/// What the catalogue has none of, or not all of.
const OWN: &[(&str, &str)] = &[
    ("plain", "{}"),
    ("refresh", "{grant: refresh_token, response: {ignoredRefreshTokens: [none, '']}}"),
    ("signed", "{clientAuthentication: [client_secret_jwt]}"),
    (
        "conditions",
        "{response: {successStatus: [200, 201], success: [{at: /code, oneOf: ['0'], mayBeAbsent: \
         true}, {at: 'header:x-state', oneOf: [ok, 'true']}], expiry: {default: 1h}}, errors: {code: \
         [/code, /error/code], message: [/message, body], rules: [{code: ['40013'], class: \
         invalidClient}, {header: {name: x-quota, value: '0'}, class: throttled, wait: 15m}, \
         {message: expired, class: permanent}, {status: [418], class: throttled}]}}",
    ),
    (
        "outputs",
        "{variables: {region: eu}, response: {expiry: {default: 1h}, outputs: {url: {at: [/url, \
         'header:x-url'], required: true}, id: {at: [/id]}, line: {value: '{{ region }} {{ \
         outputs.access_token }} {{ outputs.url }} {{ outputs.token_type }}'}}}}",
    ),
    ("milliseconds", "{response: {expiry: {kind: milliseconds, zeroMeansNever: true, max: 720h}}}"),
    ("issued-seconds", "{response: {expiry: {issuedAt: {kind: epochSeconds, at: [/issued_at]}}}}"),
    (
        "issued-milliseconds",
        "{response: {expiry: {kind: milliseconds, issuedAt: {kind: epochMilliseconds, at: \
         [/issued_at, 'header:x-issued-at']}}}}",
    ),
    (
        "issued-rfc3339",
        "{response: {expiry: {zeroMeansNever: true, issuedAt: {kind: rfc3339, at: [/issued_at]}}}}",
    ),
    ("epoch-seconds", "{response: {expiry: {kind: epochSeconds, at: [/expires_in, /exp]}}}"),
    ("epoch-milliseconds", "{response: {expiry: {kind: epochMilliseconds}}}"),
    ("rfc3339", "{response: {expiry: {kind: rfc3339, at: ['header:expires', /expires_in]}}}"),
    ("date", "{response: {expiry: {kind: date, max: 48h}}}"),
    ("none", "{response: {expiry: {kind: none, default: 10m}}}"),
    (
        "jwt",
        "{response: {expiry: {kind: jwt}, expect: {tokenType: Bearer, issuer: 'https://id.example', \
         audience: api}}}",
    ),
    (
        "header",
        "{response: {token: ['header:x-subject-token'], expiry: {kind: rfc3339, at: [/expires]}}}",
    ),
    ("body", "{response: {token: [body], expiry: {kind: jwt, default: 5m}}}"),
];

struct Subject {
    endpoint: Endpoint,
    supplies: Supplies,
    asking: Asking,
    /// The document as it was merged, whose words an error may quote.
    words: String,
    /// The longest silence that a rule of the document asks for.
    longest_wait: std::time::Duration,
}

static SUBJECTS: LazyLock<Vec<(String, Subject)>> = LazyLock::new(|| {
    let own = OWN.iter().map(|(name, spec)| {
        let mut document: ProviderDocument =
            serde_yaml::from_str(spec).unwrap_or_else(|error| panic!("{name}: {error}"));
        document.request.get_or_insert_default().url = Some("https://id.example/token".to_owned());
        ((*name).to_owned(), document)
    });
    let presets = names().map(|name| (name.to_owned(), preset(name)));
    own.chain(presets).map(|(name, document)| (name, Subject::new(&document))).collect()
});

/// A document of the catalogue with the values that it gives as examples.
fn preset(name: &str) -> ProviderDocument {
    let mut document = ProviderDocument { preset: Some(name.to_owned()), ..Default::default() };
    let merged = merge(&document).unwrap_or_else(|error| panic!("{name}: {error}"));
    let value = |input: &Input| input.example.clone().or_else(|| input.default.clone());
    let inputs = merged.inputs.iter();
    document.variables =
        inputs.filter_map(|(name, input)| Some((name.clone(), value(input)?))).collect();
    document
}

impl Subject {
    fn new(document: &ProviderDocument) -> Self {
        let merged = merge(document).unwrap_or_else(|error| panic!("{error}: {document:?}"));
        let errors = merged.document.errors.clone().unwrap_or_default();
        let waits = errors.rules.iter().flatten().filter_map(|rule| rule.wait);
        // And where things are that it says nothing of.
        let words = json!([merged.document, "/access_token", "/expires_in"]).to_string();
        let endpoint = shared::compile(document).unwrap_or_else(|error| {
            panic!("{error}: {}", document.preset.as_deref().unwrap_or(""))
        });
        Self {
            supplies: shared::supplies(&endpoint),
            asking: shared::asking(&endpoint),
            endpoint,
            words,
            longest_wait: waits.map(std::time::Duration::from).max().unwrap_or_default(),
        }
    }

    fn check(&self, answer: &Answer) {
        let read = self.endpoint.read(answer, &self.asking, &self.supplies);
        self.check_shown(answer, read.as_ref().ok());
        match read {
            Ok(issued) => check_token(&issued),
            Err(error) => self.check_error(answer, &error),
        }
    }

    /// What is shown to the person who tries it out holds neither the client's secret nor the token.
    fn check_shown(&self, answer: &Answer, issued: Option<&Issued>) {
        let shown = self.endpoint.show_answer(answer, (&self.supplies, issued));
        let mut texts = vec![shown.body.clone()];
        texts.extend(shown.headers.iter().map(|(_, value)| value.clone()));
        texts.extend([&shown.code, &shown.message, &shown.redirect].into_iter().flatten().cloned());
        texts.extend(shown.tokens.iter().chain(shown.expiries.iter().map(|(at, _)| at)).cloned());
        // What stands for a text is made of words of ours, which a token may be made of as well.
        let token = issued.map(|issued| issued.access_token.expose_secret());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        let token = token.filter(|token| token.chars().all(is_plain));
        for text in &texts {
            shared::assert_hidden(text, shared::SECRET.as_bytes());
            shared::assert_hidden(text, token.unwrap_or_default().as_bytes());
        }
        let Some(issued) = issued else { return };
        let shown = format!("{:?}", ShownToken::of(issued, &self.supplies));
        shared::assert_hidden(&shown, shared::SECRET.as_bytes());
    }

    fn check_error(&self, answer: &Answer, error: &Error) {
        shared::assert_ours(error.message(), (answer.status, &self.words));
        let longest = self.longest_wait.max(std::time::Duration::from_hours(1));
        assert!(error.retry_after().unwrap_or_default() <= longest, "{:?}", error.retry_after());
        // Whoever signs asks again by the provider's clock.
        let signs = self.endpoint.signs() && !self.endpoint.is_local();
        if let Some(skew) = answer.clock_skew().filter(|_| signs) {
            let now = answer.received_at + TimeDelta::hours(1) + skew;
            let occasion = Occasion { now, ..shared::occasion() };
            let _ = self.endpoint.request(&self.asking, &self.supplies, &occasion);
        }
    }
}

fn check_token(issued: &Issued) {
    shared::assert_good(issued);
    let token = issued.access_token.expose_secret();
    assert!(!token.is_empty() && !token.contains(char::is_control), "{token:?}");
    for shown in issued.token_type.iter().chain(&issued.scopes) {
        assert!(shown.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{shown:?}");
        shared::assert_hidden(shown, token.as_bytes());
        shared::assert_hidden(shown, shared::SECRET.as_bytes());
        for output in issued.outputs.values() {
            shared::assert_hidden(shown, output.expose_secret().as_bytes());
        }
    }
    assert!(issued.scopes.len() <= 64);
    assert!(issued.refresh_token.as_ref().is_none_or(|token| !token.expose_secret().is_empty()));
}

/// Reads an answer.
pub fn run(data: &[u8]) {
    let (name, rest) = shared::first_line(data);
    shared::pick(&SUBJECTS, name).check(&shared::answer(rest));
}
