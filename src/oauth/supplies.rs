//! Everything secret that a request is made from.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};

use super::credentials::Credentials;
use crate::error::{Error, Reason};

/// Everything secret that a request is made from. What is not needed is left empty.
#[derive(Debug, Default)]
pub struct Supplies {
    /// The credentials Secret.
    pub credentials: Credentials,
    /// The key of the credentials Secret whose secret is sent, where there are several.
    pub secret_key: Option<String>,
    /// Other tokens of the namespace, by the names of `spec.tokenRefs`.
    pub tokens: BTreeMap<String, SecretString>,
    /// The token of `spec.serviceAccountRef`.
    pub service_account: Option<SecretString>,
    /// What the provider has renewed since the credentials Secret was written.
    pub renewed: Renewed,
}

/// Credentials that a provider renews with each answer.
#[derive(Clone, Debug, Default)]
pub struct Renewed {
    /// In place of the credential `refresh_token`.
    pub refresh_token: Option<SecretString>,
    /// The current token, in place of the credential `access_token`.
    pub access_token: Option<SecretString>,
}

impl Renewed {
    /// Whether it is nothing new.
    pub fn same_as(&self, other: &Self) -> bool {
        let same = |a: &Option<SecretString>, b: &Option<SecretString>| {
            a.as_ref().map(ExposeSecret::expose_secret)
                == b.as_ref().map(ExposeSecret::expose_secret)
        };
        same(&self.refresh_token, &other.refresh_token)
            && same(&self.access_token, &other.access_token)
    }
}

impl Supplies {
    /// The value of a credential, or an error that names what is missing.
    pub(super) fn credential(&self, key: &str) -> Result<&SecretString, Error> {
        match (key, &self.secret_key, &self.renewed.refresh_token) {
            ("client_secret", Some(key), _) => self.credentials.get(key),
            ("refresh_token", _, Some(renewed)) => Ok(renewed),
            _ => self.credentials.get(key),
        }
    }

    pub(super) fn token(&self, name: &str) -> Result<&SecretString, Error> {
        self.tokens.get(name).ok_or_else(|| {
            let message = format!("spec.tokenRefs.{name} is not set, and the provider's document takes a token from it");
            Error::new(Reason::InvalidSpec, message)
        })
    }

    pub(super) fn service_account(&self) -> Result<&SecretString, Error> {
        self.service_account.as_ref().ok_or_else(|| {
            let message = "spec.serviceAccountRef is not set, and the provider's document takes a token from it";
            Error::new(Reason::InvalidSpec, message)
        })
    }

    /// The token that is renewed; at first the credential `access_token`.
    pub(super) fn current(&self) -> Result<&SecretString, Error> {
        match &self.renewed.access_token {
            Some(token) => Ok(token),
            None => self.credentials.get("access_token"),
        }
    }

    /// Every value, for the check that nothing shown contains one.
    pub(super) fn values(&self) -> impl Iterator<Item = &SecretString> {
        let renewed = [&self.renewed.refresh_token, &self.renewed.access_token];
        self.credentials
            .values()
            .chain(self.tokens.values())
            .chain(&self.service_account)
            .chain(renewed.into_iter().flatten())
    }
}
