//! Who may ask for tokens.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::System;

/// One valid pair of identifier and secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Client {
    /// `client_id`, or Oracle's channel identifier.
    pub id: String,
    /// `client_secret`, or Oracle's channel secret.
    pub secret: String,
}

impl Client {
    /// A client of this identifier and secret.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), secret: secret.into() }
    }

    /// What the log calls this secret: enough to tell it from others, too little to guess it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.secret)
    }

    /// The client that a system knows from the start.
    pub fn default_of(system: System) -> Self {
        let (id, secret) = system.profile().client;
        Self::new(id, secret)
    }
}

pub(crate) fn fingerprint(secret: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(digest.as_ref().get(..6).unwrap_or_default())
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The valid clients of each system. Several pairs with one identifier are allowed, as while a
/// secret is rotated.
///
/// The default is one client a system: the constants `CLIENT_ID` and `CLIENT_SECRET` (Oracle:
/// `CHANNEL_ID` and `CHANNEL_SECRET`) of its module in [`systems`](crate::systems).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Credentials(BTreeMap<System, Vec<Client>>);

impl Default for Credentials {
    fn default() -> Self {
        let one = |system| (system, vec![Client::default_of(system)]);
        Self(System::ALL.into_iter().map(one).collect())
    }
}

impl Credentials {
    /// The valid clients of a system; empty means that nobody is let in.
    pub fn of(&self, system: System) -> &[Client] {
        self.0.get(&system).map_or(&[], Vec::as_slice)
    }

    /// Replaces the clients of a system.
    pub fn set(&mut self, system: System, clients: Vec<Client>) {
        self.0.insert(system, clients);
    }

    /// Adds one more valid pair.
    pub fn add(&mut self, system: System, client: Client) {
        self.0.entry(system).or_default().push(client);
    }

    /// Takes a pair away, as when a secret is revoked; says whether it was there.
    pub fn remove(&mut self, system: System, client: &Client) -> bool {
        let clients = self.0.entry(system).or_default();
        let before = clients.len();
        clients.retain(|known| known != client);
        clients.len() < before
    }

    /// The same credentials with the clients of one system replaced.
    #[must_use]
    pub fn with(mut self, system: System, clients: Vec<Client>) -> Self {
        self.set(system, clients);
        self
    }
}
