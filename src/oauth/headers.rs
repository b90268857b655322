//! Headers of a token request: which a document may set, and what their values may hold.

use std::collections::BTreeMap;

use reqwest::header::{HeaderName, HeaderValue};

use super::template::{Name, Part, Template, invalid};
use crate::error::Error;

/// Headers that belong to the connection or to the client (RFC 9110 section 7.6.1), not to a
/// document.
const RESERVED: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "expect",
];

/// What no header can carry, in words.
pub(super) const UNFIT: &str = "holds a line break or another control character";

/// Reads the headers of `field` of a document.
pub(super) fn parse(
    headers: &BTreeMap<String, String>,
    field: &str,
) -> Result<Vec<(HeaderName, Template)>, Error> {
    headers
        .iter()
        .map(|(name, value)| {
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                invalid(format!("{field}.headers: {name:?} is not a header's name"))
            })?;
            let place = format!("{field}.headers.{name}");
            if RESERVED.contains(&header.as_str()) {
                return Err(invalid(format!(
                    "{place} belongs to the connection and cannot be set"
                )));
            }
            let template = Template::parse(value, &place)?;
            Ok((header, template))
        })
        .collect()
}

/// Refuses what is known before any request to be unfit: literals and variables.
pub(super) fn check<'a>(
    headers: &'a [(HeaderName, Template)],
    variable: impl Fn(&'a str) -> &'a str,
) -> Result<(), Error> {
    for (header, template) in headers {
        for part in &template.parts {
            let (text, what) = match part {
                Part::Literal(text) => (text.as_str(), String::new()),
                Part::Name(Name::Variable(name)) => (variable(name), format!("{{{{ {name} }}}} ")),
                Part::Name(_) => continue,
            };
            if !fits(text) {
                return Err(invalid(format!("request.headers.{header}: {what}{UNFIT}")));
            }
        }
    }
    Ok(())
}

/// Whether a header can carry it (RFC 9110 section 5.5).
pub(super) fn fits(text: &str) -> bool {
    HeaderValue::from_bytes(text.as_bytes()).is_ok()
}

/// The text of a header that is the same in every request.
pub(super) fn literal<'a>(
    headers: &'a [(HeaderName, Template)],
    name: &HeaderName,
) -> Option<&'a str> {
    let (_, template) = headers.iter().find(|(header, _)| header == name)?;
    match template.parts.as_slice() {
        [Part::Literal(text)] => Some(text),
        _ => None,
    }
}
