//! How a simulator is started.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use chrono::TimeDelta;

use crate::{Behaviour, Credentials, Policy, System};

/// What a simulator is started with. The default listens on a free port of 127.0.0.1, speaks plain
/// HTTP, knows the default clients and has no faults.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; must be a loopback address, unless `beyond_loopback`. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Listen on other addresses as well: in a network that nothing but tests reaches, as a pod's.
    pub beyond_loopback: bool,
    /// Whether to speak TLS.
    pub tls: Tls,
    /// Who may ask for tokens.
    pub credentials: Credentials,
    /// Behaviours from the start, for the systems that are not to have the default one.
    pub behaviours: BTreeMap<System, Behaviour>,
    /// What the system `oauth2` admits beyond a client and its secret.
    pub policy: Policy,
    /// How far the simulator's clock is ahead of the machine's: `Date`, expiry times and the log
    /// follow it.
    pub clock_offset: TimeDelta,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            beyond_loopback: false,
            tls: Tls::default(),
            credentials: Credentials::default(),
            behaviours: BTreeMap::new(),
            policy: Policy::default(),
            clock_offset: TimeDelta::zero(),
        }
    }
}

impl Options {
    /// The default, with TLS.
    pub fn tls() -> Self {
        Self { tls: Tls::SelfSigned, ..Self::default() }
    }

    /// The same, the system `oauth2` admitting this.
    #[must_use]
    pub fn admitting(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The same, one system behaving like this from the start.
    #[must_use]
    pub fn with(mut self, system: System, behaviour: Behaviour) -> Self {
        self.behaviours.insert(system, behaviour);
        self
    }
}

/// How the listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// Plain HTTP.
    #[default]
    None,
    /// TLS with a certificate for `localhost` and the loopback addresses, from an authority made at
    /// the start.
    SelfSigned,
}
