//! tokenward
pub mod act;
pub mod api;
pub mod catalogue;
pub mod cli;
pub mod clock;
pub mod controller;
pub mod decide;
pub mod error;
pub mod manifests;
pub mod oauth;
pub mod record;
pub mod render;
pub mod runtime;
pub mod settings;
pub mod watch;
