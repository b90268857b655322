//! A running simulator.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::endpoint::Endpoint;
use crate::log::{Outcome, Place, Recorded, TimedOut};
use crate::options::{Options, Tls};
use crate::refresh::RefreshRecord;
use crate::state::State;
use crate::tls::{self, TlsError};
use crate::tokens::{Revocation, TokenRecord};
use crate::{Behaviour, Client, Policy, System, server};

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

/// The machine has no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("no random numbers for a token")]
pub struct GiveError;

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
        if !wanted.ip().is_loopback() && !options.beyond_loopback {
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

    /// Adds a valid pair of identifier and secret, as when a second secret is made.
    pub fn add_client(&self, system: System, client: Client) {
        self.state.add_client(system, client);
    }

    /// Takes a pair away, as when a secret is revoked; says whether it was there.
    pub fn remove_client(&self, system: System, client: &Client) -> bool {
        self.state.remove_client(system, client)
    }

    /// Replaces the behaviour of an endpoint beside those of the tokens from the next request on.
    pub fn set_beside(&self, endpoint: Endpoint, behaviour: Behaviour) {
        self.state.set_behaviour_beside(endpoint, behaviour);
    }

    /// What the system `oauth2` admits.
    pub fn policy(&self) -> Policy {
        Policy::clone(&self.state.policy())
    }

    /// Replaces what the system `oauth2` admits from the next request on.
    pub fn set_policy(&self, policy: Policy) {
        self.state.set_policy(policy);
    }

    /// The issuer that [`Discovery`](crate::Discovery) describes.
    pub fn issuer(&self) -> String {
        self.state.policy().discovery.right_issuer(&self.url(""))
    }

    /// All requests since the start or the last [`clear`](Self::clear), oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.log.select(|_| true)
    }

    /// The requests to a system.
    pub fn requests_of(&self, system: System) -> Vec<Recorded> {
        self.state.log.select(|entry| entry.system == Some(system))
    }

    /// The requests to an endpoint beside those of the tokens.
    pub fn requests_beside(&self, endpoint: Endpoint) -> Vec<Recorded> {
        self.state.log.select(|entry| entry.endpoint == Some(endpoint))
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
        self.state.log.count(n, Place::Tokens(system), timeout).await
    }

    /// The same for an endpoint beside those of the tokens.
    pub async fn wait_beside(
        &self,
        n: usize,
        endpoint: Endpoint,
        timeout: Duration,
    ) -> Result<Vec<Recorded>, TimedOut> {
        self.state.log.count(n, Place::Beside(endpoint), timeout).await
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

    /// The access token of this serial.
    pub fn token(&self, serial: u64) -> Option<TokenRecord> {
        self.tokens().into_iter().find(|record| record.serial == serial)
    }

    /// All access tokens that were given out, oldest first.
    pub fn tokens(&self) -> Vec<TokenRecord> {
        self.state.tokens().all()
    }

    /// All refresh tokens that were given out, and the seeds that were seen, oldest first.
    pub fn refresh_tokens(&self) -> Vec<RefreshRecord> {
        self.state.tokens().refresh.all()
    }

    /// All tokens that were revoked, in that order.
    pub fn revocations(&self) -> Vec<Revocation> {
        self.state.tokens().revocations().to_vec()
    }

    /// Gives a client of `oauth2` a token that it did not ask for, to start with.
    pub fn give(&self, client_id: &str, lifetime: i64) -> Result<(String, TokenRecord), GiveError> {
        self.state.give(client_id, lifetime).map_err(|_| GiveError)
    }

    /// Revokes the access or refresh token of this serial; says whether there is one.
    pub fn revoke(&self, serial: u64) -> bool {
        self.state.revoke(serial)
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
