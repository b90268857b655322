//! Reading an answer. Pure; every error says what was wrong and nothing of what was there.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::answer::Answer;
use super::assertion::AssertionTemplate;
use super::endpoint::Endpoint;
use super::life::{Unit, duration, life, number};
use super::occasion::Occasion;
use super::places::{Places, Reading, scalar, text};
use super::request::Asking;
use super::rules::OutputRule;
use super::secrets::Secrets;
use super::supplies::{Renewed, Supplies};
use super::template::Name;
use super::values::Values;
use super::{errors, expectations};
use crate::error::{Error, Reason};

/// A token, fresh from its provider.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub access_token: SecretString,
    /// As the provider says (RFC 6749 section 7.1).
    pub token_type: Option<String>,
    /// As the provider says, where it says so.
    pub scopes: Vec<String>,
    /// When it was asked for and when it expires, by our clock.
    pub life: Life,
    /// Further keys of the target.
    pub outputs: BTreeMap<String, SecretString>,
    /// The refresh token for the next time, where there is a new one.
    pub refresh_token: Option<SecretString>,
    /// What is not as it was asked for or declared, for people.
    pub warnings: Vec<String>,
}

/// A token's time, by our clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Just before the request was sent.
    pub issued_at: DateTime<Utc>,
    /// Always later.
    pub expires_at: DateTime<Utc>,
}

/// The end of a refresh token that is this near is warned of.
const SOON: TimeDelta = TimeDelta::days(7);

impl Endpoint {
    /// Reads an answer: a token, or what the refusal means.
    pub fn read(
        &self,
        answer: &Answer,
        asking: &Asking,
        supplies: &Supplies,
    ) -> Result<Issued, Error> {
        let reading = Reading::new(answer);
        if !self.response.success_status.contains(&answer.status) {
            return Err(errors::read(self, &reading));
        }
        if self.response.token.need_json() && !reading.is_object() {
            return Err(invalid(format!(
                "the answer (HTTP {}) is not a JSON object",
                answer.status
            )));
        }
        if !self.succeeded(&reading) {
            return Err(errors::read(self, &reading));
        }
        let Some(token) = reading.find(&self.response.token, text) else {
            return Err(errors::read_success(self, &reading).unwrap_or_else(|| {
                let at = &self.response.token;
                invalid(format!("the answer holds no token (a non-empty string at {at})"))
            }));
        };
        if token.chars().any(char::is_control) {
            return Err(invalid("the token holds a control character"));
        }
        let token = SecretString::from(token);
        let life = life(&self.response.expiry, (&reading, &token))?;
        let outputs = self.outputs(&reading, &token)?;
        let secrets = Secrets::new(supplies.values().chain([&token]).chain(outputs.values()));
        let token_type = self.token_type(&reading).filter(|text| !secrets.touch(text));
        let scopes = scopes(&reading, &self.response.scope);
        let told = expectations::Told {
            token: &token,
            token_type: token_type.as_deref(),
            scopes: &scopes,
        };
        let mut warnings = expectations::warnings(self, asking, told);
        warnings.extend(self.end_of_refresh_token(&reading));
        Ok(Issued {
            warnings,
            token_type,
            scopes: scopes.into_iter().filter(|scope| !secrets.touch(scope)).collect(),
            refresh_token: self.refresh_token(&reading),
            life,
            outputs,
            access_token: token,
        })
    }

    /// What an answer renews that is no refusal, even where nothing else of it can be read: what was
    /// sent is used up.
    pub fn renewed(&self, answer: &Answer) -> Renewed {
        if !self.renews() || !(200..300).contains(&answer.status) {
            return Renewed::default();
        }
        let reading = Reading::new(answer);
        let token = reading.find(&self.response.token, text).filter(|_| self.needs.current);
        Renewed {
            refresh_token: self.refresh_token(&reading),
            access_token: token.map(SecretString::from),
        }
    }

    /// Signs the token itself, where nobody is asked for it.
    pub fn sign(
        &self,
        asking: &Asking,
        (supplies, occasion): (&Supplies, &Occasion),
    ) -> Result<Issued, Error> {
        self.check(asking)?;
        let mut values = Values::new(self, asking, (supplies, occasion));
        values.mint()?;
        let lifetime = self.assertion.as_ref().map(AssertionTemplate::lifetime);
        let (Some(access_token), Some(lifetime)) = (values.into_assertion(), lifetime) else {
            return Err(invalid("nothing was signed"));
        };
        let issued_at = occasion.now;
        Ok(Issued {
            life: Life { issued_at, expires_at: issued_at + lifetime },
            access_token,
            token_type: None,
            scopes: Vec::new(),
            outputs: BTreeMap::new(),
            refresh_token: None,
            warnings: Vec::new(),
        })
    }

    /// Whether everything holds that must, beside the status.
    fn succeeded(&self, reading: &Reading<'_>) -> bool {
        self.response.success.iter().all(|(place, condition)| {
            match reading.at(place).as_deref().map(scalar) {
                Some(Some(found)) => condition.one_of.contains(&found),
                Some(None) => false,
                None => condition.may_be_absent,
            }
        })
    }

    fn token_type(&self, reading: &Reading<'_>) -> Option<String> {
        let is_type = |text: &String| {
            (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic() || c == ' ')
        };
        reading.find(&self.response.token_type, |value| text(value).filter(is_type))
    }

    /// Warns of a refresh token that ends soon: nothing but a person's consent gives another one.
    fn end_of_refresh_token(&self, reading: &Reading<'_>) -> Option<String> {
        let seconds = reading.find(&self.response.refresh_token_expires_in, number)?;
        let remaining = duration(seconds, Unit::Seconds);
        let end = reading.answer.sent_at + remaining;
        (self.renews() && remaining < SOON).then(|| {
            let day = end.format("%Y-%m-%d");
            format!("the refresh token itself ends on {day}: a new consent gives another one")
        })
    }

    fn refresh_token(&self, reading: &Reading<'_>) -> Option<SecretString> {
        let is_one = |text: &String| !self.response.ignored_refresh_tokens.contains(text);
        let found = reading.find(&self.response.refresh_token, |v| text(v).filter(is_one));
        found.filter(|_| self.renews()).map(SecretString::from)
    }

    /// The further keys: what is found first, then what is made of it.
    fn outputs(
        &self,
        reading: &Reading<'_>,
        token: &SecretString,
    ) -> Result<BTreeMap<String, SecretString>, Error> {
        let mut outputs = BTreeMap::new();
        for (name, rule) in &self.response.outputs {
            let OutputRule::Found { at, required } = rule else { continue };
            let filled = |value: &Value| scalar(value).filter(|text| !text.is_empty());
            match reading.find(at, filled) {
                Some(value) => drop(outputs.insert(name.clone(), SecretString::from(value))),
                None if *required => {
                    return Err(invalid(format!("the answer holds no {name} (at {at})")));
                }
                None => {}
            }
        }
        let token_type = self.token_type(reading).unwrap_or_default();
        let mut made = BTreeMap::new();
        for (name, rule) in &self.response.outputs {
            let OutputRule::Made(template) = rule else { continue };
            let text = template.render(|name| match name {
                Name::Variable(name) => self.variable(name),
                Name::Output(name) if name == "access_token" => token.expose_secret(),
                Name::Output(name) if name == "token_type" => &token_type,
                Name::Output(name) => outputs.get(name).map_or("", |found| found.expose_secret()),
                _ => "",
            });
            made.insert(name.clone(), SecretString::from(text));
        }
        outputs.append(&mut made);
        Ok(outputs)
    }
}

fn scopes(reading: &Reading<'_>, places: &Places) -> Vec<String> {
    let is_scope =
        |text: &&str| (1..=256).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    let split = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            Some(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        }
        _ => None,
    };
    let found = reading.find(places, split).unwrap_or_default();
    found.split([' ', ',']).filter(is_scope).take(64).map(str::to_owned).collect()
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Reason::InvalidResponse, message)
}

#[cfg(test)]
#[path = "response_tests.rs"]
mod tests;
