//! From a token to the target's data. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};

use crate::api::annotations::format_time;
use crate::api::keys;

/// A token as a target shows it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The token.
    pub access_token: SecretString,
    /// As the provider says.
    pub token_type: Option<String>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// Further keys, as the provider's document has them.
    pub outputs: Data,
}

/// A target's data: a value for each key.
pub type Data = BTreeMap<String, SecretString>;

/// The default keys, and what the provider's document adds.
pub fn render(shown: &Shown) -> Data {
    let mut data = shown.outputs.clone();
    data.insert(keys::ACCESS_TOKEN.to_owned(), shown.access_token.clone());
    data.insert(keys::EXPIRES_AT.to_owned(), format_time(shown.expires_at).into());
    if let Some(token_type) = &shown.token_type {
        data.insert(keys::TOKEN_TYPE.to_owned(), token_type.as_str().into());
    }
    data
}

/// The keys that a target may get, with these outputs of the provider's document.
pub fn target_keys<'a>(outputs: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    let usual = [keys::ACCESS_TOKEN, keys::TOKEN_TYPE, keys::EXPIRES_AT].map(str::to_owned);
    usual.into_iter().chain(outputs.into_iter().cloned()).collect()
}

/// Reads back what [`render`] made of the token that expires then; `None` where the data holds no
/// token, or another one: after a restore it may be an older one.
pub fn read_back(data: &Data, expires_at: DateTime<Utc>, outputs: &[String]) -> Option<Shown> {
    let value = |key: &str| data.get(key).map(ExposeSecret::expose_secret);
    if value(keys::EXPIRES_AT) != Some(&format_time(expires_at)) {
        return None;
    }
    Some(Shown {
        access_token: value(keys::ACCESS_TOKEN).filter(|token| !token.is_empty())?.into(),
        token_type: value(keys::TOKEN_TYPE).map(str::to_owned),
        expires_at,
        outputs: data
            .iter()
            .filter(|(key, _)| outputs.contains(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rendered_can_be_read_back() {
        let expires_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let shown = Shown {
            access_token: "t".into(),
            token_type: Some("bearer".into()),
            expires_at,
            outputs: Data::from([("instance_url".to_owned(), "https://a.example".into())]),
        };
        let data = render(&shown);
        let keys = ["access_token", "expires_at", "instance_url", "token_type"];
        assert_eq!(data.keys().collect::<Vec<_>>(), keys);
        assert_eq!(data["expires_at"].expose_secret(), "2027-01-15T08:00:00Z");
        let back = read_back(&data, expires_at, &["instance_url".to_owned()]).unwrap();
        assert_eq!(back.access_token.expose_secret(), "t");
        assert_eq!(back.token_type.as_deref(), Some("bearer"));
        assert_eq!(back.outputs["instance_url"].expose_secret(), "https://a.example");
        let later = expires_at + chrono::TimeDelta::seconds(1);
        assert!(read_back(&data, later, &[]).is_none(), "another token was taken for this one");
    }

    #[test]
    fn a_type_that_is_not_told_has_no_key() {
        let shown = Shown {
            access_token: "t".into(),
            token_type: None,
            expires_at: DateTime::UNIX_EPOCH,
            outputs: Data::new(),
        };
        assert!(!render(&shown).contains_key("token_type"));
    }
}
