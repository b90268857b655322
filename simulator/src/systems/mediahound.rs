//! `MediaHound`: form, the credentials in the header (bare) and in the body at once.

use super::profile::{Answer, Basic, BodyCredentials, Encoding, Profile, ScopeAnswer, Way};

/// The client identifier that exists from the start.
pub const CLIENT_ID: &str = "mhclt_reader";
/// Its secret. The header carries it bare, so the `:`, `%` and `+` in it must arrive as they are.
pub const CLIENT_SECRET: &str = "mB4+wE:8/kS=1%2Fn&Tg6vQj0ZxUf5yA";

pub(super) static PROFILE: Profile = Profile {
    template: "/mediahound/oauth/token",
    example: "/mediahound/oauth/token",
    ways: &[Way {
        encoding: Encoding::Form,
        required: &["grant_type", "client_id", "client_secret"],
        optional: &[],
        headers: &[("accept", "application/json")],
        basic: Basic::Bare,
        body: BodyCredentials::Client,
    }],
    answer: Answer::Oauth { token_type: "bearer", scope: ScopeAnswer::Fixed("public") },
    lifetime: 3600,
    client: (CLIENT_ID, CLIENT_SECRET),
};
