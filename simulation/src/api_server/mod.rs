//! An API server in memory, behind the transport of a `kube::Client`.

mod ask;
mod fields;
mod history;
mod link;
mod patch;
mod store;
mod view;

pub use ask::{Ask, Place, Reply};
pub use history::History;
pub use link::Link;
pub use store::{Store, Written};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// As the values of a Secret travel.
pub fn encode(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The value of a Secret's key, where it is text.
pub fn value(secret: &serde_json::Value, key: &str) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(secret["data"][key].as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}
