//! What a token ought to be and is not. Warned about, and no failure: the workload may do with it.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::endpoint::Endpoint;
use super::jwt;
use super::request::Asking;
use super::template::{Name, Template};

/// What an answer told.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) token: &'a SecretString,
    pub(super) token_type: Option<&'a str>,
    pub(super) scopes: &'a [String],
}

/// What is not as it was asked for or declared. It quotes what was asked for, never the answer.
pub(super) fn warnings(endpoint: &Endpoint, asking: &Asking, told: Told<'_>) -> Vec<String> {
    let expect = &endpoint.response.expect;
    let render = |template: &Option<Template>| {
        template.as_ref().map(|template| {
            template.render(|name| match name {
                Name::Variable(name) => endpoint.variable(name),
                Name::Parameter(name) => asking.parameters.get(name).map_or("", String::as_str),
                _ => "",
            })
        })
    };
    let mut warnings = Vec::new();
    let missing: Vec<&str> = match told.scopes.is_empty() {
        // RFC 6749 section 5.1: not told is as asked.
        true => Vec::new(),
        false => {
            asking.scopes.iter().filter(|s| !told.scopes.contains(s)).map(String::as_str).collect()
        }
    };
    if !missing.is_empty() {
        warnings.push(format!("the provider did not grant scope {}", missing.join(" ")));
    }
    if let Some(expected) = render(&expect.token_type)
        && told.token_type.is_some_and(|told| !told.eq_ignore_ascii_case(&expected))
    {
        warnings.push(format!("the token's type is not {expected}"));
    }
    let claims = jwt::claims(told.token.expose_secret());
    let Some(claims) = claims else { return warnings };
    if let Some(expected) = render(&expect.issuer)
        && claims.get("iss").and_then(Value::as_str) != Some(&expected)
    {
        warnings.push(format!("the token's issuer (iss) is not {expected}"));
    }
    if let Some(expected) = render(&expect.audience)
        && !is_among(&expected, claims.get("aud"))
    {
        warnings.push(format!("the token is not for {expected} (aud)"));
    }
    warnings
}

/// RFC 7519 section 4.1.3: one audience, or several.
fn is_among(expected: &str, audience: Option<&Value>) -> bool {
    match audience {
        Some(Value::String(one)) => one == expected,
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(expected)),
        _ => false,
    }
}
