//! The directory edge: manifests in, files out, no cluster.
//!
//! ```text
//! OUT/<namespace>/<secretName>/        a target: a file per key, swapped like a Secret volume
//! OUT/<namespace>/<secretName>.json    its annotations
//! OUT/.tokenward/                      the digest key and what is remembered of each token
//! ```

mod atomic;
mod edge;
mod generations;
mod renewed;
mod run;
mod source;
mod state;

pub use edge::LocalEdge;
pub(crate) use generations::generations;
pub use run::{LocalSettings, Runner, Verdict};
pub use source::Source;

/// Namespaces and names become path segments; Kubernetes' rules for names keep them harmless, and
/// this says so once more where it matters.
fn is_segment(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}
