//! The protocol, without Kubernetes: what a token request looks like and what an answer means.
//! Building and reading are pure; only [`transport`] does HTTP, behind the address [`guard`].

mod answer;
mod assertion;
#[cfg(test)]
mod catalogue_tests;
mod client_auth;
mod credentials;
mod digest;
mod discovery;
mod endpoint;
mod errors;
mod expectations;
mod grants;
mod guard;
mod headers;
mod identity;
mod jws;
mod jwt;
mod life;
mod needs;
mod occasion;
mod parameters;
mod places;
mod request;
mod request_template;
mod response;
mod retry_after;
mod rules;
mod secrets;
mod shown_answer;
mod shown_request;
mod shown_token;
mod supplies;
mod template;
#[cfg(test)]
mod testing;
mod transport;
mod url_template;
mod values;
mod variables;

pub use answer::Answer;
pub use credentials::{CredentialValues, Credentials};
pub use digest::{Digester, KEY_LENGTH};
pub use discovery::{Issuer, Metadata};
pub use endpoint::{CANNOT_REVOKE, Endpoint, Provenance};
pub use guard::{AddressPolicy, Cidr};
pub use needs::Needs;
pub use occasion::{ENTROPY, Occasion};
pub use request::{Asking, TokenRequest};
pub use response::{Issued, Life};
pub use shown_answer::{Content, ShownAnswer};
pub use shown_request::{ShownJwt, ShownRequest, shown_url};
pub use shown_token::ShownToken;
pub use supplies::{Renewed, Supplies};
pub use transport::{Carrier, Timeouts, Transport, TransportSettings};
