//! Headers of a token request: which a document may set, and what their values may hold.

use std::collections::BTreeMap;

use reqwest::header::HeaderName;

use super::template::{Template, invalid};
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

/// Reads the headers of a document.
pub(super) fn parse(
    headers: &BTreeMap<String, String>,
) -> Result<Vec<(HeaderName, Template)>, Error> {
    headers
        .iter()
        .map(|(name, value)| {
            let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                invalid(format!("request.headers: {name:?} is not a header's name"))
            })?;
            let place = format!("request.headers.{name}");
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
