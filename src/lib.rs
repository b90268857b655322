//! tokenward keeps OAuth 2.0 access tokens fresh: an `OAuthClientToken` names a provider and a
//! credentials Secret; tokenward fetches a token, writes it into a target Secret with its expiry,
//! and comes back shortly before it expires.
//!
//! The flow goes one way:
//!
//! ```text
//!  watch ──Snapshot──▶ decide ──Plan──▶ act ──Outcome──▶ record ──▶ API server ──▶ watch
//!  (I/O)               (pure)           (I/O)            (I/O)
//! ```
//!
//! | room | what happens there |
//! |---|---|
//! | [`watch`] | pruned caches and an index of referenced Secrets become a snapshot of one token |
//! | [`decide`] | a pure function of snapshot, time and chance says what to do, and learns from what came of it |
//! | [`act`] | carries the plan out: reads credentials, asks the provider, writes the target |
//! | [`record`] | status, events; it never decides |
//! | [`oauth`] | the protocol without Kubernetes: requests and answers are pure, one file does HTTP |
//! | [`render`] | a token becomes the target's data; pure |
//! | [`flow`] | the loop through the rooms, once, for both edges: |
//! | [`controller`] | … a cluster |
//! | [`local`] | … a directory: manifests in, files out |
//! | [`check`] | a grant tried once, and told to a person: nothing is written |
//! | [`api`], [`catalogue`] | the resources; the provider documents |
//! | [`manifests`] | reading and judging manifests as the API server would |
//! | [`cli`], [`settings`], [`runtime`] | commands, arguments, process |
//! | [`clock`], [`error`] | the only place that asks for the time; what can go wrong |
//! | [`spans`], [`packed`] | what a trace shows; values at rest |

pub mod act;
pub mod api;
pub mod catalogue;
pub mod check;
pub mod cli;
pub mod clock;
pub mod controller;
pub mod decide;
pub mod error;
pub mod flow;
pub mod local;
pub mod manifests;
pub mod oauth;
pub mod packed;
pub mod record;
pub mod render;
pub mod runtime;
pub mod settings;
pub mod spans;
pub mod watch;
