//! How an answer is read, as a document describes it.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;

use super::places::{Place, Places};
use super::template::{Given, Name, Template, invalid};
use crate::api::{
    self, ErrorRule, ExpiryKind, IssuedAtKind, ProviderDocument, RetryAfterKind, SuccessCondition,
};
use crate::error::Error;

/// How an answer is read.
#[derive(Clone, Debug)]
pub(super) struct ResponseRules {
    pub(super) success_status: Vec<u16>,
    pub(super) success: Vec<(Place, SuccessCondition)>,
    pub(super) token: Places,
    pub(super) token_type: Places,
    pub(super) scope: Places,
    pub(super) refresh_token: Places,
    pub(super) refresh_token_expires_in: Places,
    pub(super) ignored_refresh_tokens: Vec<String>,
    pub(super) expiry: ExpiryRules,
    pub(super) outputs: BTreeMap<String, OutputRule>,
    pub(super) expect: Expected,
}

/// How a token's life is told.
#[derive(Clone, Debug)]
pub(super) struct ExpiryRules {
    pub(super) kind: ExpiryKind,
    pub(super) at: Places,
    pub(super) issued_at: Option<(IssuedAtKind, Places)>,
    pub(super) zero_means_never: bool,
    pub(super) default: Option<Duration>,
    pub(super) max: Option<Duration>,
}

/// A further key of the target.
#[derive(Clone, Debug)]
pub(super) enum OutputRule {
    Found { at: Places, required: bool },
    Made(Template),
}

/// What the token ought to be.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    pub(super) token_type: Option<Template>,
    pub(super) issuer: Option<Template>,
    pub(super) audience: Option<Template>,
}

/// How a refusal is read.
#[derive(Clone, Debug)]
pub(super) struct ErrorRules {
    pub(super) code: Places,
    pub(super) message: Places,
    pub(super) rules: Vec<ErrorRule>,
    pub(super) retry_after: Vec<(Place, RetryAfterKind)>,
}

impl ResponseRules {
    /// Reads what a document says of an answer.
    pub(super) fn parse(document: &ProviderDocument) -> Result<Self, Error> {
        let response = document.response.clone().unwrap_or_default();
        let places = |given: &Option<Vec<String>>, (name, usual): (&str, &str)| match given {
            Some(texts) => Places::parse(texts, &format!("response.{name}")),
            None => Places::parse(&[usual.to_owned()], name),
        };
        let success = response
            .success
            .unwrap_or_default()
            .into_iter()
            .map(|condition| Ok((Place::parse(&condition.at, "response.success")?, condition)));
        let outputs = response.outputs.iter().map(|(name, output)| {
            Ok((name.clone(), OutputRule::parse(output, &format!("response.outputs.{name}"))?))
        });
        Ok(Self {
            success_status: response.success_status.unwrap_or(vec![200]),
            success: success.collect::<Result<_, Error>>()?,
            token: places(&response.token, ("token", "/access_token"))?,
            token_type: places(&response.token_type, ("tokenType", "/token_type"))?,
            scope: places(&response.scope, ("scope", "/scope"))?,
            refresh_token: places(&response.refresh_token, ("refreshToken", "/refresh_token"))?,
            refresh_token_expires_in: Places::parse(
                &response.refresh_token_expires_in.unwrap_or_default(),
                "response.refreshTokenExpiresIn",
            )?,
            ignored_refresh_tokens: response.ignored_refresh_tokens.unwrap_or_default(),
            expiry: ExpiryRules::parse(response.expiry.unwrap_or_default())?,
            outputs: outputs.collect::<Result<_, Error>>()?,
            expect: Expected::parse(&response.expect.unwrap_or_default())?,
        })
    }

    /// Where outputs are read from.
    pub(super) fn output_pointers(&self) -> impl Iterator<Item = &str> {
        self.outputs.values().flat_map(|output| match output {
            OutputRule::Found { at, .. } => at.pointers().collect::<Vec<_>>(),
            OutputRule::Made(_) => Vec::new(),
        })
    }

    /// The names that it uses, each with where it stands. What a token says and what it is for is
    /// known without any secret.
    pub(super) fn names(&self) -> Result<Vec<Name>, Error> {
        let mut names = Vec::new();
        for (name, rule) in &self.outputs {
            for used in rule.template().into_iter().flat_map(Template::names) {
                let known = |output: &String| {
                    matches!(output.as_str(), "access_token" | "token_type")
                        || matches!(self.outputs.get(output), Some(OutputRule::Found { .. }))
                };
                match used {
                    Name::Variable(_) => names.push(used.clone()),
                    Name::Output(output) if known(output) => {}
                    _ => {
                        return Err(invalid(format!(
                            "response.outputs.{name}: {{{{ {used} }}}} is neither a variable nor \
                             an output that is read from the answer"
                        )));
                    }
                }
            }
        }
        let expect = [&self.expect.token_type, &self.expect.issuer, &self.expect.audience];
        for used in expect.into_iter().flatten().flat_map(Template::names) {
            match used {
                Name::Variable(_) | Name::Parameter(_) => names.push(used.clone()),
                _ => {
                    return Err(invalid(format!(
                        "response.expect: {{{{ {used} }}}} is neither a variable nor a parameter"
                    )));
                }
            }
        }
        Ok(names)
    }
}

impl ExpiryRules {
    fn parse(expiry: api::Expiry) -> Result<Self, Error> {
        let kind = expiry.kind.unwrap_or(ExpiryKind::Seconds);
        // Without `at`, a JWT's life is read from the token itself.
        let usual = match kind {
            ExpiryKind::Jwt | ExpiryKind::None => vec![],
            _ => vec!["/expires_in".to_owned()],
        };
        let issued_at = expiry.issued_at.map(|issued_at| {
            Ok((issued_at.kind, Places::parse(&issued_at.at, "response.expiry.issuedAt.at")?))
        });
        let rules = Self {
            at: Places::parse(&expiry.at.unwrap_or(usual), "response.expiry.at")?,
            issued_at: issued_at.transpose()?,
            zero_means_never: expiry.zero_means_never,
            default: expiry.default.map(Duration::from),
            max: expiry.max.map(Duration::from),
            kind,
        };
        rules.check()?;
        Ok(rules)
    }

    /// Refuses rules by which no answer could ever hold a token that lives, or which say nothing.
    fn check(&self) -> Result<(), Error> {
        let relative = matches!(self.kind, ExpiryKind::Seconds | ExpiryKind::Milliseconds);
        match (self.kind, self.default) {
            (ExpiryKind::None, None) => {
                Err(invalid("response.expiry.kind none needs response.expiry.default"))
            }
            (_, Some(Duration::ZERO)) => Err(invalid("response.expiry.default is zero")),
            _ if self.max == Some(Duration::ZERO) => Err(invalid("response.expiry.max is zero")),
            _ if self.issued_at.is_some() && !relative => Err(invalid(
                "response.expiry.issuedAt: only the kinds seconds and milliseconds count from it",
            )),
            _ => Ok(()),
        }
    }
}

impl OutputRule {
    fn parse(output: &api::Output, place: &str) -> Result<Self, Error> {
        match (&output.at, &output.value) {
            (Some(at), _) => {
                Ok(Self::Found { at: Places::parse(at, place)?, required: output.required })
            }
            (None, Some(value)) => Template::parse(value, place).map(Self::Made),
            (None, None) => Err(invalid(format!("{place}: at or value says what it is"))),
        }
    }

    fn template(&self) -> Option<&Template> {
        match self {
            Self::Made(template) => Some(template),
            Self::Found { .. } => None,
        }
    }
}

impl Expected {
    fn parse(expect: &api::Expectation) -> Result<Self, Error> {
        let template = |given: &Option<String>, name: &str| {
            let place = format!("response.expect.{name}");
            given.as_deref().map(|text| Template::parse(text, &place)).transpose()
        };
        Ok(Self {
            token_type: template(&expect.token_type, "tokenType")?,
            issuer: template(&expect.issuer, "issuer")?,
            audience: template(&expect.audience, "audience")?,
        })
    }
}

impl ErrorRules {
    /// Reads what a document says of a refusal.
    pub(super) fn parse(document: &ProviderDocument) -> Result<Self, Error> {
        let errors = document.errors.clone().unwrap_or_default();
        let places = |given: Option<Vec<String>>, (name, usual): (&str, &str)| {
            Places::parse(&given.unwrap_or(vec![usual.to_owned()]), &format!("errors.{name}"))
        };
        let retry_after = match errors.retry_after {
            Some(places) => places
                .iter()
                .map(|place| Ok((Place::parse(&place.at, "errors.retryAfter")?, place.kind)))
                .collect::<Result<_, Error>>()?,
            None => vec![(Place::Header(RETRY_AFTER), RetryAfterKind::Auto)],
        };
        Ok(Self {
            code: places(errors.code, ("code", "/error"))?,
            message: places(errors.message, ("message", "/error_description"))?,
            rules: errors.rules.unwrap_or_default(),
            retry_after,
        })
    }
}

/// Refuses names where they cannot have a value.
pub(super) fn refuse_names<'a>(
    names: impl IntoIterator<Item = &'a Name>,
    field: &str,
    allowed: impl Fn(&Name) -> bool,
) -> Result<(), Error> {
    match names.into_iter().find(|name| !allowed(name)) {
        Some(name) => Err(invalid(format!("{field}: {{{{ {name} }}}} is not known there"))),
        None => Ok(()),
    }
}

/// Whether a name stands for something of the token request or its values.
pub(super) fn is_of_request(name: &Name) -> bool {
    !matches!(name, Name::Output(_) | Name::Given(Given::KeySha256 | Given::Revoked))
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
