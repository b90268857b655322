//! Former tokens that are to be revoked once nobody can hold them any more. They are in memory
//! only: a token that was replaced is kept nowhere else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use secrecy::SecretString;

/// A former token.
#[derive(Clone, Debug)]
pub(super) struct Retired {
    pub(super) token: SecretString,
    pub(super) revoke_at: DateTime<Utc>,
    /// After that nothing has to be revoked.
    pub(super) expires_at: DateTime<Utc>,
}

/// Former tokens, by the uid of the resource that they were of.
#[derive(Debug, Default)]
pub(super) struct RetiredTokens(Mutex<HashMap<String, Vec<Retired>>>);

impl RetiredTokens {
    pub(super) fn add(&self, uid: &str, retired: Retired, now: DateTime<Utc>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What has expired need not be revoked: so nothing is kept of resources that are gone.
        all.retain(|_, of_one| {
            of_one.retain(|former| former.expires_at > now);
            !of_one.is_empty()
        });
        all.entry(uid.to_owned()).or_default().push(retired);
    }

    /// Takes those that are due, and tells when the next one is.
    pub(super) fn take_due(
        &self,
        uid: &str,
        now: DateTime<Utc>,
    ) -> (Vec<Retired>, Option<DateTime<Utc>>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (due, later): (Vec<_>, Vec<_>) =
            all.remove(uid).unwrap_or_default().into_iter().partition(|r| r.revoke_at <= now);
        let next = later.iter().map(|retired| retired.revoke_at).min();
        if !later.is_empty() {
            all.insert(uid.to_owned(), later);
        }
        (due, next)
    }

    /// Takes all of them: the resource is going.
    pub(super) fn take_all(&self, uid: &str) -> Vec<Retired> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_taken_and_the_next_is_told() {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let tokens = RetiredTokens::default();
        for second in [30, 10, 20] {
            let retired = Retired { token: "t".into(), revoke_at: at(second), expires_at: at(100) };
            tokens.add("u", retired, at(0));
        }
        let (due, next) = tokens.take_due("u", at(20));
        assert_eq!(due.iter().map(|r| r.revoke_at).collect::<Vec<_>>(), [at(10), at(20)]);
        assert_eq!(next, Some(at(30)));
        assert_eq!(tokens.take_all("u").len(), 1);
        assert_eq!(tokens.take_due("u", at(100)).1, None);
    }

    #[test]
    fn what_has_expired_is_not_kept() {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let tokens = RetiredTokens::default();
        let retired =
            |expires| Retired { token: "t".into(), revoke_at: at(5), expires_at: at(expires) };
        tokens.add("gone", retired(10), at(0));
        tokens.add("here", retired(100), at(10));
        assert_eq!((tokens.take_all("gone").len(), tokens.take_all("here").len()), (0, 1));
    }
}
