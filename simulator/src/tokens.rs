//! The tokens that were given out, kept so that a test can ask whether one still counts.

use std::collections::HashMap;

use aws_lc_rs::error::Unspecified;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Serialize;
use serde_json::json;

use crate::System;
use crate::clock::after;
use crate::systems::{Answer, Grant};

/// A token that was given out. Times are on the simulator's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRecord {
    /// The system that issued it.
    pub system: System,
    /// The client (Oracle: channel) that it was issued to.
    pub client_id: String,
    /// The scope that was asked for.
    pub scope: Option<String>,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When it expires (between 1970 and 9999, whatever the lifetime).
    pub expires_at: DateTime<Utc>,
}

impl TokenRecord {
    /// Whether a resource server would still let it in at that time.
    pub fn active_at(&self, time: DateTime<Utc>) -> bool {
        time < self.expires_at
    }
}

/// The token of one answer.
pub(crate) struct Issue {
    pub(crate) token: String,
    pub(crate) record: TokenRecord,
    /// Seconds that the answer says.
    pub(crate) lifetime: i64,
    /// It was given out before.
    pub(crate) same: bool,
}

/// How a token is to be issued.
pub(crate) struct Terms {
    pub(crate) system: System,
    pub(crate) now: DateTime<Utc>,
    pub(crate) lifetime: i64,
    /// Give the earlier token again while more than this many seconds remain.
    pub(crate) same_until: Option<i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Tokens {
    records: HashMap<String, TokenRecord>,
    latest: HashMap<(System, String), String>,
}

impl Tokens {
    pub(crate) fn find(&self, token: &str) -> Option<TokenRecord> {
        self.records.get(token).cloned()
    }

    pub(crate) fn issue(&mut self, terms: &Terms, grant: &Grant) -> Result<Issue, Unspecified> {
        match self.again(terms, grant) {
            Some(issue) => Ok(issue),
            None => self.fresh(terms, grant),
        }
    }

    fn again(&self, terms: &Terms, grant: &Grant) -> Option<Issue> {
        let key = (terms.system, grant.subject.clone());
        let token = self.latest.get(&key)?;
        let record = self.records.get(token)?;
        let remaining = (record.expires_at - terms.now).num_seconds();
        (remaining > terms.same_until?).then(|| Issue {
            token: token.clone(),
            record: record.clone(),
            lifetime: remaining,
            same: true,
        })
    }

    fn fresh(&mut self, terms: &Terms, grant: &Grant) -> Result<Issue, Unspecified> {
        // A JWT counts in whole seconds, and Oracle's `expiration.value` says the same as its
        // `exp`.
        let channel = terms.system.profile().answer == Answer::Channel;
        let issued_at = if channel { terms.now.trunc_subsecs(0) } else { terms.now };
        let record = TokenRecord {
            system: terms.system,
            client_id: grant.client_id.clone(),
            scope: grant.scope.clone(),
            issued_at,
            expires_at: after(issued_at, terms.lifetime),
        };
        let token = if channel { jwt(&record)? } else { random::<48>()? };
        self.latest.insert((terms.system, grant.subject.clone()), token.clone());
        self.records.insert(token.clone(), record.clone());
        Ok(Issue { token, record, lifetime: terms.lifetime, same: false })
    }
}

/// `N` random bytes as text that survives every encoding.
fn random<const N: usize>() -> Result<String, Unspecified> {
    let mut bytes = [0_u8; N];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// JWT-shaped; the signature is random, for nobody has a key to check it with.
fn jwt(record: &TokenRecord) -> Result<String, Unspecified> {
    let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg": "RS256", "typ": "JWT"}));
    let claims = part(json!({
        "channelId": record.client_id,
        "iat": record.issued_at.timestamp(),
        "exp": record.expires_at.timestamp(),
        "jti": random::<16>()?,
    }));
    Ok(format!("{header}.{claims}.{}", random::<64>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(client: &str) -> Grant {
        Grant { client_id: client.into(), scope: None, subject: client.into() }
    }

    fn terms(seconds: i64, same_until: Option<i64>) -> Terms {
        Terms {
            system: System::Oauth2,
            now: after(DateTime::UNIX_EPOCH, seconds),
            lifetime: 10,
            same_until,
        }
    }

    #[test]
    fn tokens_are_long_and_unlike() {
        let mut tokens = Tokens::default();
        let one = tokens.issue(&terms(0, None), &grant("a")).unwrap();
        let two = tokens.issue(&terms(0, None), &grant("a")).unwrap();
        assert!(one.token.len() >= 40 && one.token != two.token);
        let found = tokens.find(&one.token).unwrap();
        assert!(
            found.active_at(after(DateTime::UNIX_EPOCH, 9))
                && !found.active_at(after(DateTime::UNIX_EPOCH, 10))
        );
    }

    #[test]
    fn the_same_token_comes_again_to_the_same_client_until_little_remains() {
        let mut tokens = Tokens::default();
        let first = tokens.issue(&terms(0, Some(4)), &grant("a")).unwrap();
        let again = tokens.issue(&terms(5, Some(4)), &grant("a")).unwrap();
        assert!(!first.same && again.same && again.token == first.token);
        assert_eq!(again.lifetime, 5);
        assert!(!tokens.issue(&terms(5, Some(4)), &grant("b")).unwrap().same);
        assert!(!tokens.issue(&terms(6, Some(4)), &grant("a")).unwrap().same);
    }
}
