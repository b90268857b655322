//! How the namespaces of a token in many of them stand.

use chrono::{DateTime, Utc};

use crate::api::annotations::format_time;
use crate::api::conditions::{Holds, Verdict};
use crate::error::Error;

/// As many namespaces as a condition's message names.
const NAMED: usize = 3;
/// How the selected namespaces stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// How many there are.
    pub selected: usize,
    /// How many hold an unexpired token.
    pub ready: usize,
    /// When the first of these tokens expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// The namespaces that cannot be given the token, by name, and why.
    pub failures: Vec<(String, Error)>,
}

impl Tally {
    /// What `Ready` is, where the namespaces say more of it than the grant.
    pub fn ready(&self, now: DateTime<Utc>) -> Option<Verdict> {
        let Self { selected, ready, expires_at, .. } = self;
        match expires_at.filter(|at| *at > now) {
            Some(at) if ready == selected => {
                let at = format_time(at);
                let told = format!(
                    "{selected} of {selected} namespaces hold a token that is valid until {at}"
                );
                Some(Verdict::new(Holds::Yes, "TokenValid", told))
            }
            _ if *selected == 0 => None,
            _ => Some(self.failed().unwrap_or_else(|| {
                let told = format!("{ready} of {selected} namespaces hold an unexpired token");
                Verdict::new(Holds::No, "Pending", told)
            })),
        }
    }

    /// What `Fresh` is although the grant is fresh: some namespace cannot be given its token.
    pub fn failed(&self) -> Option<Verdict> {
        if self.failures.is_empty() {
            return None;
        }
        let named: Vec<String> = self
            .failures
            .iter()
            .take(NAMED)
            .map(|(namespace, error)| format!("{namespace} ({})", error.reason().as_str()))
            .collect();
        let more = if self.failures.len() > NAMED { ", …" } else { "" };
        let message = format!(
            "{} of {} namespaces cannot be given the token: {}{more}",
            self.failures.len(),
            self.selected,
            named.join(", ")
        );
        Some(Verdict::new(Holds::No, "NamespacesFailed", message))
    }
}
