//! tokenward
pub mod api;
pub mod clock;
pub mod error;
