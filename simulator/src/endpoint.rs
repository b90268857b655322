//! The endpoints beside those that issue tokens.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An endpoint with a behaviour of its own, apart from that of the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Endpoint {
    /// RFC 7009, at `/oauth2/revoke`.
    Revocation,
    /// RFC 8414 and `OpenID` Connect Discovery, at `/.well-known/…`.
    Discovery,
    /// A resource server (RFC 6750), at `/resource`: lets in whoever has a good token of any system.
    Resource,
}

impl Endpoint {
    /// The name in the control API and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Revocation => "revocation",
            Self::Discovery => "discovery",
            Self::Resource => "resource",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no endpoint of this name.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no endpoint `{0}`; there are revocation, discovery and resource")]
pub struct UnknownEndpoint(String);

impl FromStr for Endpoint {
    type Err = UnknownEndpoint;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Revocation, Self::Discovery, Self::Resource]
            .into_iter()
            .find(|endpoint| endpoint.name() == name)
            .ok_or_else(|| UnknownEndpoint(name.to_owned()))
    }
}
