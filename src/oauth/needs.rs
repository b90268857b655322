//! What a document takes from the one who asks.

use std::collections::BTreeSet;

use super::credentials::{Credentials, not_specified};
use super::request::Asking;
use super::template::{Given, Name};
use crate::error::{Error, Reason, nearest};

/// What a document takes from the token's spec and its credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    credentials: BTreeSet<String>,
    /// Keys that are used where they are there.
    optional: BTreeSet<String>,
    parameters: BTreeSet<String>,
    tokens: BTreeSet<String>,
    /// Whether it takes the token of `spec.serviceAccountRef`.
    pub service_account: bool,
    /// Whether it takes the resource's own current token.
    pub current: bool,
    /// Whether asking for scopes has any effect.
    pub scopes: bool,
}

impl Needs {
    pub(super) fn of(names: BTreeSet<Name>, optional: BTreeSet<String>) -> Self {
        let mut needs = Self { optional, ..Self::default() };
        for name in names {
            match name {
                Name::Credential(key) => drop(needs.credentials.insert(key)),
                Name::Parameter(name) => drop(needs.parameters.insert(name)),
                Name::Token(name) => drop(needs.tokens.insert(name)),
                Name::Given(Given::ServiceAccount) => needs.service_account = true,
                Name::Given(Given::Current) => {
                    needs.current = true;
                    needs.credentials.insert("access_token".to_owned());
                }
                Name::Given(Given::Scope | Given::Scopes) => needs.scopes = true,
                Name::Given(_) | Name::Variable(_) | Name::Output(_) => {}
            }
        }
        needs
    }

    /// The keys of the credentials Secret that a request is made from.
    pub fn credentials(&self) -> impl Iterator<Item = &str> {
        self.credentials.iter().map(String::as_str)
    }

    /// Everything secret that it may take a value of.
    pub(super) fn secrets(&self) -> impl Iterator<Item = Name> {
        let credentials = self.credentials.iter().chain(&self.optional).cloned();
        let tokens = self.tokens.iter().cloned().map(Name::Token);
        credentials.map(Name::Credential).chain(tokens)
    }

    /// The names of other tokens that a request is made from.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().map(String::as_str)
    }

    /// The parameters that the document has a place for.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(String::as_str)
    }

    /// The keys that a request is made from, those that are optional as far as they are there.
    /// `secret_keys` stand in for `client_secret`: of those, the ones that are there, and the first
    /// where none is.
    pub fn keys<'a>(
        &'a self,
        secret_keys: &'a [String],
        credentials: &Credentials,
    ) -> Vec<&'a str> {
        let mut keys = Vec::new();
        for key in self.credentials() {
            if key != "client_secret" || secret_keys.is_empty() {
                keys.push(key);
                continue;
            }
            let present = secret_keys.iter().filter(|key| credentials.has(key));
            let before = keys.len();
            keys.extend(present.map(String::as_str));
            if keys.len() == before {
                keys.extend(secret_keys.first().map(String::as_str));
            }
        }
        keys.extend(self.optional.iter().map(String::as_str).filter(|key| credentials.has(key)));
        keys
    }

    /// Whether a request can be made without any credentials.
    pub fn without_credentials(&self) -> Result<(), Error> {
        match self.credentials.is_empty() {
            true => Ok(()),
            false => Err(not_specified(self.credentials())),
        }
    }

    /// Refuses what the spec brings and the document has no place for, which would be dropped in
    /// silence, and what the document takes and the spec does not bring.
    pub(super) fn check(&self, asking: &Asking) -> Result<(), Error> {
        if !asking.scopes.is_empty() && !self.scopes {
            return Err(spec("spec.scopes: the provider's document takes no scopes"));
        }
        known("spec.parameters", asking.parameters.keys(), &self.parameters)?;
        known("spec.tokenRefs", asking.token_refs.iter(), &self.tokens)?;
        if let Some(missing) = self.tokens.iter().find(|name| !asking.token_refs.contains(*name)) {
            return Err(spec(format!(
                "spec.tokenRefs.{missing} is not set, and the provider's document takes a token from it"
            )));
        }
        match (self.service_account, asking.service_account) {
            (true, false) => Err(spec(
                "spec.serviceAccountRef is not set, and the provider's document takes a token from it",
            )),
            (false, true) => Err(spec(
                "spec.serviceAccountRef: the provider's document has no place for it, as \
                 {{ serviceAccount.token }} or clientAuthentication federated_jwt",
            )),
            _ => Ok(()),
        }
    }
}

fn known<'a>(
    field: &str,
    mut given: impl Iterator<Item = &'a String>,
    known: &BTreeSet<String>,
) -> Result<(), Error> {
    match given.find(|name| !known.contains(*name)) {
        Some(name) => {
            let hint = nearest(name, known.iter().map(String::as_str));
            Err(spec(format!("{field}.{name}: the provider's document has no place for it{hint}")))
        }
        None => Ok(()),
    }
}

fn spec(message: impl Into<String>) -> Error {
    Error::new(Reason::InvalidSpec, message)
}
