//! Credential values: read when needed, dropped (and wiped) after.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::{ExposeSecret, SecretBox, SecretString};
use serde_json::{Map, Value};

use super::places::scalar;
use crate::error::{Error, Reason, nearest};

/// The bytes of a credentials Secret, by key.
pub type CredentialValues = BTreeMap<String, SecretBox<Vec<u8>>>;

/// The values of one credentials Secret. They come from exactly one Secret, never mixed.
#[derive(Default)]
pub struct Credentials {
    /// `NAMESPACE/NAME`, for messages; empty where no Secret is named.
    source: String,
    values: BTreeMap<String, SecretString>,
    not_text: BTreeSet<String>,
}

impl Credentials {
    /// Takes over the values of Secret `source` (`NAMESPACE/NAME`).
    pub fn new(source: impl Into<String>, values: CredentialValues) -> Self {
        let mut credentials =
            Self { source: source.into(), values: BTreeMap::new(), not_text: BTreeSet::new() };
        for (key, value) in values {
            match std::str::from_utf8(value.expose_secret()) {
                Ok(text) => {
                    credentials.values.insert(key, SecretString::from(text));
                }
                Err(_) => {
                    credentials.not_text.insert(key);
                }
            }
        }
        credentials
    }

    /// Adds what a JSON object under a key holds: its strings and numbers, where the Secret has no
    /// key of that name itself.
    pub fn unpack(mut self, key: &str) -> Result<Self, Error> {
        let Some(packed) = self.values.get(key) else { return Ok(self) };
        let object = serde_json::from_str::<Map<String, Value>>(packed.expose_secret());
        // Its error would quote the value.
        let object = object.map_err(|_| {
            let message = format!("Secret {}: key {key:?} is not a JSON object", self.source);
            Error::new(Reason::InvalidCredentials, message)
        })?;
        for (name, member) in object {
            if let Some(text) = scalar(&member) {
                self.values.entry(name).or_insert(text.into());
            }
        }
        Ok(self)
    }

    /// Whether there is such a key, and something in it.
    pub fn has(&self, key: &str) -> bool {
        let filled = |value: &SecretString| !value.expose_secret().is_empty();
        self.values.get(key).is_some_and(filled) || self.not_text.contains(key)
    }

    /// The value of a key, or an error that names the Secret, the key and the keys that are there.
    pub fn get(&self, key: &str) -> Result<&SecretString, Error> {
        if self.source.is_empty() {
            return Err(not_specified([key].into_iter()));
        }
        if self.not_text.contains(key) {
            let message = format!("Secret {}: key {key:?} is not UTF-8 text", self.source);
            return Err(Error::new(Reason::InvalidCredentials, message));
        }
        match self.values.get(key) {
            Some(value) if !value.expose_secret().is_empty() => Ok(value),
            Some(_) => {
                let message = format!("Secret {}: key {key:?} is empty", self.source);
                Err(Error::new(Reason::CredentialsKeyMissing, message))
            }
            None => {
                let hint = nearest(key, self.values.keys().map(String::as_str));
                let message = format!("Secret {} has no key {key:?}{hint}", self.source);
                Err(Error::new(Reason::CredentialsKeyMissing, message))
            }
        }
    }

    /// Those of `keys` whose value ends in a newline, which is seldom meant. PEM ends in one.
    pub fn ending_in_newline<'a>(&self, keys: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        keys.into_iter()
            .filter(|key| {
                self.values.get(*key).is_some_and(|value| {
                    let text = value.expose_secret();
                    text.ends_with('\n') && !text.trim_start().starts_with("-----BEGIN ")
                })
            })
            .map(str::to_owned)
            .collect()
    }

    /// Every value, for the check that nothing shown contains one.
    pub(super) fn values(&self) -> impl Iterator<Item = &SecretString> {
        self.values.values()
    }

    /// `NAMESPACE/NAME` of the Secret.
    pub fn source(&self) -> &str {
        &self.source
    }
}

/// No Secret is named, and these keys are needed.
pub(super) fn not_specified<'a>(keys: impl Iterator<Item = &'a str>) -> Error {
    let keys: Vec<&str> = keys.collect();
    let message = format!(
        "spec.credentialsSecretRef is not set, and the provider brings no credentials: its document \
         takes {} from them",
        keys.join(", ")
    );
    Error::new(Reason::CredentialsNotSpecified, message)
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("source", &self.source).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::oauth::testing::credentials;

    #[rstest]
    #[case::missing(
        "client_secrt",
        Reason::CredentialsKeyMissing,
        "did you mean \"client_secret\"?"
    )]
    #[case::far_off("zzz", Reason::CredentialsKeyMissing, "known: client_id, client_secret, empty")]
    #[case::empty("empty", Reason::CredentialsKeyMissing, "key \"empty\" is empty")]
    #[case::not_text("binary", Reason::InvalidCredentials, "key \"binary\" is not UTF-8 text")]
    fn a_key_that_cannot_be_used_is_named(
        #[case] key: &str,
        #[case] reason: Reason,
        #[case] says: &str,
    ) {
        let mut values: CredentialValues = BTreeMap::new();
        for (key, value) in [
            ("client_id", &b"editor-sync"[..]),
            ("client_secret", b"s3cr3t"),
            ("empty", b""),
            ("binary", b"\xff\xfe"),
        ] {
            values.insert(key.to_owned(), SecretBox::new(Box::new(value.to_vec())));
        }
        let credentials = Credentials::new("web/client", values);
        let error = credentials.get(key).unwrap_err();
        assert_eq!(error.reason(), reason);
        assert!(error.message().starts_with("Secret web/client"), "{error}");
        assert!(error.message().contains(says), "{error}");
        assert!(!error.message().contains("s3cr3t"), "{error}");
        assert!(!format!("{credentials:?}").contains("s3cr3t"));
    }

    #[test]
    fn a_key_file_is_unpacked_beside_the_keys_of_the_secret() {
        let file = r#"{"client_email": "a@b", "key_id": "of the file", "number": 7, "list": []}"#;
        let credentials = credentials(&[("key.json", file), ("key_id", "of the Secret")]);
        let credentials = credentials.unpack("key.json").unwrap().unpack("absent").unwrap();
        let value = |key: &str| credentials.get(key).unwrap().expose_secret().to_owned();
        assert_eq!(value("client_email"), "a@b");
        assert_eq!(value("key_id"), "of the Secret");
        assert_eq!(value("number"), "7");
        assert!(!credentials.has("list"));
    }

    #[test]
    fn a_key_with_nothing_in_it_is_as_good_as_none() {
        let credentials = credentials(&[("full", "x"), ("empty", "")]);
        assert!(credentials.has("full") && !credentials.has("empty"));
    }

    #[test]
    fn a_key_file_that_is_none_is_not_quoted() {
        let error = credentials(&[("key.json", "s3cr3t")]).unpack("key.json").unwrap_err();
        assert_eq!(error.message(), "Secret web/client: key \"key.json\" is not a JSON object");
    }

    #[test]
    fn a_newline_at_the_end_is_noticed_and_kept() {
        let credentials = credentials(&[
            ("a", "x\n"),
            ("b", "x"),
            ("c", "x\n"),
            ("d", "\r\n"),
            ("e", "-----BEGIN X-----\n"),
        ]);
        assert_eq!(credentials.ending_in_newline(["a", "b", "d", "e", "unknown"]), ["a", "d"]);
        assert_eq!(credentials.get("a").unwrap().expose_secret(), "x\n");
    }

    proptest! {
        #[test]
        fn what_a_key_file_holds_is_there_unless_the_secret_has_its_own(
            file in prop::collection::btree_map("[a-c]{1,2}", any::<String>(), 0..6),
            own in prop::collection::btree_map("[a-c]{1,2}", "[^\u{0}]{1,8}", 0..6),
        ) {
            let text = json!(file).to_string();
            let mut values: Vec<(&str, &str)> =
                own.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            values.push(("key.json", &text));
            let credentials = credentials(&values).unpack("key.json").unwrap();
            for (key, value) in &file {
                let expected = own.get(key).unwrap_or(value);
                prop_assert_eq!(credentials.has(key), !expected.is_empty());
                match credentials.get(key) {
                    Ok(found) => prop_assert_eq!(found.expose_secret(), expected),
                    Err(error) => prop_assert!(expected.is_empty(), "{}", error),
                }
            }
            for (key, value) in &own {
                prop_assert_eq!(credentials.get(key).unwrap().expose_secret(), value);
            }
        }

        #[test]
        fn no_key_file_panics_or_is_quoted(file in any::<String>()) {
            if let Err(error) = credentials(&[("key.json", &file)]).unpack("key.json") {
                prop_assert_eq!(error.reason(), Reason::InvalidCredentials);
                prop_assert_eq!(error.message(), "Secret web/client: key \"key.json\" is not a JSON object");
            }
        }
    }
}
