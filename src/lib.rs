//! tokenward
pub mod api;
pub mod catalogue;
pub mod clock;
pub mod error;
pub mod oauth;
