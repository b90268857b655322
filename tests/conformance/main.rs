//! tokenward against a certified authorization server: oidc-provider, of npm (see `server/`).
//!
//! Every test drives tokenward as a person does, manifests in and files out, and then asks the
//! server what it thinks of the token, or what it saw.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    reason = "a test says what it expects by failing, and waits by the real clock"
)]

mod after_use;
mod assertions;
mod bench;
mod certificates;
mod client_credentials;
mod discovery;
mod docs;
#[path = "../local/generated.rs"]
mod generated;
mod grants;
mod matrix;
mod mtls;
mod refresh;
mod refusals;
mod resources;
mod server;
