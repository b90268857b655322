//! How a run is told.

use std::fmt::Write;

use super::trace::{Step, Try, Understood};
use super::words;
use crate::api::annotations::format_time;
use crate::decide::Pace;
use crate::error::Error;
use crate::oauth::{Endpoint, ShownJwt, ShownRequest};

/// Before what is told.
const MARGIN: usize = 13;

/// What came of one token, and how.
#[derive(Clone, Debug)]
pub struct Story {
    text: String,
    good: bool,
}

impl Story {
    /// Whether a token was had.
    pub fn is_good(&self) -> bool {
        self.good
    }
}

impl std::fmt::Display for Story {
    /// Lines for people; nothing in them is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Tells a story line by line.
#[derive(Debug)]
pub(super) struct Teller(String);

impl Teller {
    /// Begins with a token's name.
    pub(super) fn new(title: &str) -> Self {
        Self(format!("OAuthClientToken {title}\n"))
    }

    /// A line under a label; further lines of it are below.
    pub(super) fn line(&mut self, label: &str, text: &str) {
        let mut label = label;
        for line in text.lines() {
            let line = line.replace(|c: char| c.is_control(), "");
            // Nothing can fail in a String.
            let _ = writeln!(self.0, "  {label:<width$}{line}", width = MARGIN - 2);
            label = "";
        }
    }

    pub(super) fn good(self) -> Story {
        Story { text: self.0, good: true }
    }

    pub(super) fn bad(self) -> Story {
        Story { text: self.0, good: false }
    }

    /// How the client proves who it is.
    pub(super) fn client(&mut self, endpoint: &Endpoint) {
        if endpoint.is_local() {
            return;
        }
        let methods = endpoint.client_authentication().iter();
        let methods: Vec<&str> = methods.map(|method| words::authentication(*method)).collect();
        self.line("client", &format!("proves itself {}", methods.join(" and ")));
    }

    /// What happened.
    pub(super) fn steps(&mut self, steps: &[Step]) {
        let tries = steps.iter().filter(|step| matches!(step, Step::Try(_))).count();
        let mut number = 0;
        for step in steps {
            match step {
                Step::Discovery { url, answer } => {
                    let came = match answer {
                        Ok(status) => format!("HTTP {status}"),
                        Err(error) => error.clone(),
                    };
                    self.line("discovery", &format!("GET {url}: {came}"));
                }
                Step::Try(one) => {
                    number += 1;
                    if tries > 1 {
                        self.line("", &format!("try {number} of {tries}{}", difference(one)));
                    }
                    self.attempt(one);
                }
            }
        }
    }

    fn attempt(&mut self, one: &Try) {
        if let Some(request) = &one.request {
            self.request(request);
        }
        let Some(answer) = &one.answer else { return };
        self.line("answer", &format!("HTTP {}", answer.status));
        for (name, value) in &answer.headers {
            self.line("", &format!("{name}: {value}"));
        }
        self.line("", &answer.body);
    }

    fn request(&mut self, request: &ShownRequest) {
        let nobody = "nobody: the token is signed here";
        self.line("asks", request.line.as_deref().unwrap_or(nobody));
        for (name, value) in &request.headers {
            self.line("", &format!("{name}: {value}"));
        }
        for (name, value) in &request.parameters {
            self.line("", &format!("{name}={value}"));
        }
        for ShownJwt { field, header, claims } in &request.assertions {
            let object = |map: &serde_json::Map<_, _>| serde_json::Value::from(map.clone());
            self.line("signed", &format!("{field}: header {}", object(header)));
            self.line("", &format!("claims {}", object(claims)));
        }
    }

    /// What a token is, and when it would be refreshed.
    pub(super) fn token(&mut self, it: &Understood, pace: Pace) {
        let kind = match &it.token.claims {
            None => "opaque".to_owned(),
            Some(claims) => {
                let told: Vec<String> =
                    claims.iter().map(|(name, value)| format!("{name} {value}")).collect();
                format!("a JWT: {}", told.join(", "))
            }
        };
        self.line("token", &format!("{} characters, {kind}", it.token.length));
        self.line("type", it.token_type.as_deref().unwrap_or("not told"));
        let scopes = it.scopes.join(" ");
        self.line("scope", if scopes.is_empty() { "not told" } else { &scopes });
        let life = it.life.expires_at - it.life.issued_at;
        let until = format_time(it.life.expires_at);
        self.line("lives", &format!("{}, until {until}", words::span(life)));
        self.refresh(it, pace);
        if !it.token.outputs.is_empty() {
            self.line("outputs", &it.token.outputs.join(", "));
        }
    }

    fn refresh(&mut self, it: &Understood, pace: Pace) {
        let (from, to) = (it.life.issued_at, it.life.expires_at);
        let life = to - from;
        let (lead, wanted) = (pace.lead(life), pace.wanted_lead());
        let due = pace.refresh_at(from, to);
        let why = if due < to - lead - lead / 20 {
            "limits.maxInterval after it was issued".to_owned()
        } else if pace.new_token_at(to) == Some(due) {
            "when the provider gives another one (limits.sameTokenUntil)".to_owned()
        } else {
            let before = words::span(lead);
            let why = match lead.cmp(&wanted) {
                _ if pace.lead.is_some() => "spec.refresh.lead".to_owned(),
                std::cmp::Ordering::Greater => "a fifth of its life".to_owned(),
                std::cmp::Ordering::Equal => {
                    "what a mounted volume, further tries and clocks want".to_owned()
                }
                std::cmp::Ordering::Less => format!(
                    "half of its life, which is too short for the {} that a mounted volume, further \
                     tries and clocks want",
                    words::span(wanted)
                ),
            };
            format!("{before} before its end ({why})")
        };
        let floor = words::span(pace.floor(life));
        let due = format_time(due.max(from + pace.floor(life)));
        self.line("refresh", &format!("about {due}, {why}; never within {floor} of the last"));
    }

    /// What went wrong, what tokenward would do, what the provider said and what helps.
    pub(super) fn failure(&mut self, error: &Error, (steps, mends): (&[Step], &[String])) {
        self.line("failed", &format!("{}: {error}", error.reason().as_str()));
        self.line("", &words::class(error));
        let mut answers = steps.iter().filter_map(|step| match step {
            Step::Try(one) => one.answer.as_ref(),
            Step::Discovery { .. } => None,
        });
        if let Some(answer) = answers.next_back() {
            let said: Vec<&str> =
                [&answer.code, &answer.message].into_iter().flatten().map(String::as_str).collect();
            if !said.is_empty() {
                self.line("said", &said.join(": "));
            }
        }
        let mut label = "mend";
        for mend in mends {
            self.line(label, mend);
            label = "or";
        }
    }
}

/// What a try does otherwise than the one before.
fn difference(one: &Try) -> String {
    let key = one.secret_key.as_ref().map(|key| format!(", with the secret under {key:?}"));
    let skew = (!one.skew.is_zero()).then(|| ", by the provider's clock".to_owned());
    [key, skew].into_iter().flatten().collect()
}
