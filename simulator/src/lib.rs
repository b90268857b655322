//! A strict stand-in for token endpoints, with faults on demand and a log of requests.
//!
//! It serves tests (in this process, many at a time), the demo and the benchmarks (as
//! `provider-simulator`). It is a **test tool**: its log holds secrets and tokens by design, and
//! whoever reaches its listener may read it; therefore it listens on loopback only, unless it is told
//! that nothing but tests reaches its network.
//!
//! ```text
//!  bytes ──▶ server ──▶ exchange ──▶ systems: which one, does the request follow its document?
//!                          │    ├──▶ faults:  what goes wrong this time?
//!                          │    ├──▶ tokens:  a new one, or the last one again
//!                          │    └──▶ log:     who asked what, and what it got
//!  bytes ◀── server ◀──────┘ answer
//! ```
//!
//! A system is data (`systems/*.rs`); the rules (`systems/rules.rs`) are the same for all. Only
//! `oauth2` has more: grants, ways of authenticating, revocation (`authorization/`) and metadata
//! (`discovery`), as a [`Policy`] admits them. What each request was judged by is in the log
//! ([`Judged`]), and what each token came of in its [`TokenRecord`]. `GET /resource` is where tokens
//! are used: each use is in the log, whether it was let in and with which token.
//!
//! The control API does over HTTP what [`Simulator`] does in the process:
//!
//! | request | does |
//! |---|---|
//! | `GET /_simulator/requests[?system=oauth2&after=17]` | the log, an array of [`Recorded`]; `after` that number |
//! | `DELETE /_simulator/requests` | empties it |
//! | `PUT /_simulator/behaviour/{system}` | a [`Behaviour`], from the next request on; `GET` reads it |
//! | the same of `revocation`, `discovery` or `resource` | that of an [`Endpoint`] |
//! | `PUT /_simulator/credentials/{system}` | an array of [`Client`]: `[{"id": …, "secret": …}]` |
//! | `POST`, `DELETE /_simulator/credentials/{system}` | adds one [`Client`], or takes it away |
//! | `GET`, `PUT /_simulator/policy` | the [`Policy`] of `oauth2` |
//! | `GET /_simulator/introspect?token=…`, `POST` with the token as the body | `{"active", "exp", "system", "serial", "standing", …}` |
//! | `GET /_simulator/tokens` | an array of [`TokenRecord`], without the tokens themselves |
//! | `POST /_simulator/tokens` | gives a client a token: `{"clientId": …, "lifetime": 60}` |
//! | `DELETE /_simulator/tokens/{serial}` | revokes an access or refresh token |
//! | `GET /_simulator/refresh-tokens` | an array of [`RefreshRecord`] |
//! | `GET /_simulator/revocations` | an array of [`Revocation`]: which token, when |
//! | `GET /_simulator/ca` | the certificate of the authority (PEM), with TLS |
//! | `GET /_simulator/healthz` | `ok` |
//!
//! These requests are not in the log, but for `/_simulator/redirected`, to which
//! [`Fault::Redirect`] leads.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use provider_simulator::{Behaviour, Fault, Options, Simulator, System};
//!
//! let sim = Simulator::start(Options::default()).await?;
//! sim.set(System::Oauth2, Behaviour::living(8).with(Fault::internal_error()).for_next(2));
//! let url = sim.endpoint(System::Oauth2);
//! # assert!(url.starts_with("http://127.0.0.1:"));
//! # Ok(()) }
//! ```

mod answer;
mod authorization;
mod behaviour;
mod clock;
mod control;
mod credentials;
mod discovery;
mod endpoint;
mod exchange;
mod faults;
mod incoming;
mod judged;
mod key_pair;
mod keys;
mod log;
mod options;
mod policy;
mod refresh;
mod reply;
mod resource;
mod scripted;
mod server;
mod simulator;
mod state;
pub mod systems;
mod tls;
mod tokens;

pub use behaviour::{Behaviour, ExpiresIn, Fault, RetryAfter};
pub use credentials::{Client, Credentials};
pub use discovery::{Discovery, Documents};
pub use endpoint::{Endpoint, UnknownEndpoint};
pub use judged::{Authentication, GrantType, Judged, SeenJwt};
pub use key_pair::{KeyKind, KeyPair, KeyPairError};
pub use keys::{Key, Keys};
pub use log::{Outcome, Recorded, TimedOut};
pub use options::{Options, Tls};
pub use policy::{Bearer, Federation, Policy, Refresh, Reuse, Rotation, Seed, TrustedIssuer, User};
pub use refresh::RefreshRecord;
pub use simulator::{GiveError, Simulator, StartError};
pub use systems::{System, UnknownSystem};
pub use tls::TlsError;
pub use tokens::{Revocation, Standing, TokenRecord};
