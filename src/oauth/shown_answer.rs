//! An answer as it may be shown to the person who tries a grant out: its shape, and of its text
//! only what RFC 6749 has people read. Nothing that touches a secret, and nothing that looks like
//! one.

use std::collections::BTreeSet;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderName, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::Url;

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::jwt;
use super::life::number;
use super::places::{Places, scalar};
use super::response::Issued;
use super::secrets::{Secrets, characters, redacted};
use super::supplies::Supplies;

/// Longest text that is shown.
const LONGEST: usize = 400;
/// Longest run of letters and digits of all kinds that is no token.
const WORD: usize = 24;
/// What most answers keep there; shown beside what the document names.
const USUAL: [&str; 4] = ["/error", "/error_description", "/token_type", "/scope"];

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Empty,
    /// JSON.
    Json,
    /// A page for people.
    Html,
    /// Anything else.
    Other,
}

/// An answer as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownAnswer {
    /// HTTP status.
    pub status: u16,
    /// Those of interest.
    pub headers: Vec<(&'static str, String)>,
    /// What the body is.
    pub content: Content,
    /// The shape of the body.
    pub body: String,
    /// The error code, where the document looks for it.
    pub code: Option<String>,
    /// The words beside it.
    pub message: Option<String>,
    /// The host that a redirect leads to.
    pub redirect: Option<String>,
    /// Where something lies that looks like a token, the likeliest first; JSON Pointers.
    pub tokens: Vec<String>,
    /// Where something lies that looks like an expiry, and the kind that would read it.
    pub expiries: Vec<(String, &'static str)>,
}

impl Endpoint {
    /// An answer as it may be shown. `issued` is what it was understood to hold.
    pub fn show_answer(
        &self,
        answer: &Answer,
        (supplies, issued): (&Supplies, Option<&Issued>),
    ) -> ShownAnswer {
        let outputs = issued.iter().flat_map(|issued| issued.outputs.values());
        let own = issued
            .iter()
            .flat_map(|issued| std::iter::once(&issued.access_token).chain(&issued.refresh_token));
        let secrets: Vec<&SecretString> = supplies.values().chain(own).chain(outputs).collect();
        let view = View { endpoint: self, secrets: Secrets::new(secrets.into_iter()) };
        let json = answer.json();
        let text = String::from_utf8_lossy(answer.body.expose_secret());
        let content = content(&text, json.as_ref());
        let find = |places: &Places| {
            let found = places.pointers().find_map(|at| json.as_ref()?.pointer(at));
            found.and_then(scalar).filter(|text| !text.is_empty()).map(|text| view.text(&text))
        };
        let mut lookalikes = Lookalikes::default();
        if let Some(json) = &json {
            lookalikes.look(json, &mut String::new());
        }
        let mut tokens: Vec<_> = lookalikes.tokens.into_iter().map(|(_, at)| at).collect();
        tokens.retain(|at| !view.secrets.touch(at));
        lookalikes.expiries.retain(|(at, _)| !view.secrets.touch(at));
        ShownAnswer {
            status: answer.status,
            headers: view.headers(answer),
            content,
            body: match &json {
                Some(json) => shape(&view.json(json, &mut String::new())),
                None => described(content, &text),
            },
            code: find(&self.errors.code),
            message: find(&self.errors.message),
            redirect: redirect(answer).filter(|host| !view.secrets.touch(host)),
            tokens,
            expiries: lookalikes.expiries,
        }
    }
}

struct View<'a> {
    endpoint: &'a Endpoint,
    secrets: Secrets<'a>,
}

impl View<'_> {
    fn headers(&self, answer: &Answer) -> Vec<(&'static str, String)> {
        let shown: [(&'static str, HeaderName); 3] =
            [("date", DATE), ("content-type", CONTENT_TYPE), ("retry-after", RETRY_AFTER)];
        let text = |name: &HeaderName| answer.headers.get(name)?.to_str().ok();
        let mut headers: Vec<_> = shown
            .iter()
            .filter_map(|(label, name)| Some((*label, self.text(text(name)?))))
            .collect();
        let scheme = text(&WWW_AUTHENTICATE).and_then(|value| value.split(' ').next());
        headers.extend(scheme.map(|scheme| ("www-authenticate", self.text(scheme))));
        headers
    }

    /// Text for people, without what is or looks like a secret.
    fn text(&self, text: &str) -> String {
        // First of all: what control characters part is a secret again without them.
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if self.secrets.touch(&text) {
            return "<redacted: it quotes a secret>".to_owned();
        }
        let words = text.split(' ').map(|word| match is_token(word) {
            true => redacted(word.chars().count()),
            false => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect()
    }

    fn json(&self, value: &Value, at: &mut String) -> Value {
        match value {
            Value::Number(_) if self.hides(at) || self.secrets.touch(&value.to_string()) => {
                "<number>".into()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
            Value::String(text) if self.shows(at) => self.text(text).into(),
            Value::String(text) => format!("<string, {}>", characters(text.chars().count())).into(),
            Value::Array(items) => {
                let items = items.iter().enumerate();
                items
                    .map(|(i, item)| within(at, &i.to_string(), |at| self.json(item, at)))
                    .collect()
            }
            Value::Object(members) => {
                let mut shown = Map::new();
                for (name, member) in members {
                    let value = within(at, name, |at| self.json(member, at));
                    shown.insert(self.text(name), value);
                }
                Value::Object(shown)
            }
        }
    }

    /// Whether what people are meant to read lies there.
    fn shows(&self, at: &str) -> bool {
        let Endpoint { response, errors, .. } = self.endpoint;
        let places = [&response.token_type, &response.scope, &errors.code, &errors.message];
        let mut shown = places.into_iter().flat_map(Places::pointers).chain(USUAL);
        let of_scopes = response
            .scope
            .pointers()
            .any(|scope| at.strip_prefix(scope).is_some_and(|rest| rest.starts_with('/')));
        !self.hides(at) && (of_scopes || shown.any(|place| place == at))
    }

    /// Whether a secret lies there, whatever it looks like.
    fn hides(&self, at: &str) -> bool {
        let response = &self.endpoint.response;
        let mut hidden = response.token.pointers().chain(response.refresh_token.pointers());
        hidden.any(|place| place == at) || response.output_pointers().any(|place| place == at)
    }
}

/// Runs `then` with a pointer to a member.
fn within<T>(at: &mut String, name: &str, then: impl FnOnce(&mut String) -> T) -> T {
    let length = at.len();
    at.push('/');
    at.push_str(&name.replace('~', "~0").replace('/', "~1"));
    let done = then(at);
    at.truncate(length);
    done
}

/// In a line where it is short, else on lines of their own, and not without end.
fn shape(value: &Value) -> String {
    const LINE: usize = 88;
    const LINES: usize = 40;
    let line = value.to_string();
    if line.chars().count() <= LINE {
        return line;
    }
    let all = serde_json::to_string_pretty(value).unwrap_or(line);
    let mut lines: Vec<&str> = all.lines().collect();
    if lines.len() > LINES {
        lines.truncate(LINES);
        lines.push("…");
    }
    lines.join("\n")
}

fn content(text: &str, json: Option<&Value>) -> Content {
    let begin = text.trim_start().get(..14).unwrap_or(text.trim_start()).to_ascii_lowercase();
    match json {
        Some(_) => Content::Json,
        None if text.trim().is_empty() => Content::Empty,
        None if begin.starts_with("<!doctype html") || begin.starts_with("<html") => Content::Html,
        None => Content::Other,
    }
}

fn described(content: Content, text: &str) -> String {
    let what = match content {
        Content::Empty => return "no body".to_owned(),
        Content::Html => "an HTML page",
        Content::Json | Content::Other => "no JSON",
    };
    format!("<{what}, {} bytes>", text.len())
}

/// The host of the target alone: its path and query may be anything.
fn redirect(answer: &Answer) -> Option<String> {
    let target = answer.headers.get(LOCATION)?.to_str().ok()?;
    let target = Url::parse(target).ok()?;
    target.host_str().map(str::to_owned).filter(|host| !is_token(host))
}

/// Whether a text holds a run of characters such as tokens and keys are made of.
fn is_token(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+' | '=');
    text.split(|c| !is_part(c)).any(|run| {
        let has = |kind: fn(&char) -> bool| run.chars().any(|c| kind(&c));
        let mixed = has(char::is_ascii_uppercase)
            && has(char::is_ascii_lowercase)
            && has(char::is_ascii_digit);
        let hex = run.chars().all(|c| c.is_ascii_hexdigit());
        run.len() >= WORD && (mixed || hex || run.starts_with("eyJ"))
    })
}

/// What lies where nobody looks for it.
#[derive(Default)]
struct Lookalikes {
    /// Sorted by how likely it is.
    tokens: BTreeSet<(u8, String)>,
    expiries: Vec<(String, &'static str)>,
}

impl Lookalikes {
    fn look(&mut self, value: &Value, at: &mut String) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    within(at, name, |at| {
                        self.member(&name.to_ascii_lowercase(), member, at);
                        self.look(member, at);
                    });
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    within(at, &index.to_string(), |at| self.look(item, at));
                }
            }
            _ => {}
        }
    }

    fn member(&mut self, name: &str, value: &Value, at: &str) {
        // A pointer that is longer names something of the provider's making.
        if at.len() > 100 {
            return;
        }
        if let Some(kind) = expiry_kind(name, value) {
            self.expiries.push((at.to_owned(), kind));
        }
        let Some(text) = value.as_str() else { return };
        let token_like = text.len() >= 16 && !text.contains(char::is_whitespace);
        let is_jwt = jwt::claims(text).is_some();
        let rank = match name {
            "access_token" | "accesstoken" => 0,
            "token" | "jwt" => 1,
            _ if ["refresh", "id_token", "type", "scope", "error"]
                .iter()
                .any(|n| name.contains(n)) =>
            {
                return;
            }
            _ if name.contains("token") => 2,
            _ if is_jwt => 3,
            _ => return,
        };
        if token_like || is_jwt {
            self.tokens.insert((rank, at.to_owned()));
        }
    }
}

/// The kind that reads an expiry of such a name and value.
fn expiry_kind(name: &str, value: &Value) -> Option<&'static str> {
    const NAMES: [&str; 6] = ["expir", "ttl", "lifetime", "valid", "max_age", "not_after"];
    if !NAMES.iter().any(|known| name.contains(known)) || name.contains("refresh") {
        return None;
    }
    match number(value) {
        Some(100_000_000_000..) => Some("epochMilliseconds"),
        Some(1_000_000_000..) => Some("epochSeconds"),
        Some(1..) => Some("seconds"),
        Some(_) => None,
        None => {
            let text = value.as_str()?;
            chrono::DateTime::parse_from_rfc3339(text).is_ok().then_some("rfc3339")
        }
    }
}

#[cfg(test)]
#[path = "shown_answer_tests.rs"]
mod tests;
