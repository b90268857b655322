//! Drives the simulator over the wire: each system with right and wrong requests, each fault, the
//! control API, the program.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests: a panic is how they fail"
)]

mod authentication;
mod client;
mod control;
mod discovery;
mod faults;
mod grants;
mod oauth;
mod program;
mod resource;
mod revocation;
mod systems;
