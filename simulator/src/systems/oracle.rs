//! Oracle Content Management channel token: one secret in a JSON body, the identifier in the path,
//! no OAuth at all.

use super::profile::{Answer, Basic, BodyCredentials, Encoding, Profile, Way};

/// The channel that exists from the start; it takes the place of a client identifier.
pub const CHANNEL_ID: &str = "CC793AF1B04E";
/// Its channel secret: standard base64, which has `/`, `+` and `=` in it.
pub const CHANNEL_SECRET: &str = "8uFx/0q+Zr3TnLw/5KbY+e1vHd7jMs9CaQ==";

pub(super) static PROFILE: Profile = Profile {
    template: "/content/management/api/v1.1/channels/{channelId}/oauthToken",
    example: "/content/management/api/v1.1/channels/CC793AF1B04E/oauthToken",
    ways: &[Way {
        encoding: Encoding::Json,
        required: &["channelSecret"],
        optional: &[],
        headers: &[("x-requested-with", "XMLHttpRequest")],
        basic: Basic::Forbidden,
        body: BodyCredentials::Channel,
    }],
    answer: Answer::Channel,
    lifetime: 604_800,
    client: (CHANNEL_ID, CHANNEL_SECRET),
};
