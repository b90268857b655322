//! What the system `oauth2` admits beyond a client and its secret, settable while it runs.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::discovery::Discovery;
use crate::keys::Keys;
use crate::systems::oauth2;

/// Users, refresh tokens, keys and issuers that the system `oauth2` knows. The default knows the
/// user and the refresh token of [`systems::oauth2`](crate::systems::oauth2) and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Policy {
    /// Who the grant `password` lets in.
    pub users: Vec<User>,
    /// How refresh tokens work.
    pub refresh: Refresh,
    /// The public keys of clients, by `client_id`.
    pub keys: BTreeMap<String, Keys>,
    /// Whose JWTs are believed.
    pub issuers: Vec<TrustedIssuer>,
    /// Which subject of a trusted issuer stands for which client.
    pub federations: Vec<Federation>,
    /// Clients that need no authentication.
    pub public_clients: Vec<String>,
    /// Which access tokens authenticate their client.
    pub bearer: Bearer,
    /// What the metadata says.
    pub discovery: Discovery,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            users: vec![User::new(oauth2::USERNAME, oauth2::PASSWORD)],
            refresh: Refresh::default(),
            keys: BTreeMap::new(),
            issuers: Vec::new(),
            federations: Vec::new(),
            public_clients: Vec::new(),
            bearer: Bearer::default(),
            discovery: Discovery::default(),
        }
    }
}

impl Policy {
    /// The same, and this client signs with these keys.
    #[must_use]
    pub fn with_keys(mut self, client_id: impl Into<String>, keys: Keys) -> Self {
        self.keys.insert(client_id.into(), keys);
        self
    }

    /// The same, and this issuer is trusted.
    #[must_use]
    pub fn trusting(mut self, issuer: TrustedIssuer) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// The same, and this subject stands for this client.
    #[must_use]
    pub fn federating(mut self, federation: Federation) -> Self {
        self.federations.push(federation);
        self
    }

    /// The same with refresh tokens that work like this.
    #[must_use]
    pub fn refreshing(mut self, refresh: Refresh) -> Self {
        self.refresh = refresh;
        self
    }

    /// The same with metadata that say this.
    #[must_use]
    pub fn describing(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// The keys of this issuer, if it is trusted.
    pub(crate) fn issuer(&self, name: &str) -> Option<&TrustedIssuer> {
        self.issuers.iter().find(|issuer| issuer.issuer == name)
    }
}

/// A user and their password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct User {
    /// `username`
    pub name: String,
    /// `password`
    pub password: String,
}

impl User {
    /// A user of this name and password.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self { name: name.into(), password: password.into() }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How refresh tokens work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Refresh {
    /// The refresh tokens that exist from the start, as if a person had signed in.
    pub seeds: Vec<Seed>,
    /// Whether each use gives a new one.
    pub rotation: Rotation,
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            seeds: vec![Seed::new(oauth2::CLIENT_ID, oauth2::REFRESH_TOKEN)],
            rotation: Rotation::default(),
        }
    }
}

impl Refresh {
    /// The default with this rotation.
    pub fn rotating(rotation: Rotation) -> Self {
        Self { rotation, ..Self::default() }
    }
}

/// A refresh token that exists from the start.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Seed {
    /// The client that it belongs to.
    pub client_id: String,
    /// The refresh token.
    pub token: String,
}

impl Seed {
    /// This refresh token of this client.
    pub fn new(client_id: impl Into<String>, token: impl Into<String>) -> Self {
        Self { client_id: client_id.into(), token: token.into() }
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seed").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// What a use of a refresh token does to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Rotation {
    /// Nothing: it stays good, and the answer holds none.
    Never,
    /// The answer holds its successor, and it is good no more.
    EachUse {
        /// Seconds in which a used one is still taken, for a client that lost the answer.
        #[serde(default)]
        grace: i64,
        /// What a use after that does.
        #[serde(default)]
        on_reuse: Reuse,
    },
}

impl Default for Rotation {
    fn default() -> Self {
        Self::EachUse { grace: 0, on_reuse: Reuse::default() }
    }
}

/// What a use of a refresh token that was used before does; it is refused either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reuse {
    /// Its successors stay good.
    #[default]
    Refuse,
    /// Everything that came of the first one is revoked (RFC 9700 §4.14.2).
    RevokeFamily,
}

/// An issuer whose JWTs are believed, as the control plane of a cluster is for its
/// `ServiceAccount`s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustedIssuer {
    /// `iss`
    pub issuer: String,
    /// What `aud` has to hold where the JWT is a grant (`jwt-bearer`, `token-exchange`) or a bearer
    /// token. Where it authenticates a client, [`Federation::audience`] counts.
    pub audience: String,
    /// Its public keys: a JWK set.
    pub jwks: Keys,
}

/// A subject of a trusted issuer that stands for a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Federation {
    /// The client.
    pub client_id: String,
    /// `iss`, one of [`Policy::issuers`].
    pub issuer: String,
    /// `sub`, for a `ServiceAccount` `system:serviceaccount:NAMESPACE:NAME`.
    pub subject: String,
    /// What `aud` has to hold.
    pub audience: String,
}

/// Which access tokens authenticate their client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Bearer {
    /// Every one that has neither expired nor been revoked.
    #[default]
    Active,
    /// Only the one that its client was given last.
    Latest,
}
