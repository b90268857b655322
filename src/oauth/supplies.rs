//! Everything secret that a request is made from.

use std::collections::BTreeMap;

use secrecy::SecretString;

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
    /// Whether nothing was renewed.
    pub fn is_empty(&self) -> bool {
        self.refresh_token.is_none() && self.access_token.is_none()
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

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::oauth::testing::credentials;

    fn supplies() -> Supplies {
        Supplies {
            credentials: credentials(&[
                ("client_secret", "first"),
                ("client_secret_2", "second"),
                ("refresh_token", "old refresh"),
                ("access_token", "old access"),
            ]),
            ..Supplies::default()
        }
    }

    #[test]
    fn what_the_provider_renewed_stands_in_for_the_credential() {
        let mut supplies = supplies();
        let shown = |supplies: &Supplies| {
            let refresh = supplies.credential("refresh_token").unwrap().expose_secret().to_owned();
            (refresh, supplies.current().unwrap().expose_secret().to_owned())
        };
        assert_eq!(shown(&supplies), ("old refresh".to_owned(), "old access".to_owned()));
        supplies.renewed = Renewed {
            refresh_token: Some("new refresh".into()),
            access_token: Some("new access".into()),
        };
        assert_eq!(shown(&supplies), ("new refresh".to_owned(), "new access".to_owned()));
        let values: Vec<&str> = supplies.values().map(ExposeSecret::expose_secret).collect();
        assert!(values.contains(&"new refresh") && values.contains(&"old access"), "{values:?}");
    }

    #[test]
    fn another_key_may_hold_the_secret() {
        let supplies = Supplies { secret_key: Some("client_secret_2".into()), ..supplies() };
        let secret = |key: &str| supplies.credential(key).unwrap().expose_secret().to_owned();
        assert_eq!(
            (secret("client_secret"), secret("access_token")),
            ("second".into(), "old access".into())
        );
    }

    #[test]
    fn what_is_missing_is_named_by_its_field() {
        let supplies = supplies();
        assert!(supplies.token("t").unwrap_err().message().starts_with("spec.tokenRefs.t is not"));
        let error = supplies.service_account().unwrap_err();
        assert!(error.message().starts_with("spec.serviceAccountRef is not set"), "{error}");
    }
}
