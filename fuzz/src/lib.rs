//! What must hold whatever a stranger sends: each module takes bytes and panics where it does not.
//! libFuzzer makes the bytes up (`fuzz_targets`); the tests replay those that were kept (`corpus`).

pub mod answer;
pub mod discovery;
pub mod document;
pub mod jwt;
pub mod manifest;
pub mod retry_after;
mod shared;
pub mod signing_key;
pub mod target;
pub mod template;

/// What takes bytes and panics where something does not hold.
pub type Target = fn(&[u8]);

/// Every target by name, as its folder in `corpus` is called.
pub const TARGETS: &[(&str, Target)] = &[
    ("answer", answer::run),
    ("discovery", discovery::run),
    ("document", document::run),
    ("jwt", jwt::run),
    ("manifest", manifest::run),
    ("retry_after", retry_after::run),
    ("signing_key", signing_key::run),
    ("target", target::run),
    ("template", template::run),
];
