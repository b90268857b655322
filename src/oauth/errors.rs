//! What a refusal means (RFC 6749 section 5.2 and what came after it).

use std::time::Duration;

use serde_json::Value;

use super::answer::{Answer, find};
use super::endpoint::Endpoint;
use super::retry_after::retry_after;
use crate::api::{ErrorRule, RuleClass};
use crate::error::{Class, Error, Reason};

/// Codes after which another try with the same inputs is pointless.
const PERMANENT: &[&str] = &[
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "invalid_target",
    "access_denied",
    "consent_required",
    "interaction_required",
];

/// Other registered codes, which may be shown too.
const REGISTERED: &[&str] = &[
    "server_error",
    "temporarily_unavailable",
    "slow_down",
    "authorization_pending",
    "expired_token",
    "invalid_dpop_proof",
    "use_dpop_nonce",
    "invalid_token",
    "insufficient_scope",
    "unsupported_token_type",
    "login_required",
];

/// Longest silence that is assumed where a throttling answer names none.
const UNNAMED_THROTTLE: Duration = Duration::from_secs(60);

/// Reads a refusal.
pub(super) fn read(endpoint: &Endpoint, answer: &Answer) -> Error {
    let json = answer.json().unwrap_or(Value::Null);
    let code = find(&json, &endpoint.errors.code, code_text);
    let message = find(&json, &endpoint.errors.message, Value::as_str).unwrap_or_default();
    let refusal = Refusal { status: answer.status, code: code.as_deref(), message };
    let rule = endpoint.errors.rules.iter().find(|rule| refusal.matches(rule));
    let class = rule.map_or_else(|| refusal.class(), |rule| rule_class(rule.class));
    let wait = retry_after(answer);
    let wait = if class == Class::Throttled { wait.or(Some(UNNAMED_THROTTLE)) } else { wait };
    Error::new(reason(class), refusal.describe(&endpoint.errors.rules))
        .with_class(class)
        .with_retry_after(wait)
}

struct Refusal<'a> {
    status: u16,
    code: Option<&'a str>,
    /// For rules only, never shown.
    message: &'a str,
}

impl Refusal<'_> {
    fn matches(&self, rule: &ErrorRule) -> bool {
        let status = rule.status.as_ref().is_none_or(|all| all.contains(&self.status));
        let code = rule.code.as_ref().is_none_or(|all| {
            self.code.is_some_and(|code| all.iter().any(|known| known.eq_ignore_ascii_case(code)))
        });
        let message = rule
            .message
            .as_ref()
            .is_none_or(|part| self.message.to_lowercase().contains(&part.to_lowercase()));
        status && code && message
    }

    fn class(&self) -> Class {
        match self.status {
            429 => Class::Throttled,
            408 | 425 | 500.. => Class::Transient,
            400.. if self.code.is_some_and(|code| lists(PERMANENT, code)) => Class::Permanent,
            _ => Class::Transient,
        }
    }

    /// What a person is told: the status, and the code if it is one that everybody knows or that
    /// the document lists.
    fn describe(&self, rules: &[ErrorRule]) -> String {
        let listed = |code: &&str| {
            let mut of_rules = rules.iter().filter_map(|rule| rule.code.as_ref()).flatten();
            lists(PERMANENT, code)
                || lists(REGISTERED, code)
                || of_rules.any(|known| known.eq_ignore_ascii_case(code))
        };
        let code = match self.code {
            Some(code) if listed(&code) => format!(": {}", code.to_ascii_lowercase()),
            Some(_) => ": unrecognised".to_owned(),
            None => String::new(),
        };
        let hint = match self.status {
            300..400 => " (redirects are not followed)",
            _ => "",
        };
        format!("the provider answered HTTP {}{code}{hint}", self.status)
    }
}

/// A code may be a string or a number.
fn code_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn lists(codes: &[&str], code: &str) -> bool {
    codes.iter().any(|known| known.eq_ignore_ascii_case(code))
}

fn rule_class(class: RuleClass) -> Class {
    match class {
        RuleClass::Permanent => Class::Permanent,
        RuleClass::Transient => Class::Transient,
        RuleClass::Throttled => Class::Throttled,
    }
}

fn reason(class: Class) -> Reason {
    match class {
        Class::Permanent => Reason::TokenRequestRejected,
        Class::Throttled => Reason::ProviderThrottled,
        Class::Transient | Class::Ambiguous | Class::Waiting => Reason::ProviderError,
    }
}
