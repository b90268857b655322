//! What a refusal means (RFC 6749 section 5.2 and what came after it).

use std::time::Duration;

use serde_json::Value;

use super::endpoint::Endpoint;
use super::places::{Reading, scalar};
use super::retry_after::retry_after;
use super::rules::ErrorRules;
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
const UNNAMED_THROTTLE: Duration = Duration::from_mins(1);

/// Reads a refusal.
pub(super) fn read(endpoint: &Endpoint, reading: &Reading<'_>) -> Error {
    Refusal::find(endpoint, reading).error(reading)
}

/// Reads an answer whose status means success and which holds no token: some providers refuse that
/// way. `None` where it tells no error either.
pub(super) fn read_success(endpoint: &Endpoint, reading: &Reading<'_>) -> Option<Error> {
    let refusal = Refusal::find(endpoint, reading);
    (refusal.code.is_some() || refusal.rule(reading).is_some()).then(|| refusal.error(reading))
}

struct Refusal<'a> {
    status: u16,
    code: Option<String>,
    /// For rules and for a person who tries things out, never shown otherwise.
    message: String,
    errors: &'a ErrorRules,
    /// Whether the document names conditions of success, so that a status alone means none.
    expected: bool,
}

impl<'a> Refusal<'a> {
    fn find(endpoint: &'a Endpoint, reading: &Reading<'_>) -> Self {
        let errors = &endpoint.errors;
        let filled = |value: &Value| scalar(value).filter(|text| !text.is_empty());
        Self {
            status: reading.answer.status,
            code: reading.find(&errors.code, filled),
            message: reading.find(&errors.message, filled).unwrap_or_default(),
            errors,
            expected: !endpoint.response.success.is_empty(),
        }
    }

    fn error(&self, reading: &Reading<'_>) -> Error {
        let rule = self.rule(reading);
        let class = rule.map_or_else(|| self.class(), |rule| rule_class(rule.class));
        let wait = retry_after(&self.errors.retry_after, (class, reading));
        let wait = match (rule.and_then(|rule| rule.wait), wait) {
            (Some(least), Some(wait)) => Some(wait.max(least.into())),
            (Some(least), None) => Some(least.into()),
            (None, None) if class == Class::Throttled => Some(UNNAMED_THROTTLE),
            (None, wait) => wait,
        };
        let error = Error::new(reason(class), self.describe());
        let error = match (self.blames_client(rule), class) {
            (true, _) => error.blaming_client(),
            (false, Class::Permanent) if self.refuses_grant() => error.refusing_grant(),
            (false, _) => error,
        };
        error.with_class(class).with_retry_after(wait)
    }

    /// Whether the client's secret or key is to blame.
    fn blames_client(&self, rule: Option<&ErrorRule>) -> bool {
        match rule {
            Some(rule) => rule.class == RuleClass::InvalidClient,
            None => self.code.as_ref().is_some_and(|c| c.eq_ignore_ascii_case("invalid_client")),
        }
    }

    /// Whether the refresh token is refused: `invalid_grant`, or a provider's own word for it.
    fn refuses_grant(&self) -> bool {
        let code = self.code.as_deref().unwrap_or_default().to_lowercase();
        code == "invalid_grant" || code.contains("refresh_token")
    }

    /// The document's rule for it, which wins over the usual reading.
    fn rule(&self, reading: &Reading<'_>) -> Option<&'a ErrorRule> {
        self.errors.rules.iter().find(|rule| self.matches(rule, reading))
    }

    fn matches(&self, rule: &ErrorRule, reading: &Reading<'_>) -> bool {
        let status = rule.status.as_ref().is_none_or(|all| all.contains(&self.status));
        let code = rule.code.as_ref().is_none_or(|all| {
            self.code
                .as_ref()
                .is_some_and(|code| all.iter().any(|known| known.eq_ignore_ascii_case(code)))
        });
        let message = rule
            .message
            .as_ref()
            .is_none_or(|part| self.message.to_lowercase().contains(&part.to_lowercase()));
        let header = rule.header.as_ref().is_none_or(|header| {
            let found = reading.answer.headers.get(&header.name);
            found.is_some_and(|found| {
                header.value.as_ref().is_none_or(|value| found.as_bytes() == value.as_bytes())
            })
        });
        status && code && message && header
    }

    fn class(&self) -> Class {
        match self.status {
            429 => Class::Throttled,
            408 | 425 | 500.. => Class::Transient,
            400.. if self.code.as_ref().is_some_and(|code| lists(PERMANENT, code)) => {
                Class::Permanent
            }

            // The document says that refusals come this way.
            200..300
                if self.expected && self.code.as_ref().is_some_and(|c| lists(PERMANENT, c)) =>
            {
                Class::Permanent
            }
            _ => Class::Transient,
        }
    }

    /// What a person is told: the status, and the code if it is one that everybody knows or that
    /// the document lists.
    fn describe(&self) -> String {
        let listed = |code: &str| {
            let mut of_rules =
                self.errors.rules.iter().filter_map(|rule| rule.code.as_ref()).flatten();
            lists(PERMANENT, code)
                || lists(REGISTERED, code)
                || of_rules.any(|known| known.eq_ignore_ascii_case(code))
        };
        let code = match self.code.as_deref() {
            Some(code) if listed(code) => format!(": {}", code.to_ascii_lowercase()),
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

fn lists(codes: &[&str], code: &str) -> bool {
    codes.iter().any(|known| known.eq_ignore_ascii_case(code))
}

fn rule_class(class: RuleClass) -> Class {
    match class {
        RuleClass::Permanent | RuleClass::InvalidClient => Class::Permanent,
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

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
