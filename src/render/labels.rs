//! Labels and annotations of a target that its owner chooses.

use std::collections::BTreeMap;

use secrecy::ExposeSecret;

use super::Shown;
use super::shape::{invalid, not_rendered};
use crate::api::GROUP;
use crate::error::Error;

/// Whose names mean something to Kubernetes, or to us.
const RESERVED: [&str; 3] = ["kubernetes.io", "k8s.io", GROUP];
/// What the API server takes of annotations, keys and values together.
const LARGEST_ANNOTATIONS: usize = 256 * 1024;
/// Longest value of a label, and longest name without its prefix.
const LONGEST: usize = 63;

/// Whether these are names, and nobody else's.
pub(super) fn may_be_set<'a>(
    field: &str,
    keys: impl IntoIterator<Item = &'a String>,
) -> Result<(), Error> {
    for key in keys {
        let place = format!("spec.target.template.{field}");
        if let Some(whose) = reserved(key) {
            return Err(invalid(format!("{place}: {key}: {field} under {whose}/ cannot be set")));
        }
        if !is_qualified_name(key) {
            return Err(invalid(format!(
                "{place}: {key:?} is no name: at most {LONGEST} letters, digits, - _ and ., beginning \
                 and ending with a letter or digit, perhaps after a domain and /"
            )));
        }
    }
    Ok(())
}

fn reserved(key: &str) -> Option<&'static str> {
    let (domain, _) = key.split_once('/')?;
    let domain = domain.to_ascii_lowercase();
    RESERVED.into_iter().find(|reserved| {
        domain.strip_suffix(reserved).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

fn is_qualified_name(key: &str) -> bool {
    let (domain, name) = match key.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, key),
    };
    let is_domain = |domain: &str| {
        domain.len() <= 253
            && domain.split('.').all(|label| {
                is_word(label, "-") && !label.contains(|c: char| c.is_ascii_uppercase())
            })
    };
    domain.is_none_or(is_domain) && name.len() <= LONGEST && is_word(name, "-_.")
}

/// Letters, digits and some others, which neither begin nor end it.
fn is_word(text: &str, others: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(letter)
        && text.ends_with(letter)
        && text.chars().all(|c| letter(c) || others.contains(c))
}

/// Whether values can be those of labels.
pub(super) fn are_labels(labels: &BTreeMap<String, String>) -> Result<(), Error> {
    let wrong = labels
        .iter()
        .find(|(_, value)| value.len() > LONGEST || !(value.is_empty() || is_word(value, "-_.")));
    match wrong {
        None => Ok(()),
        Some((key, _)) => Err(not_rendered(format!(
            "spec.target.template.labels.{key}: it comes to no value of a label: at most {LONGEST} \
             letters, digits, - _ and ., beginning and ending with a letter or digit"
        ))),
    }
}

/// Whether the token stands in none of them, by whatever way.
pub(super) fn hold_no_secret(
    fields: &[(&str, &BTreeMap<String, String>)],
    shown: &Shown,
) -> Result<(), Error> {
    let token = shown.access_token.expose_secret();
    for (field, values) in fields {
        if let Some((key, _)) = values.iter().find(|(_, value)| value.contains(token)) {
            return Err(not_rendered(format!(
                "spec.target.template.{field}.{key}: the token would stand in it, for everybody who \
                 sees the Secret's name"
            )));
        }
    }
    Ok(())
}

/// Whether the API server takes as much.
pub(super) fn fit(annotations: &BTreeMap<String, String>) -> Result<(), Error> {
    let size: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    // A little of it is for our own.
    match size <= LARGEST_ANNOTATIONS - 4096 {
        true => Ok(()),
        false => Err(not_rendered(format!(
            "spec.target.template.annotations: they come to {size} bytes, and an object holds {} KiB \
             of them",
            LARGEST_ANNOTATIONS / 1024
        ))),
    }
}
