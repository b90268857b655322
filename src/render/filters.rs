//! The filters of target templates. None returns more than a Secret holds.

use minijinja::{Environment, Error, ErrorKind, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::formats::basic;
use super::limited::Limited;
use super::{LARGEST_SECRET, encode};

/// Their names.
pub(super) const FILTERS: &[&str] = &["b64encode", "basic_auth", "default", "tojson", "urlencode"];

/// What is said of a value that grows beyond any use.
pub(super) const TOO_LARGE: &str = "a filter's value is larger than a Secret";

/// RFC 3986 section 2.3: everything but the unreserved characters is encoded.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Makes them known.
pub(super) fn add_to(environment: &mut Environment<'_>) {
    environment.add_filter("b64encode", |text: &str| limited(encode(text)));
    environment.add_filter("basic_auth", |password: &str, username: &str| {
        limited(format!("Basic {}", basic(username, password)))
    });
    environment.add_filter("default", |value: &Value, other: Value| match value.is_undefined() {
        true => other,
        false => value.clone(),
    });
    environment.add_filter("tojson", tojson);
    environment.add_filter("urlencode", |text: &str| {
        limited(utf8_percent_encode(text, &UNRESERVED).to_string())
    });
}

fn limited(text: String) -> Result<String, Error> {
    match text.len() <= LARGEST_SECRET {
        true => Ok(text),
        false => Err(too_large()),
    }
}

fn tojson(value: &Value) -> Result<String, Error> {
    let mut json = Limited::new(LARGEST_SECRET);
    serde_json::to_writer(&mut json, value).map_err(|_| too_large())?;
    json.into_text().ok_or_else(too_large)
}

fn too_large() -> Error {
    Error::new(ErrorKind::InvalidOperation, TOO_LARGE)
}
