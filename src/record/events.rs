//! Events: one on each change of state, none on each refresh.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::conditions::{FRESH, READY, STALLED, SUSPENDED, find};

/// Something that a person may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether it is trouble.
    pub trouble: bool,
    /// Stable word.
    pub reason: String,
    /// For people.
    pub note: String,
}

/// What changed between two states of the conditions.
pub fn notices(before: &[Condition], after: &[Condition]) -> Vec<Notice> {
    let mut notices: Vec<Notice> = Vec::new();
    for type_ in [READY, FRESH, STALLED] {
        let Some(now) = find(after, type_) else { continue };
        let was = find(before, type_);
        let changed = was.is_none_or(|was| was.status != now.status || was.reason != now.reason);
        if changed && is_news(type_, was, now) {
            // What a person did on purpose is no trouble.
            let trouble = (now.status == "True") == (type_ == STALLED) && now.reason != SUSPENDED;
            let notice = Notice { trouble, reason: now.reason.clone(), note: now.message.clone() };
            // One cause is told once, whatever conditions it shows in.
            if !notices.iter().any(|told| told.reason == notice.reason) {
                notices.push(notice);
            }
        }
    }
    notices
}

/// That nothing has happened yet, or that something normal stays normal, is no news.
fn is_news(type_: &str, was: Option<&Condition>, now: &Condition) -> bool {
    let status_changed = was.is_none_or(|was| was.status != now.status);
    match (type_, now.reason.as_str()) {
        (_, reason) if waits(reason) => false,
        (FRESH, "Refreshed") => was.is_some_and(|was| was.status == "False" && !waits(&was.reason)),
        (FRESH, SUSPENDED) => was.is_none_or(|was| was.reason != SUSPENDED),
        (_, "TokenValid") => status_changed,
        _ => true,
    }
}

/// Whether a token only waits. Thousands may wait for one provider, and an event for each of them
/// would hold up what they wait for.
fn waits(reason: &str) -> bool {
    matches!(reason, "Pending" | "Progressing" | "ProviderBusy")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn conditions(states: [(&str, &str); 3]) -> Vec<Condition> {
        let conditions = [READY, FRESH, STALLED].into_iter().zip(states);
        conditions
            .map(|(type_, (status, reason))| Condition {
                type_: type_.into(),
                status: status.into(),
                reason: reason.into(),
                message: String::new(),
                observed_generation: None,
                last_transition_time: crate::clock::to_kube(chrono::DateTime::UNIX_EPOCH),
            })
            .collect()
    }

    const BUSY: [(&str, &str); 3] =
        [("False", "Pending"), ("False", "ProviderBusy"), ("False", "Progressing")];
    const GOOD: [(&str, &str); 3] =
        [("True", "TokenValid"), ("True", "Refreshed"), ("False", "Progressing")];
    const PENDING: [(&str, &str); 3] =
        [("False", "Pending"), ("False", "Pending"), ("False", "Progressing")];
    const LATE: [(&str, &str); 3] =
        [("True", "TokenValid"), ("False", "ProviderError"), ("False", "Progressing")];
    const DEAD: [(&str, &str); 3] = [
        ("False", "TokenRequestRejected"),
        ("False", "TokenRequestRejected"),
        ("True", "TokenRequestRejected"),
    ];

    const SUSPENDED: [(&str, &str); 3] =
        [("True", "TokenValid"), ("True", "Suspended"), ("False", "Progressing")];
    const SUSPENDED_AND_OVERDUE: [(&str, &str); 3] =
        [("True", "TokenValid"), ("False", "Suspended"), ("False", "Progressing")];
    const EXPIRED: [(&str, &str); 3] =
        [("False", "TokenExpired"), ("False", "Suspended"), ("False", "Progressing")];

    #[rstest]
    #[case::first(PENDING, GOOD, &["TokenValid"])]
    #[case::refreshed_again(GOOD, GOOD, &[])]
    #[case::waits_for_its_turn(PENDING, BUSY, &[])]
    #[case::has_had_it(BUSY, GOOD, &["TokenValid"])]
    #[case::late(GOOD, LATE, &["!ProviderError"])]
    #[case::late_again(LATE, LATE, &[])]
    #[case::recovered(LATE, GOOD, &["Refreshed"])]
    #[case::dead(LATE, DEAD, &["!TokenRequestRejected"])]
    #[case::mended(DEAD, GOOD, &["TokenValid", "Refreshed"])]
    #[case::lost_for_a_moment(GOOD, PENDING, &[])]
    #[case::suspended(GOOD, SUSPENDED, &["Suspended"])]
    #[case::still_suspended(SUSPENDED, SUSPENDED_AND_OVERDUE, &[])]
    #[case::expired_in_suspension(SUSPENDED_AND_OVERDUE, EXPIRED, &["!TokenExpired"])]
    #[case::resumed(SUSPENDED, GOOD, &[])]
    fn changes_are_told_once(
        #[case] before: [(&str, &str); 3],
        #[case] after: [(&str, &str); 3],
        #[case] expected: &[&str],
    ) {
        let told: Vec<String> = notices(&conditions(before), &conditions(after))
            .into_iter()
            .map(|n| format!("{}{}", if n.trouble { "!" } else { "" }, n.reason))
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn a_new_object_that_waits_is_no_news() {
        assert_eq!(notices(&[], &conditions(PENDING)), []);
    }
}
