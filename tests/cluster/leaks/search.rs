//! Looks for secrets in text, in every guise that careless code gives them.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Bytes that are too many to be the same by chance.
const SLICE: usize = 12;

/// What must not be found.
#[derive(Default)]
pub struct Needles {
    slices: HashMap<Vec<u8>, String>,
}

impl Needles {
    /// Adds a secret in every guise. `name` is what a finding is called by.
    pub fn add(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= SLICE, "{name} is too short to be looked for");
        let json = serde_json::to_string(secret).unwrap();
        let percent = percent(secret);
        let guises = [
            ("raw", secret.to_owned()),
            ("JSON", json[1..json.len() - 1].to_owned()),
            ("debug", format!("{secret:?}")),
            ("percent", percent.to_lowercase()),
            ("percent", percent),
            ("form", url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()),
            ("bytes", format!("{:?}", secret.as_bytes()).trim_matches(['[', ']']).to_owned()),
        ];
        for (guise, text) in &guises {
            self.add_slices(&format!("{name} ({guise})"), text);
        }
        // In the middle of other bytes base64 begins at any of three places.
        for skipped in 0..3 {
            let bytes = &secret.as_bytes()[skipped..];
            let whole = &bytes[..bytes.len() - bytes.len() % 3];
            self.add_slices(&format!("{name} (base64)"), &BASE64_STANDARD.encode(whole));
            self.add_slices(&format!("{name} (base64url)"), &BASE64_URL_SAFE.encode(whole));
        }
    }

    /// Adds what HTTP Basic makes of a client.
    pub fn add_basic(&mut self, name: &str, (id, secret): (&str, &str)) {
        let form = |text: &str| -> String {
            url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
        };
        for pair in [format!("{id}:{secret}"), format!("{}:{}", form(id), form(secret))] {
            self.add_slices(&format!("{name} (Basic)"), &BASE64_STANDARD.encode(pair));
        }
    }

    fn add_slices(&mut self, name: &str, text: &str) {
        for slice in text.as_bytes().windows(SLICE) {
            self.slices.entry(slice.to_vec()).or_insert_with(|| name.to_owned());
        }
    }

    /// The names of what a text holds, each with the text around it.
    pub fn find(&self, text: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        let mut last = None;
        for (at, slice) in text.as_bytes().windows(SLICE).enumerate() {
            let Some(name) = self.slices.get(slice) else { continue };
            // One stretch is told once.
            if last.is_none_or(|last| at > last + 1) {
                let around = &text.as_bytes()[at.saturating_sub(80)..(at + 80).min(text.len())];
                found.push(format!("{name}: …{}…", String::from_utf8_lossy(around)));
            }
            last = Some(at);
        }
        found
    }
}

/// Percent-escaped as strictly as can be.
pub fn percent(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[test]
fn every_guise_is_found_and_nothing_else() {
    let secret = "hJ5=fO/3%41&z\"pU8+iE\\oXaBlKw7Gy";
    let mut needles = Needles::default();
    needles.add("s", secret);
    needles.add_basic("b", ("svc:reports", secret));
    let found = |text: &str| !needles.find(text).is_empty();
    let encoded = |bytes: &str| BASE64_STANDARD.encode(bytes);
    for leak in [
        secret.to_owned(),
        secret[9..21].to_owned(),
        format!("x{}y", &secret[..12]),
        format!("{secret:?}"),
        serde_json::json!({"a": secret}).to_string(),
        percent(secret),
        percent(&secret[2..14]),
        encoded(secret),
        encoded(&format!("{{\"token\": \"{secret}\"}}")),
        encoded(&format!("{{\"token\": .\"{secret}\"}}")),
        encoded(&format!("{{\"token\": ..\"{secret}\"}}")),
        encoded(&format!("svc:reports:{secret}")),
        encoded(&format!("svc%3Areports:{secret}")),
        BASE64_URL_SAFE.encode(secret),
        format!("{:?}", secret.as_bytes()),
    ] {
        assert!(found(&leak), "{leak}");
    }
    for harmless in ["", "svc:reports", &secret[..11], "an ordinary line of a log"] {
        assert!(!found(harmless), "{harmless}");
    }
}
