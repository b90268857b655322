//! Variables of a document: which it uses, what they are and whether they look right.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::template::{Name, invalid};
use super::url_template::is_authority;
use crate::api::ProviderDocument;
use crate::catalogue::{Format, Input};
use crate::error::{Error, nearest};

/// The values of all variables that the document uses. Those that it declares and an overlay
/// leaves unused do no harm; those that nothing knows are a slip of the pen.
pub(super) fn variables(
    document: &ProviderDocument,
    inputs: &BTreeMap<String, Input>,
    names: &BTreeSet<Name>,
) -> Result<BTreeMap<String, String>, Error> {
    let used: BTreeSet<&str> = names
        .iter()
        .filter_map(|name| match name {
            Name::Variable(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let known = || used.iter().copied().chain(inputs.keys().map(String::as_str));
    for name in document.variables.keys() {
        if !known().any(|known| known == name) {
            let hint = nearest(name, known());
            return Err(invalid(format!(
                "spec.variables.{name} is not used by the document{hint}"
            )));
        }
    }
    let mut values = BTreeMap::new();
    for name in used {
        let input = inputs.get(name);
        let given = document.variables.get(name).or_else(|| input?.default.as_ref());
        let value = match (given, input) {
            (Some(value), _) => value.as_str(),
            (None, Some(input)) if !input.required => "",
            (None, input) => return Err(missing(name, input, &document.variables)),
        };
        if given.is_some() {
            check_format(name, value, input)?;
        }
        values.insert(name.to_owned(), value.to_owned());
    }
    Ok(values)
}

fn missing(name: &str, input: Option<&Input>, given: &BTreeMap<String, String>) -> Error {
    let what = input.map_or(String::new(), |input| format!(" ({})", input.description));
    let hint = nearest(name, given.keys().map(String::as_str));
    invalid(format!("spec.variables.{name}{what} is not set{hint}"))
}

fn check_format(name: &str, value: &str, input: Option<&Input>) -> Result<(), Error> {
    let wrong = |what: &str| Err(invalid(format!("spec.variables.{name} is not {what}")));
    match input.map(|input| input.format) {
        Some(Format::Url) if Url::parse(value).is_err() => {
            wrong("an absolute URL, as https://login.example.com/oauth/token")
        }
        Some(Format::Host) if !is_authority(value) => {
            wrong("a host with an optional port, as login.example.com")
        }
        Some(Format::PathSegment) if matches!(value, "" | "." | "..") => {
            wrong("a path segment: empty, . and .. are refused")
        }
        _ => Ok(()),
    }
}
