//! A running simulator.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::log::{Outcome, Recorded, TimedOut};
use crate::options::{Options, Tls};
use crate::state::State;
use crate::tls::{self, TlsError};
use crate::tokens::TokenRecord;
use crate::{Behaviour, Client, System, server};

/// A simulator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It hands out secrets, so that only the machine itself may reach it.
    #[error(
        "{0} is not a loopback address; the simulator tells secrets to everyone who can reach it"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// TLS could not be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A simulator that listens; dropping it ends the listener and all connections.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Starts listening on an own port; any number of simulators may run in one process.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let wanted = options.listen;
        if !wanted.ip().is_loopback() {
            return Err(StartError::NotLoopback(wanted));
        }
        let listen = |source| StartError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (acceptor, ca_pem) = match options.tls {
            Tls::None => (None, None),
            Tls::SelfSigned => {
                let identity = tls::self_signed()?;
                (Some(identity.acceptor), Some(identity.ca_pem))
            }
        };
        let state = Arc::new(State::new(options, ca_pem));
        let server = tokio::spawn(server::serve(listener, acceptor, Arc::clone(&state)));
        Ok(Self { address, state, server })
    }

    /// Ends the listener and all connections, and waits until they have ended: the port is free
    /// afterwards.
    pub async fn stop(mut self) {
        self.server.abort();
        // The only error is the abort itself.
        let _ = (&mut self.server).await;
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.state.ca_pem.is_some() { "https" } else { "http" }
    }

    /// The URL of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme(), self.address)
    }

    /// The URL of a system's token endpoint (version and channel filled in with the defaults).
    pub fn endpoint(&self, system: System) -> String {
        self.url(system.path())
    }

    /// The certificate of the authority, when the listener speaks TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.state.ca_pem.as_deref()
    }

    /// Replaces the behaviour of a system from the next request on.
    pub fn set(&self, system: System, behaviour: Behaviour) {
        self.state.set_behaviour(system, behaviour);
    }

    /// Replaces the clients of a system, as when a secret is rotated.
    pub fn set_clients(&self, system: System, clients: Vec<Client>) {
        self.state.set_clients(system, clients);
    }

    /// All requests since the start or the last [`clear`](Self::clear), oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.log.select(|_| true)
    }

    /// The requests to a system.
    pub fn requests_of(&self, system: System) -> Vec<Recorded> {
        self.state.log.select(|entry| entry.system == Some(system))
    }

    /// The requests that followed a redirect.
    pub fn redirects(&self) -> Vec<Recorded> {
        self.state.log.select(|entry| entry.outcome == Outcome::Redirected)
    }

    /// Empties the log.
    pub fn clear(&self) {
        self.state.log.clear();
    }

    /// The next request to a system that no earlier call returned, whether it has come already or
    /// has yet to come.
    pub async fn next_request(
        &self,
        system: System,
        timeout: Duration,
    ) -> Result<Recorded, TimedOut> {
        self.state.log.next(system, timeout).await
    }

    /// Waits until the log holds at least `n` requests to a system, and returns all of them.
    pub async fn wait_for(
        &self,
        n: usize,
        system: System,
        timeout: Duration,
    ) -> Result<Vec<Recorded>, TimedOut> {
        self.state.log.count(n, system, timeout).await
    }

    /// The requests with a number above `seq`, as soon as there is one.
    pub async fn requests_after(&self, seq: u64) -> Vec<Recorded> {
        self.state.log.after(seq).await
    }

    /// What is known of a token, whether it is still active or not; `None` for a token that was
    /// never given out.
    pub fn introspect(&self, token: &str) -> Option<TokenRecord> {
        self.state.introspect(token)
    }

    /// Whether a resource server would let this token in now.
    pub fn is_active(&self, token: &str) -> bool {
        self.introspect(token).is_some_and(|record| record.active_at(self.now()))
    }

    /// The time on the simulator's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.state.clock.now()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}
