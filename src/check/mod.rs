//! A grant tried once and told to a person, with what is secret left out: what was asked, what was
//! answered, what that means, and what to do about it. Nothing is written anywhere.
//!
//! ```text
//! manifests ──▶ run ──▶ act (the engine's own asking) ──▶ trace (redacts at once)
//!                │                                           │
//!                └──────────▶ story ◀── mend (pure) ◀────────┘
//! ```

mod advice;
mod cluster;
mod concerned;
mod edge;
mod mend;
mod run;
mod said;
mod story;
mod symptoms;
mod target;
mod trace;
mod words;

pub use cluster::{Gathered, gather};
pub use concerned::concerned;
pub use run::{CheckSettings, Name, Setup, fetch};
pub use story::Story;
