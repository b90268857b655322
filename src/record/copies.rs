//! What is remembered of cluster tokens while the process lives, and the status that follows.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::conditions::{self, FRESH, READY, STALLED, SUSPENDED, Stamp, Verdict};
use crate::api::{
    ClusterOAuthClientTokenStatus, NAMED_FAILURES, NamespaceCounts, NamespaceFailure,
    OAuthClientTokenStatus, TOLD_FAILURE,
};
use crate::decide::{CopyFacts, CopyOutcome, Lesson, SecretKey, Tally, learn_copy};
use crate::error::shortened;

/// Copies, the grant's status and the last written one, by uid.
#[derive(Debug, Default)]
pub struct CopyLedger(Mutex<HashMap<String, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    copies: BTreeMap<SecretKey, CopyFacts>,
    grant: OAuthClientTokenStatus,
    written: ClusterOAuthClientTokenStatus,
}

impl CopyLedger {
    fn with<T>(&self, uid: &str, act: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(uid).map(act)
    }

    /// Takes up a cluster token, where that was not done yet.
    pub fn open(&self, uid: &str, written: Option<&ClusterOAuthClientTokenStatus>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(uid.to_owned()).or_insert_with(|| {
            let written = written.cloned().unwrap_or_default();
            Entry { grant: written.grant.clone(), written, ..Entry::default() }
        });
    }

    /// What is remembered of copies: of those alone that `is_wanted` still.
    pub fn copies(
        &self,
        uid: &str,
        is_wanted: impl Fn(&SecretKey) -> bool,
    ) -> BTreeMap<SecretKey, CopyFacts> {
        let copies = self.with(uid, |entry| {
            entry.copies.retain(|key, _| is_wanted(key));
            entry.copies.clone()
        });
        copies.unwrap_or_default()
    }

    /// Takes what came of changes into account.
    pub fn learn(&self, uid: &str, outcomes: &[CopyOutcome], lesson: Lesson<'_>) {
        self.with(uid, |entry| {
            for outcome in outcomes {
                let facts = entry.copies.entry(outcome.key.clone()).or_default();
                *facts = learn_copy(std::mem::take(facts), outcome, lesson);
            }
        });
    }

    /// Notes how the grant stands.
    pub fn note_grant(&self, uid: &str, grant: OAuthClientTokenStatus) {
        self.with(uid, |entry| entry.grant = grant);
    }

    /// How the grant stands, and the status that was last written; `None` before anything is known.
    pub fn statuses(
        &self,
        uid: &str,
    ) -> Option<(OAuthClientTokenStatus, ClusterOAuthClientTokenStatus)> {
        let statuses = self.with(uid, |entry| (entry.grant.clone(), entry.written.clone()))?;
        (!statuses.0.conditions.is_empty()).then_some(statuses)
    }

    /// Notes a status that was written.
    pub fn note_written(&self, uid: &str, status: ClusterOAuthClientTokenStatus) {
        self.with(uid, |entry| entry.written = status);
    }

    /// Forgets everything: another process may have acted since.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets a cluster token that is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// The status of a cluster token: the grant's, and how the namespaces stand, which have a say in
/// `Ready` and `Fresh`. Where that cannot be told it stays as it was `before`.
pub fn cluster_status(
    grant: &OAuthClientTokenStatus,
    (tally, secret_name): (Option<&Tally>, &str),
    before: &ClusterOAuthClientTokenStatus,
    stamp: Stamp,
) -> ClusterOAuthClientTokenStatus {
    let mut now = before.grant.conditions.clone();
    for type_ in [READY, FRESH, STALLED] {
        let Some(own) = conditions::find(&grant.conditions, type_) else { continue };
        let said = match type_ {
            READY => tally.and_then(|tally| tally.ready(stamp.now)),
            // Whoever is suspended gives nobody anything: that is no failure.
            FRESH if own.status == "True" && own.reason != SUSPENDED => {
                tally.and_then(Tally::failed)
            }
            _ => None,
        };
        match said.filter(|said| type_ != READY || overrides(said, own)) {
            Some(verdict) => conditions::set(&mut now, type_, verdict, stamp),
            None => conditions::carry(&mut now, own, stamp),
        }
    }
    let count = |number: usize| number.try_into().unwrap_or(i32::MAX);
    let counts = tally.map(|tally| NamespaceCounts {
        selected: count(tally.selected),
        ready: count(tally.ready),
        failed: count(tally.failures.len()),
    });
    let failures = tally.map(|tally| {
        tally.failures.iter().take(NAMED_FAILURES).map(|(namespace, error)| NamespaceFailure {
            namespace: namespace.clone(),
            reason: error.reason().as_str().to_owned(),
            // Twenty of them have to fit into one object, whatever others' Secrets say of themselves.
            message: shortened(error.message(), TOLD_FAILURE),
        })
    });
    ClusterOAuthClientTokenStatus {
        grant: OAuthClientTokenStatus {
            conditions: now,
            secret_name: grant.token.as_ref().map(|_| secret_name.to_owned()),
            ..grant.clone()
        },
        namespaces: counts.or(before.namespaces),
        failures: failures.map_or_else(|| before.failures.clone(), Iterator::collect),
    }
}

/// While there is no token that could be given to anybody, why that is so says more.
fn overrides(said: &Verdict, own: &Condition) -> bool {
    said.status == "True" || own.status == "True"
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::api::conditions::{Holds, set};
    use crate::error::{Error, Reason};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn stamp() -> Stamp {
        Stamp { now: at(100), generation: Some(3) }
    }

    /// A grant of which these are said.
    fn grant(conditions: [(&str, Holds, &'static str); 2]) -> OAuthClientTokenStatus {
        let mut status = OAuthClientTokenStatus::default();
        for (type_, holds, reason) in conditions {
            set(&mut status.conditions, type_, Verdict::new(holds, reason, reason), stamp());
        }
        status
    }

    fn good() -> OAuthClientTokenStatus {
        grant([(READY, Holds::Yes, "TokenValid"), (FRESH, Holds::Yes, "Refreshed")])
    }

    fn tally(selected: usize, failed: usize) -> Tally {
        let error = |n| (format!("ns{n:02}"), Error::new(Reason::WriteFailed, "refused"));
        Tally {
            selected,
            ready: selected - failed,
            expires_at: Some(at(900)),
            failures: (0..failed).map(error).collect(),
        }
    }

    fn status(
        grant: &OAuthClientTokenStatus,
        tally: Option<&Tally>,
    ) -> ClusterOAuthClientTokenStatus {
        cluster_status(grant, (tally, "copy"), &ClusterOAuthClientTokenStatus::default(), stamp())
    }

    fn reasons(status: &ClusterOAuthClientTokenStatus) -> Vec<&str> {
        status.grant.conditions.iter().map(|condition| condition.reason.as_str()).collect()
    }

    #[test]
    fn as_many_failures_are_named_as_the_schema_holds() {
        let status = status(&good(), Some(&tally(200, 50)));
        assert_eq!(
            status.namespaces,
            Some(NamespaceCounts { selected: 200, ready: 150, failed: 50 })
        );
        let named: Vec<_> = status.failures.iter().map(|failure| &*failure.namespace).collect();
        assert_eq!((named.len(), named[0], named[19]), (20, "ns00", "ns19"));
        assert_eq!(reasons(&status), ["NamespacesFailed", "NamespacesFailed"]);
    }

    #[test]
    fn a_failure_is_told_in_so_many_characters() {
        let error = Error::new(Reason::SecretNotOwned, "ü".repeat(100_000));
        let tally =
            Tally { selected: 1, failures: vec![("a".to_owned(), error)], ..Tally::default() };
        let told = status(&good(), Some(&tally)).failures.remove(0).message;
        assert_eq!(told.chars().count(), TOLD_FAILURE);
    }

    #[test]
    fn what_is_amiss_with_the_grant_says_more_than_that_nobody_has_its_token() {
        let refused =
            grant([(READY, Holds::No, "AccessDenied"), (FRESH, Holds::No, "AccessDenied")]);
        let nobody = Tally { selected: 2, ..Tally::default() };
        assert_eq!(reasons(&status(&refused, Some(&nobody))), ["AccessDenied", "AccessDenied"]);
        assert_eq!(reasons(&status(&good(), Some(&nobody))), ["Pending", "Refreshed"]);
    }

    #[test]
    fn in_suspension_no_namespace_is_one_that_failed() {
        let suspended = grant([(READY, Holds::Yes, "TokenValid"), (FRESH, Holds::Yes, SUSPENDED)]);
        assert_eq!(
            reasons(&status(&suspended, Some(&tally(3, 1)))),
            ["NamespacesFailed", "Suspended"]
        );
    }

    #[test]
    fn what_cannot_be_told_stays_as_it_was() {
        let before = status(&good(), Some(&tally(3, 1)));
        let lost =
            grant([(READY, Holds::Yes, "TokenValid"), (FRESH, Holds::No, "ProviderNotFound")]);
        let after = cluster_status(&lost, (None, "copy"), &before, stamp());
        assert_eq!((after.namespaces, &after.failures), (before.namespaces, &before.failures));
        assert_eq!(reasons(&after), ["TokenValid", "ProviderNotFound"]);
    }
}
