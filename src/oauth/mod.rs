//! The protocol, without Kubernetes: what a token request looks like and what an answer means.
//! Building and reading are pure; only [`transport`] does HTTP, behind the address [`guard`].

mod answer;
mod client_auth;
mod credentials;
mod digest;
mod endpoint;
mod errors;
mod guard;
mod headers;
mod jwt;
mod parameters;
mod request;
mod response;
mod retry_after;
mod secrets;
mod template;
#[cfg(test)]
mod testing;
mod transport;
mod url_template;
mod variables;

pub use answer::Answer;
pub use credentials::{CredentialValues, Credentials};
pub use digest::{Digester, KEY_LENGTH};
pub use endpoint::{Endpoint, Provenance};
pub use guard::{AddressPolicy, Cidr};
pub use request::{Asking, TokenRequest};
pub use response::{Issued, Life};
pub use transport::{Timeouts, Transport, TransportSettings};
