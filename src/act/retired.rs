//! Former tokens that are to be revoked once nobody can hold them any more. They are in memory
//! only: a token that was replaced is kept nowhere else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::Case;
use crate::decide::HeldToken;
use crate::flow::uid;
use crate::watch::Materials;

/// A token and who issued it.
#[derive(Clone, Debug)]
pub(super) struct Former {
    pub(super) token: SecretString,
    pub(super) issuer: Materials,
}

/// A former token that is to be revoked.
#[derive(Clone, Debug)]
pub(super) struct Retired {
    pub(super) former: Former,
    pub(super) revoke_at: DateTime<Utc>,
    /// After that nothing has to be revoked.
    pub(super) expires_at: DateTime<Utc>,
}

/// Former tokens, by the uid of the resource that they were of.
#[derive(Debug, Default)]
pub(super) struct RetiredTokens {
    retired: Mutex<HashMap<String, Vec<Retired>>>,
    /// With what the present token was asked for, of those that are to be revoked one day.
    published: Mutex<HashMap<String, (Materials, DateTime<Utc>)>>,
}

impl RetiredTokens {
    /// Notes what a token was asked for with.
    pub(super) fn note_published(&self, case: &Case, (materials, held): (&Materials, &HeldToken)) {
        let token = &case.snapshot.token;
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        // So nothing is kept of resources that are gone.
        published.retain(|_, (_, expires_at)| *expires_at > held.issued_at);
        if token.spec.revoke.is_empty() {
            published.remove(uid(token));
        } else {
            published.insert(uid(token).to_owned(), (materials.clone(), held.expires_at));
        }
    }

    /// With what the present token was asked for, where this process did that.
    pub(super) fn published(&self, uid: &str) -> Option<Materials> {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.get(uid).map(|(materials, _)| materials.clone())
    }

    pub(super) fn add(&self, uid: &str, retired: Retired, now: DateTime<Utc>) {
        let mut all = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
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
        let mut all = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
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
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).remove(uid).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ProviderKind;
    use crate::oauth::Asking;
    use crate::watch::compile;

    fn former() -> Former {
        let document =
            serde_json::from_value(serde_json::json!({"request": {"url": "https://id.example/t"}}));
        let endpoint = compile(&document.unwrap(), ProviderKind::OAuthProvider).unwrap();
        let issuer = Materials {
            provider: "web/p".to_owned(),
            endpoint,
            asking: Asking::default(),
            credentials: None,
            parents: Vec::new(),
            service_account: None,
        };
        Former { token: "t".into(), issuer }
    }

    #[test]
    fn what_is_due_is_taken_and_the_next_is_told() {
        let at = |second| DateTime::from_timestamp(second, 0).unwrap();
        let tokens = RetiredTokens::default();
        for second in [30, 10, 20] {
            let retired = Retired { former: former(), revoke_at: at(second), expires_at: at(100) };
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
            |expires| Retired { former: former(), revoke_at: at(5), expires_at: at(expires) };
        tokens.add("gone", retired(10), at(0));
        tokens.add("here", retired(100), at(10));
        assert_eq!((tokens.take_all("gone").len(), tokens.take_all("here").len()), (0, 1));
    }
}
