//! What can go wrong, for people ([`Error::message`]), for machines ([`Error::reason`]) and for
//! the schedule ([`Error::class`]).

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// Nothing changes until a person acts; probed rarely all the same.
    Permanent,
    /// Worth another try, with backoff.
    Transient,
    /// The provider wants silence for a while.
    Throttled,
    /// The request may or may not have had its effect.
    Ambiguous,
    /// Something that this needs is not there yet; its coming is watched for.
    Waiting,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $class:ident,)*) => {
        /// A stable PascalCase word for what went wrong: condition reason, event reason and
        /// metric label.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What an error of this reason means, unless it says otherwise itself.
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }
        }
    };
}

reasons! {
    /// What the issuer tells of itself is missing, another's, or does not fit the document.
    DiscoveryFailed => Permanent,
    /// The token that this one is made from is not there or not good.
    ParentNotReady => Waiting,
    /// The API server did not give a token for the ServiceAccount.
    ServiceAccountTokenDenied => Permanent,
    /// The provider's document, or the request made from it, is wrong.
    InvalidProvider => Permanent,
    /// The API server does not let tokenward set or remove its finalizer.
    FinalizerDenied => Permanent,
    /// The API server does not let tokenward restart a workload or nudge a pod.
    WorkloadDenied => Permanent,
    /// The token's own spec does not fit its provider.
    InvalidSpec => Permanent,
    /// This operator's settings do not let a namespace bring such a provider.
    ProviderNotAllowed => Permanent,
    /// The provider that is referred to does not exist.
    ProviderNotFound => Waiting,
    /// The operator works on namespaced kinds only.
    ClusterKindsDisabled => Permanent,
    /// The cluster provider does not admit the token's namespace.
    NamespaceNotAdmitted => Permanent,
    /// A cluster token's selector picks no namespace.
    NoNamespaceSelected => Waiting,
    /// A scope that the platform's client may not be asked for.
    ScopeNotAllowed => Permanent,
    /// A parameter that may not be set with the platform's client.
    ParameterNotAllowed => Permanent,
    /// Own credentials where the cluster provider forbids them.
    OwnCredentialsForbidden => Permanent,
    /// Neither the token nor its provider names a credentials Secret.
    CredentialsNotSpecified => Permanent,
    /// The credentials Secret does not exist.
    CredentialsNotFound => Waiting,
    /// The credentials Secret lacks a key.
    CredentialsKeyMissing => Waiting,
    /// A credential cannot be used as it is.
    InvalidCredentials => Permanent,
    /// The token cannot be shown in the shape that its target declares.
    TargetNotRendered => Permanent,
    /// The target Secret is somebody else's.
    SecretNotOwned => Permanent,
    /// The Secret that the token is to be merged into does not exist, or is about to go.
    TargetNotFound => Waiting,
    /// A Secret of somebody else's has a key already that the token needs.
    TargetKeyConflict => Permanent,
    /// The target Secret is immutable.
    TargetImmutable => Permanent,
    /// Somebody undoes again and again what is written to the target.
    TargetContested => Transient,
    /// A Secret type that is never read or written.
    SecretTypeNotAllowed => Permanent,
    /// The address guard refused the token endpoint.
    EgressDenied => Permanent,
    /// No connection, or it broke.
    ProviderUnreachable => Transient,
    /// No answer in time.
    ProviderTimeout => Transient,
    /// Another process is using up what each request renews.
    RefreshTokenInUse => Waiting,
    /// The provider answered with an error that may pass.
    ProviderError => Transient,
    /// The provider wants fewer requests.
    ProviderThrottled => Throttled,
    /// As many requests were made as the document's `limits.requestsPer` allows.
    BudgetExhausted => Throttled,
    /// The namespace has made its share of the requests that the platform's client may make.
    ShareExhausted => Throttled,
    /// The provider failed several times in a row: it is asked by one token at a time.
    CircuitOpen => Transient,
    /// More tokens wait for the provider than it is asked for at once.
    ProviderBusy => Transient,
    /// The provider refused for good.
    TokenRequestRejected => Permanent,
    /// The answer is not what the document says.
    InvalidResponse => Transient,
    /// The API server (or the disk) did not take the Secret.
    WriteFailed => Transient,
    /// The API server (or the disk) could not be read.
    ReadFailed => Transient,
}

/// Text of somebody else's, of so many characters at most.
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Something that went wrong. Its text holds no token, secret, query string or text of an answer:
/// whoever makes one sees to that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    reason: Reason,
    class: Class,
    message: String,
    retry_after: Option<Duration>,
    blames_client: bool,
    refuses_grant: bool,
    is_unanswered: bool,
}

impl Error {
    /// An error of the reason's usual class.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            class: reason.class(),
            message: message.into(),
            retry_after: None,
            blames_client: false,
            refuses_grant: false,
            is_unanswered: false,
        }
    }

    /// The same with another class.
    #[must_use]
    pub fn with_class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    /// The same with the provider's wish for silence.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The same, at a field.
    #[must_use]
    pub fn at(mut self, field: &str) -> Self {
        self.message = format!("{field}: {}", self.message);
        self
    }

    /// The same, and the client's secret or key is to blame: another one may be taken.
    #[must_use]
    pub fn blaming_client(mut self) -> Self {
        self.blames_client = true;
        self
    }

    /// The same, and what the token was to be had for is refused: a refresh token, mostly.
    #[must_use]
    pub fn refusing_grant(mut self) -> Self {
        self.refuses_grant = true;
        self
    }

    /// The same, and the request was sent, as far as is known, and no answer came that can be read.
    #[must_use]
    pub fn unanswered(mut self) -> Self {
        self.is_unanswered = true;
        self
    }

    /// The same with something more that a person should know.
    #[must_use]
    pub fn with_remark(mut self, remark: &str) -> Self {
        self.message = format!("{}; {remark}", self.message);
        self
    }

    /// Stable word.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What to do about it.
    pub fn class(&self) -> Class {
        self.class
    }

    /// For people: what is wrong, where, and what would be right.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the client's secret or key is to blame.
    pub fn blames_client(&self) -> bool {
        self.blames_client
    }

    /// Whether what the token was to be had for is refused.
    pub fn refuses_grant(&self) -> bool {
        self.refuses_grant
    }

    /// Whether the request was sent, as far as is known, and no answer came.
    pub fn is_unanswered(&self) -> bool {
        self.is_unanswered
    }

    /// How long the provider asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// The longest name that is compared or listed: a Secret's keys are no longer. What a key file
/// calls its members may fill a Secret, and comparing takes time with the square of that.
const LONGEST_NAME: usize = 253;

/// As many names are listed as a person may look at.
const LISTED: usize = 32;

/// `, did you mean …?` where one of `known` is close to `name`, else the list of them.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let short = |name: &&str| name.len() <= LONGEST_NAME;
    let mut known: Vec<&str> = known.into_iter().filter(short).collect();
    let best = known
        .iter()
        .filter(|_| short(&name))
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), *candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((likeness, candidate)) if likeness >= 0.5 => format!("; did you mean {candidate:?}?"),
        _ if known.is_empty() => String::new(),
        _ => {
            let more = if known.len() > LISTED { ", …" } else { "" };
            known.truncate(LISTED);
            format!("; known: {}{more}", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered() {
        assert_eq!(nearest("hots", ["host", "version"]), "; did you mean \"host\"?");
        assert_eq!(nearest("zzz", ["host", "version"]), "; known: host, version");
        assert_eq!(nearest("zzz", []), "");
    }

    #[test]
    fn names_too_long_for_a_person_are_neither_compared_nor_listed() {
        let long = "x".repeat(300_000);
        assert_eq!(nearest(&long, [long.as_str(), "host"]), "; known: host");
        assert_eq!(nearest("zzz", [long.as_str(), "host"]), "; known: host");
        assert_eq!(nearest("zzz", [long.as_str()]), "");
        let many: Vec<String> = (0..1000).map(|index| format!("key{index}")).collect();
        let hint = nearest("zzz", many.iter().map(String::as_str));
        assert!(hint.starts_with("; known: key0, key1, ") && hint.ends_with(", …"), "{hint}");
        assert!(hint.len() < 1000, "{}", hint.len());
    }

    #[test]
    fn every_reason_has_its_own_word() {
        let words: std::collections::BTreeSet<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
    }
}
