//! The tokens that were given out, kept so that a test can ask whether one still counts.

use std::collections::{HashMap, HashSet};

use aws_lc_rs::error::Unspecified;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, SubsecRound as _, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::System;
use crate::clock::after;
use crate::judged::GrantType;
use crate::policy::Seed;
use crate::refresh::{RefreshRecord, RefreshTokens};
use crate::systems::{Answer, Grant};

/// A token that was given out. Times are on the simulator's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRecord {
    /// Counts up from 1 over all access and refresh tokens of this simulator.
    pub serial: u64,
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
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// What it was asked for with (the system `oauth2`).
    pub grant: Option<GrantType>,
    /// On whose behalf: a user name, the subject of an assertion or of the parent token.
    pub subject: Option<String>,
    /// The access token that it was exchanged for, or that its client authenticated with.
    pub parent: Option<u64>,
    /// The refresh token that it was given for.
    pub refresh_token: Option<u64>,
}

impl TokenRecord {
    /// Whether a resource server would let it in at that time.
    pub fn active_at(&self, time: DateTime<Utc>) -> bool {
        self.standing_at(time) == Standing::Active
    }

    /// What a token counted at that time.
    pub fn standing_at(&self, time: DateTime<Utc>) -> Standing {
        if self.revoked_at.is_some_and(|revoked| revoked <= time) {
            Standing::Revoked
        } else if self.expires_at <= time {
            Standing::Expired
        } else {
            Standing::Active
        }
    }
}

/// What a token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// A resource server would let it in.
    Active,
    /// Its time is over.
    Expired,
    /// It was revoked, whether its time is over or not.
    Revoked,
}

/// A token was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// The serial of the token.
    pub serial: u64,
    /// Whether it is a refresh token.
    pub refresh_token: bool,
    /// The client that it had been issued to.
    pub client_id: String,
    /// When.
    pub time: DateTime<Utc>,
}

/// The token of one answer.
pub(crate) struct Issue {
    pub(crate) token: String,
    pub(crate) record: TokenRecord,
    /// Seconds that the answer says.
    pub(crate) lifetime: i64,
    /// It was given out before.
    pub(crate) same: bool,
    /// The refresh token that comes with it, and its serial.
    pub(crate) refresh_token: Option<(String, u64)>,
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
    pub(crate) refresh: RefreshTokens,
    revocations: Vec<Revocation>,
    /// Client and `jti` of every assertion that was taken.
    assertions: HashSet<(String, String)>,
    serials: Serials,
}

/// Numbers for tokens of all kinds.
#[derive(Debug, Default)]
pub(crate) struct Serials(u64);

impl Serials {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

impl Tokens {
    pub(crate) fn find(&self, token: &str) -> Option<&TokenRecord> {
        self.records.get(token)
    }

    /// All access tokens, in the order of their serials.
    pub(crate) fn all(&self) -> Vec<TokenRecord> {
        let mut all: Vec<_> = self.records.values().cloned().collect();
        all.sort_by_key(|record| record.serial);
        all
    }

    /// Whether this token is the one that its client was given last.
    pub(crate) fn is_latest(&self, record: &TokenRecord) -> bool {
        let of_client = self
            .records
            .values()
            .filter(|other| (other.system, &other.client_id) == (record.system, &record.client_id));
        of_client.map(|other| other.serial).max() == Some(record.serial)
    }

    /// Whether this client uses this `jti` for the first time.
    pub(crate) fn first_use(&mut self, client_id: &str, jti: &str) -> bool {
        self.assertions.insert((client_id.to_owned(), jti.to_owned()))
    }

    /// What is known of a refresh token. A seed becomes a record when it is seen first, so that a
    /// policy can be set at any time.
    pub(crate) fn refresh_token(
        &mut self,
        token: &str,
        seeds: &[Seed],
        now: DateTime<Utc>,
    ) -> Option<RefreshRecord> {
        if self.refresh.find(token).is_none() {
            let seed = seeds.iter().find(|seed| seed.token == token)?;
            let record = RefreshRecord::first(self.serials.next(), seed.client_id.clone(), now);
            self.refresh.insert(token.to_owned(), record);
        }
        self.refresh.find(token).cloned()
    }

    pub(crate) fn issue(&mut self, terms: &Terms, grant: &Grant) -> Result<Issue, Unspecified> {
        let mut issue = match self.again(terms, grant) {
            Some(issue) => issue,
            None => self.fresh(terms, grant)?,
        };
        if let Some(used) = &grant.origin.refresh {
            issue.refresh_token = self.refresh.redeem(used, &mut self.serials, terms.now)?;
        }
        Ok(issue)
    }

    pub(crate) fn revocations(&self) -> &[Revocation] {
        &self.revocations
    }

    /// Revokes the access or refresh token of this serial; with a refresh token goes everything
    /// that came of the same sign-in (RFC 7009 §2.1). Says whether there is such a token.
    pub(crate) fn revoke(&mut self, serial: u64, now: DateTime<Utc>) -> bool {
        let mut family = Vec::new();
        for record in self.refresh.family_of(serial) {
            family.push(record.serial);
            if record.revoked_at.is_none() {
                record.revoked_at = Some(now);
                self.revocations.push(Revocation {
                    serial: record.serial,
                    refresh_token: true,
                    client_id: record.client_id.clone(),
                    time: now,
                });
            }
        }
        let mut found = !family.is_empty();
        for record in self.records.values_mut() {
            let of_family = record.refresh_token.is_some_and(|serial| family.contains(&serial));
            if record.serial == serial || of_family {
                found = true;
                if record.revoked_at.is_none() {
                    record.revoked_at = Some(now);
                    self.revocations.push(Revocation {
                        serial: record.serial,
                        refresh_token: false,
                        client_id: record.client_id.clone(),
                        time: now,
                    });
                }
            }
        }
        found
    }

    fn again(&self, terms: &Terms, grant: &Grant) -> Option<Issue> {
        let key = (terms.system, grant.key.clone());
        let token = self.latest.get(&key)?;
        let record = self.records.get(token)?;
        let remaining = (record.expires_at - terms.now).num_seconds();
        let good = terms.same_until.is_some_and(|least| remaining > least);
        (good && record.revoked_at.is_none()).then(|| Issue {
            token: token.clone(),
            record: record.clone(),
            lifetime: remaining,
            same: true,
            refresh_token: None,
        })
    }

    fn fresh(&mut self, terms: &Terms, grant: &Grant) -> Result<Issue, Unspecified> {
        // A JWT counts in whole seconds, and Oracle's `expiration.value` says the same as its
        // `exp`.
        let channel = terms.system.profile().answer == Answer::Channel;
        let issued_at = if channel { terms.now.trunc_subsecs(0) } else { terms.now };
        let origin = &grant.origin;
        let record = TokenRecord {
            serial: self.serials.next(),
            system: terms.system,
            client_id: grant.client_id.clone(),
            scope: grant.scope.clone(),
            issued_at,
            expires_at: after(issued_at, terms.lifetime),
            revoked_at: None,
            grant: origin.grant,
            subject: origin.subject.clone(),
            parent: origin.parent,
            refresh_token: origin.refresh.as_ref().map(|used| used.serial),
        };
        let token = if channel { jwt(&record)? } else { random::<48>()? };
        self.latest.insert((terms.system, grant.key.clone()), token.clone());
        self.records.insert(token.clone(), record.clone());
        Ok(Issue { token, record, lifetime: terms.lifetime, same: false, refresh_token: None })
    }
}

/// `N` random bytes as text that survives every encoding.
pub(crate) fn random<const N: usize>() -> Result<String, Unspecified> {
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
    use crate::systems::Origin;

    fn grant(client: &str) -> Grant {
        Grant {
            client_id: client.into(),
            scope: None,
            key: client.into(),
            origin: Origin::default(),
        }
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
