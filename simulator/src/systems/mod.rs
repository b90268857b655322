//! The systems that are stood in for: one data file each, one set of rules for all.

mod decode;
pub mod mediahound;
pub mod oauth2;
pub mod optimizely;
pub mod oracle;
mod profile;
mod refusal;
pub(crate) mod rules;
pub mod sitecore;

pub(crate) use decode::Parameters;
pub(crate) use decode::form as decode_form;
pub(crate) use profile::{Answer, Basic, Encoding, Profile, ScopeAnswer};
pub(crate) use refusal::{Kind, Refusal, oauth_error, oracle_error};
pub(crate) use rules::{Grant, Origin, examine};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A system whose token endpoint is stood in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// Sitecore Content Hub ONE.
    Sitecore,
    /// `MediaHound`.
    Mediahound,
    /// Optimizely CMS (`SaaS`), both of its documented ways.
    Optimizely,
    /// Oracle Content Management channel tokens.
    Oracle,
    /// Any RFC 6749 server, with what a [`Policy`](crate::Policy) adds.
    Oauth2,
}

impl System {
    /// All of them, in the order in which they are declared.
    pub const ALL: [Self; 5] =
        [Self::Sitecore, Self::Mediahound, Self::Optimizely, Self::Oracle, Self::Oauth2];

    /// The name in options, in the control API and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sitecore => "sitecore",
            Self::Mediahound => "mediahound",
            Self::Optimizely => "optimizely",
            Self::Oracle => "oracle",
            Self::Oauth2 => "oauth2",
        }
    }

    /// A path at which this system answers (version and channel filled in with the defaults).
    pub fn path(self) -> &'static str {
        self.profile().example
    }

    /// Seconds a token lives unless a [`Behaviour`](crate::Behaviour) says otherwise.
    pub fn default_lifetime(self) -> i64 {
        self.profile().lifetime
    }

    pub(crate) fn profile(self) -> &'static Profile {
        match self {
            Self::Sitecore => &sitecore::PROFILE,
            Self::Mediahound => &mediahound::PROFILE,
            Self::Optimizely => &optimizely::PROFILE,
            Self::Oracle => &oracle::PROFILE,
            Self::Oauth2 => &oauth2::PROFILE,
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no system of this name.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no system `{0}`; there are sitecore, mediahound, optimizely, oracle and oauth2")]
pub struct UnknownSystem(String);

impl FromStr for System {
    type Err = UnknownSystem;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|system| system.name() == name)
            .ok_or_else(|| UnknownSystem(name.to_owned()))
    }
}

/// A path that a system answers at.
pub(crate) struct Route {
    pub(crate) system: System,
    /// The variable segment, decoded; empty where the path has none.
    pub(crate) segment: String,
}

/// Finds the system that answers at `path`.
pub(crate) fn route(path: &str) -> Option<Route> {
    System::ALL.into_iter().find_map(|system| {
        let segment = matched(system.profile().template, path)?;
        Some(Route { system, segment })
    })
}

/// The variable segment of `path` if it follows `template`.
fn matched(template: &str, path: &str) -> Option<String> {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    let mut variable = String::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(variable),
            (Some(name), Some(segment)) if name.starts_with('{') && !segment.is_empty() => {
                variable =
                    percent_encoding::percent_decode_str(segment).decode_utf8().ok()?.into_owned();
            }
            (Some(name), Some(segment)) if name == segment => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_example_path_leads_to_its_system() {
        for system in System::ALL {
            assert_eq!(route(system.path()).map(|found| found.system), Some(system));
        }
    }

    #[test]
    fn a_path_is_taken_to_the_letter() {
        for path in ["/oauth2/token/", "/oauth2", "//oauth2/token", "/_cms//oauth/token"] {
            assert!(route(path).is_none(), "{path}");
        }
        let found = route("/_cms/a%2Fb/oauth/token").map(|found| found.segment);
        assert_eq!(found.as_deref(), Some("a/b"));
    }

    #[test]
    fn names_read_back() {
        for system in System::ALL {
            assert_eq!(system.name().parse::<System>().ok(), Some(system));
        }
        assert!("Oracle".parse::<System>().is_err());
    }
}
