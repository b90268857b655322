//! Deliberate bugs, one in the path of each invariant: what does not notice them proves nothing.
//! They sit at the seams where the world meets the product, which knows nothing of them.

use crate::api_server::Ask;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The schedule goes by a clock that is slow: tokens expire before it is time.
    SlowClock,
    /// The schedule goes by a clock that is fast: the floor is over too soon.
    FastClock,
    /// Limits of a provider never arrive: its budget is overdrawn.
    NoLimits,
    /// What a provider renewed is said to be kept, and is not.
    NothingKept,
    /// Every Secret looks like one of ours.
    NothingForeign,
    /// Requests to all providers wait in one line.
    OneLine,
}

/// Takes what was renewed out of what is to be kept.
pub(crate) fn emptied(ask: &Ask) -> Ask {
    let mut emptied = ask.clone();
    if ask.at.name.ends_with("-renewed") && ask.body["stringData"].is_object() {
        emptied.body["stringData"] = serde_json::json!({});
    }
    emptied
}

/// Makes a Secret look as if it were the one of the token of its name.
pub(crate) fn disguise(secret: &mut serde_json::Value) {
    let meta = &mut secret["metadata"];
    if meta["annotations"]["app"] == "another" {
        let (namespace, name) = (&meta["namespace"], &meta["name"]);
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let owner = format!("OAuthClientToken/{}/{}/uid-0", text(namespace), text(name));
        meta["annotations"]["tokenward.dev/owner"] = serde_json::json!(owner);
    }
}
