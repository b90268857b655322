//! Annotations of target Secrets and of `OAuthClientToken`s.

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};

use super::{CLUSTER_TOKEN, MANAGER};

/// On a target: when the token was asked for (RFC 3339, whole seconds).
pub const ISSUED_AT: &str = "tokenward.dev/issued-at";
/// On a target: when the token expires.
pub const EXPIRES_AT: &str = "tokenward.dev/expires-at";
/// On a target: when the next token is asked for.
pub const REFRESH_AT: &str = "tokenward.dev/refresh-at";
/// On a target: digest of what the token was asked with.
pub const INPUTS: &str = "tokenward.dev/inputs";
/// On a target: the resource that it belongs to, see [`Owner`].
pub const OWNER: &str = "tokenward.dev/owner";
/// On a target: when its token took another's place, where workloads are restarted for that.
pub const CHANGED_AT: &str = "tokenward.dev/changed-at";
/// On a workload's pod template: when we last restarted it.
pub const RESTARTED_AT: &str = "tokenward.dev/restarted-at";
/// On a pod: when a Secret that it mounts last changed.
pub const NUDGED_AT: &str = "tokenward.dev/nudged-at";
/// On a target: digest of the shape that its spec declares, where it declares any.
pub const SHAPE: &str = "tokenward.dev/shape";
/// On a target: the keys that the provider's document adds, where it adds any, by commas.
pub const OUTPUTS: &str = "tokenward.dev/outputs";
/// On a Secret that is not ours: who may take it over, see [`Owner::consent`].
pub const ALLOW: &str = "tokenward.dev/allow";
/// On a Secret that keeps what a provider renewed: the name of the credentials Secret.
pub const RENEWED_OF: &str = "tokenward.dev/renewed-of";
/// On the same: digest of the credentials that it began with.
pub const SEED: &str = "tokenward.dev/seed";
/// On the same: that digest of the credentials before those.
pub const FORMER_SEED: &str = "tokenward.dev/former-seed";
/// On the same: who is about to use up what is kept, see [`super::Intent`].
pub const INTENT: &str = "tokenward.dev/intent";
/// The finalizer of an `OAuthClientToken` that takes something back when it is deleted: the token
/// from its provider, or its keys from somebody else's Secret.
pub const REVOKE_FINALIZER: &str = "tokenward.dev/revoke";
/// On an `OAuthClientToken`: any new value asks for a refresh.
pub const REFRESH_REQUESTED_AT: &str = "tokenward.dev/refresh-requested-at";

/// No kind, namespace, name or uid is longer.
const LONGEST_PART: usize = 253;
/// The API server takes no longer name of a field manager.
const LONGEST_MANAGER: usize = 128;

/// Whose a target Secret is. Written as `KIND/NAMESPACE/NAME/UID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Kind of the resource.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl Owner {
    /// Reads the annotation's value; `None` where it is not of the form.
    pub fn parse(value: &str) -> Option<Self> {
        // Anybody may have written it, and as much as they liked.
        let fits = |part: &&str| part.len() <= LONGEST_PART;
        let mut parts = value.split('/').map(|part| Some(part).filter(fits).map(str::to_owned));
        let owner = Self {
            kind: parts.next()??,
            namespace: parts.next()??,
            name: parts.next()??,
            uid: parts.next()??,
        };
        parts.next().is_none().then_some(owner)
    }

    /// The consent that lets it have a Secret: a token's name, of a cluster token with its kind, so
    /// that what is given to one is not taken by the other of the same name.
    pub fn consent(&self) -> String {
        match self.kind.as_str() {
            CLUSTER_TOKEN => format!("{CLUSTER_TOKEN}/{}", self.name),
            _ => self.name.clone(),
        }
    }

    /// The field manager of this resource's keys in Secrets of somebody else's. It names the
    /// resource, so that the API server tells its keys from those of others, and not the uid, so
    /// that they are its own after a restore from backup as well.
    pub fn guest_manager(&self) -> String {
        match format!("{MANAGER}/{}", self.consent()) {
            manager if manager.len() <= LONGEST_MANAGER => manager,
            _ => format!("{MANAGER}/{}", self.uid),
        }
    }

    /// Whether `other` is the same resource but for its uid, as after a restore from backup.
    pub fn same_name(&self, other: &Self) -> bool {
        self.kind == other.kind && self.namespace == other.namespace && self.name == other.name
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{}", self.kind, self.namespace, self.name, self.uid)
    }
}

/// A time as annotations hold it.
pub fn format_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A time as the annotation of the next refresh holds it: were all that are due in a second due at
/// its beginning, most of them would be late.
pub fn format_due(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Milliseconds, rounded down: when refreshes are due.
pub fn milliseconds(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(3)
}

/// Whole seconds, rounded down: what annotations and statuses hold otherwise.
pub fn whole_seconds(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(0)
}

/// Reads a time; `None` where it is none.
pub fn parse_time(value: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(value).ok().map(|time| time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_survives_being_written_and_read() {
        let owner = Owner {
            kind: "OAuthClientToken".into(),
            namespace: "web".into(),
            name: "shop.orders".into(),
            uid: "8f6c".into(),
        };
        assert_eq!(Owner::parse(&owner.to_string()), Some(owner));
    }

    #[test]
    fn when_a_refresh_is_due_survives_being_written_and_read() {
        for (told, written) in [
            ("2026-11-22T10:00:00.1239Z", "2026-11-22T10:00:00.123Z"),
            ("2026-11-22T10:00:00.0009Z", "2026-11-22T10:00:00Z"),
        ] {
            let due = milliseconds(parse_time(told).unwrap());
            assert_eq!(format_due(due), written);
            assert_eq!(parse_time(written), Some(due));
        }
    }

    #[test]
    fn consent_and_field_manager_tell_kinds_apart() {
        let of = |owner: &str| {
            let owner = Owner::parse(owner).unwrap();
            (owner.consent(), owner.guest_manager())
        };
        let token = of("OAuthClientToken/web/shop/u");
        assert_eq!(token, ("shop".to_owned(), "tokenward/shop".to_owned()));
        let (consent, manager) = of("ClusterOAuthClientToken//shop/u");
        assert_eq!(consent, "ClusterOAuthClientToken/shop");
        assert_eq!(manager, "tokenward/ClusterOAuthClientToken/shop");
    }

    #[test]
    fn what_is_not_an_owner_is_none() {
        let long = format!("OAuthClientToken/web/{}/u", "n".repeat(254));
        for value in ["", "a/b/c", "a/b/c/d/e", &long] {
            assert_eq!(Owner::parse(value), None, "{value}");
        }
    }
}
