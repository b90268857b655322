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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::oauth::testing::*;

    const URL: &str = "request: {url: 'https://a.example/{{ parameters.p }}', \
                       headers: {X-T: '{{ tokens.t }}', X-A: '{{ serviceAccount.token }}'}}";

    fn keys(endpoint: &str, secret_keys: &[&str], present: &[&str]) -> Vec<String> {
        let endpoint = endpoint_of(endpoint);
        let secret_keys: Vec<String> = secret_keys.iter().map(|key| (*key).to_owned()).collect();
        let present: Vec<(&str, &str)> = present.iter().map(|key| (*key, "x")).collect();
        let keys = endpoint.needs().keys(&secret_keys, &credentials(&present)).into_iter();
        keys.map(str::to_owned).collect()
    }

    fn endpoint_of(more: &str) -> crate::oauth::Endpoint {
        endpoint(&format!("{{request: {{url: 'https://a.example'}}{more}}}"))
    }

    #[rstest]
    #[case::one_secret(&[], &["client_secret"], &["client_id", "client_secret"])]
    #[case::those_that_are_there(&["a", "b", "c"], &["b", "c"], &["client_id", "b", "c"])]
    #[case::the_first_where_none_is(&["a", "b"], &["client_secret"], &["client_id", "a"])]
    fn secret_keys_stand_in_for_the_secret(
        #[case] secret_keys: &[&str],
        #[case] present: &[&str],
        #[case] expected: &[&str],
    ) {
        assert_eq!(keys("", secret_keys, present), expected);
    }

    #[test]
    fn optional_keys_count_where_they_are_there() {
        let signs = ", clientAuthentication: [private_key_jwt]";
        assert_eq!(keys(signs, &[], &[]), ["client_id", "private_key"]);
        assert_eq!(keys(signs, &[], &["key_id"]), ["client_id", "private_key", "key_id"]);
        let shows = ", clientAuthentication: [self_signed_tls_client_auth]";
        assert_eq!(keys(shows, &[], &["ca.crt"]), ["client_id", "tls.crt", "tls.key", "ca.crt"]);
    }

    #[test]
    fn what_a_document_takes_is_known() {
        let endpoint = endpoint(&format!("{{grant: none, {URL}}}"));
        let needs = endpoint.needs();
        assert_eq!(needs.parameters().collect::<Vec<_>>(), ["p"]);
        assert_eq!(needs.tokens().collect::<Vec<_>>(), ["t"]);
        assert_eq!((needs.service_account, needs.current, needs.scopes), (true, false, false));
        let error = endpoint_of("").needs().without_credentials().unwrap_err();
        assert_eq!(error.reason(), Reason::CredentialsNotSpecified);
        assert!(error.message().contains("client_id, client_secret"), "{error}");
        assert_eq!(endpoint_of(", grant: none").needs().without_credentials(), Ok(()));
    }

    #[test]
    fn the_current_token_begins_as_a_credential() {
        let endpoint = endpoint_of(
            ", grant: none, clientAuthentication: [bearer], bearerToken: '{{ current.token }}'",
        );
        assert!(endpoint.needs().current && endpoint.renews());
        assert_eq!(endpoint.needs().credentials().collect::<Vec<_>>(), ["access_token"]);
    }

    #[rstest]
    #[case::fits(&["p"], &["t"], true, None)]
    #[case::a_parameter_may_be_left_out(&[], &["t"], true, None)]
    #[case::unknown_parameter(&["q"], &["t"], true, Some("spec.parameters.q"))]
    #[case::unknown_token(&[], &["t", "u"], true, Some("spec.tokenRefs.u"))]
    #[case::missing_token(&[], &[], true, Some("spec.tokenRefs.t is not set"))]
    #[case::missing_account(&[], &["t"], false, Some("spec.serviceAccountRef is not set"))]
    fn what_is_brought_is_what_is_taken(
        #[case] parameters: &[&str],
        #[case] tokens: &[&str],
        #[case] service_account: bool,
        #[case] says: Option<&str>,
    ) {
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|name| (*name, "x")).collect();
        let asking = Asking {
            token_refs: tokens.iter().map(|name| (*name).to_owned()).collect(),
            service_account,
            ..asking(&parameters)
        };
        let checked = endpoint(&format!("{{grant: none, {URL}}}")).needs().check(&asking);
        match (checked, says) {
            (Ok(()), None) => {}
            (Err(error), Some(says)) => {
                assert_eq!(error.reason(), Reason::InvalidSpec);
                assert!(error.message().starts_with(says), "{error}");
            }
            (checked, says) => panic!("{checked:?}, where {says:?} was expected"),
        }
    }

    #[test]
    fn an_account_without_a_place_is_refused() {
        let asking = Asking { service_account: true, ..Asking::default() };
        let error = endpoint_of("").needs().check(&asking).unwrap_err();
        assert!(error.message().contains("has no place for it"), "{error}");
    }
}
