//! Refresh tokens: which were given out, which were used, which came of which.

use std::collections::HashMap;

use aws_lc_rs::error::Unspecified;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::clock::after;
use crate::policy::{Reuse, Rotation};
use crate::tokens::{Serials, random};

/// A refresh token. Times are on the simulator's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefreshRecord {
    /// Counts up from 1 over all access and refresh tokens of this simulator.
    pub serial: u64,
    /// The serial of the first one, of which it came by rotation.
    pub family: u64,
    /// The client that it was issued to.
    pub client_id: String,
    /// When it was given out; for a seed, when it was first seen.
    pub issued_at: DateTime<Utc>,
    /// When it was first used.
    pub used_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A refresh token that is about to be used.
#[derive(Debug, Clone)]
pub(crate) struct Redemption {
    pub(crate) serial: u64,
    pub(crate) rotation: Rotation,
}

/// Why a refresh token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    Revoked,
    /// It was used before, and what that does.
    Used(Reuse),
}

impl RefreshRecord {
    /// The first of its family.
    pub(crate) fn first(serial: u64, client_id: String, now: DateTime<Utc>) -> Self {
        Self { serial, family: serial, client_id, issued_at: now, used_at: None, revoked_at: None }
    }

    /// Whether it may be used now.
    pub(crate) fn fit(&self, rotation: Rotation, now: DateTime<Utc>) -> Result<Redemption, Unfit> {
        if self.revoked_at.is_some() {
            return Err(Unfit::Revoked);
        }
        match (rotation, self.used_at) {
            (Rotation::EachUse { grace, on_reuse }, Some(used)) if after(used, grace) <= now => {
                Err(Unfit::Used(on_reuse))
            }
            _ => Ok(Redemption { serial: self.serial, rotation }),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct RefreshTokens {
    records: HashMap<String, RefreshRecord>,
}

impl RefreshTokens {
    /// All of them, in the order of their serials.
    pub(crate) fn all(&self) -> Vec<RefreshRecord> {
        let mut all: Vec<_> = self.records.values().cloned().collect();
        all.sort_by_key(|record| record.serial);
        all
    }

    pub(crate) fn find(&self, token: &str) -> Option<&RefreshRecord> {
        self.records.get(token)
    }

    pub(crate) fn insert(&mut self, token: String, record: RefreshRecord) {
        self.records.insert(token, record);
    }

    /// Marks it as used and gives its successor, if there is to be one.
    pub(crate) fn redeem(
        &mut self,
        used: &Redemption,
        serials: &mut Serials,
        now: DateTime<Utc>,
    ) -> Result<Option<(String, u64)>, Unspecified> {
        let Some(record) = self.records.values_mut().find(|record| record.serial == used.serial)
        else {
            return Ok(None);
        };
        record.used_at.get_or_insert(now);
        if used.rotation == Rotation::Never {
            return Ok(None);
        }
        let mut successor = RefreshRecord::first(serials.next(), record.client_id.clone(), now);
        successor.family = record.family;
        let (token, serial) = (random::<48>()?, successor.serial);
        self.insert(token.clone(), successor);
        Ok(Some((token, serial)))
    }

    /// The refresh token of this serial and all that came of the same first one.
    pub(crate) fn family_of(&mut self, serial: u64) -> impl Iterator<Item = &mut RefreshRecord> {
        let family = self.records.values().find(|record| record.serial == serial);
        let family = family.map(|record| record.family);
        self.records.values_mut().filter(move |record| Some(record.family) == family)
    }
}
