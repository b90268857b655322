//! Which part of a declaration wants which key of a Secret: no two want the same.

use std::collections::{BTreeMap, BTreeSet};

use super::shape::{invalid, required_keys};
use crate::api::keys::{ACCESS_TOKEN, EXPIRES_AT, TOKEN_TYPE};
use crate::error::Error;

/// Keys, and whose they are.
pub(super) struct Claims(BTreeMap<String, String>);

impl Claims {
    /// The default keys and the outputs of the provider's document are there anyway.
    pub(super) fn new(outputs: Option<&BTreeSet<&str>>) -> Self {
        let default = [ACCESS_TOKEN, TOKEN_TYPE, EXPIRES_AT];
        let default = default.into_iter().map(|key| (key, "every target"));
        let outputs = outputs.into_iter().flatten();
        let outputs = outputs.map(|key| (*key, "the provider's document (response.outputs)"));
        Self(default.chain(outputs).map(|(key, by)| (key.to_owned(), by.to_owned())).collect())
    }

    /// Takes a key for a part of the declaration.
    pub(super) fn claim(&mut self, key: &str, whose: &str) -> Result<(), Error> {
        if !is_key(key) {
            return Err(invalid(format!(
                "spec.target.{whose}: {key:?} is no key of a Secret: letters, digits, - _ and . only, \
                 at most 253, and not .. at the beginning"
            )));
        }
        match self.0.insert(key.to_owned(), whose.to_owned()) {
            None => Ok(()),
            Some(other) => Err(invalid(format!(
                "spec.target.{whose}: {other} has the key {key:?} already: choose another key, leave \
                 one of them out, or use a token for each"
            ))),
        }
    }

    /// Whether there is every key that the API server wants of a type.
    pub(super) fn suffice(&self, type_: &str) -> Result<(), Error> {
        let (required, word) = required_keys(type_);
        let mut missing = required.iter().filter(|key| !self.0.contains_key(**key)).peekable();
        let enough = match word {
            "or" => required.is_empty() || missing.clone().count() < required.len(),
            _ => missing.peek().is_none(),
        };
        if enough {
            return Ok(());
        }
        let missing: Vec<&str> = missing.copied().collect();
        Err(invalid(format!(
            "spec.target.type: a Secret of type {type_} needs {}, which is not there: add it to \
             spec.target.template.data",
            missing.join(&format!(" {word} "))
        )))
    }
}

/// As the API server judges, which also keeps it a file's name.
fn is_key(key: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=253).contains(&key.len())
        && key.chars().all(letters)
        && key != "."
        && !key.starts_with("..")
}
