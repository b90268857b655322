//! From a token to the target's data. Pure.

mod claims;
mod filters;
mod formats;
mod labels;
mod limited;
mod shape;
mod template;
#[cfg(test)]
mod testing;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

pub use shape::{Place, Rendered, Shape};

use crate::api::annotations::format_time;
use crate::api::keys;

/// As much as the API server takes of a Secret's values.
const LARGEST_SECRET: usize = 1024 * 1024;

/// A token as a target shows it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The token.
    pub access_token: SecretString,
    /// As the provider says.
    pub token_type: Option<String>,
    /// Its times.
    pub times: Times,
    /// Further keys, as the provider's document has them.
    pub outputs: Data,
}

/// The times of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When it was asked for.
    pub issued_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// When the next one is asked for.
    pub refresh_at: DateTime<Utc>,
}

/// A target's data: a value for each key.
pub type Data = BTreeMap<String, SecretString>;

/// The default keys, and what the provider's document adds.
fn default_keys(shown: &Shown) -> Data {
    let mut data = shown.outputs.clone();
    data.insert(keys::ACCESS_TOKEN.to_owned(), shown.access_token.clone());
    data.insert(keys::EXPIRES_AT.to_owned(), format_time(shown.times.expires_at).into());
    if let Some(token_type) = &shown.token_type {
        data.insert(keys::TOKEN_TYPE.to_owned(), token_type.as_str().into());
    }
    data
}

/// The keys that a target may get, with these outputs of the provider's document and these of its
/// declared shape.
pub fn target_keys<'a>(further: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let usual = [keys::ACCESS_TOKEN, keys::TOKEN_TYPE, keys::EXPIRES_AT];
    usual.into_iter().chain(further).map(str::to_owned).collect()
}

/// Base64 with padding, as Kubernetes and HTTP have it.
fn encode(text: &str) -> String {
    STANDARD.encode(text)
}

/// Reads back what was written of the token that has these times; `None` where the data holds no
/// token, or another one: after a restore it may be an older one.
pub fn read_back(data: &Data, times: Times, outputs: &[String]) -> Option<Shown> {
    let value = |key: &str| data.get(key).map(ExposeSecret::expose_secret);
    if value(keys::EXPIRES_AT) != Some(&format_time(times.expires_at)) {
        return None;
    }
    Some(Shown {
        access_token: value(keys::ACCESS_TOKEN).filter(|token| !token.is_empty())?.into(),
        token_type: value(keys::TOKEN_TYPE).map(str::to_owned),
        times,
        outputs: data
            .iter()
            .filter(|(key, _)| outputs.contains(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::testing::shown;
    use super::*;

    #[test]
    fn what_is_rendered_can_be_read_back() {
        let shown = shown();
        let data = default_keys(&shown);
        let keys = ["access_token", "expires_at", "instance_url", "token_type"];
        assert_eq!(data.keys().collect::<Vec<_>>(), keys);
        assert_eq!(data["expires_at"].expose_secret(), "2027-01-15T08:00:00Z");
        let back = read_back(&data, shown.times, &["instance_url".to_owned()]).unwrap();
        assert_eq!(back.access_token.expose_secret(), shown.access_token.expose_secret());
        assert_eq!(back.token_type.as_deref(), Some("bearer"));
        assert_eq!(back.outputs["instance_url"].expose_secret(), "https://a.example");
        let expires_at = shown.times.expires_at + chrono::TimeDelta::seconds(1);
        let later = Times { expires_at, ..shown.times };
        assert!(read_back(&data, later, &[]).is_none(), "another token was taken for this one");
    }

    #[test]
    fn a_type_that_is_not_told_has_no_key() {
        let shown = Shown { token_type: None, ..shown() };
        assert!(!default_keys(&shown).contains_key("token_type"));
    }
}
