//! Sitecore Content Hub ONE: form, credentials in the body, an audience.

use super::profile::{Answer, Basic, BodyCredentials, Encoding, Profile, ScopeAnswer, Way};

/// The client identifier that exists from the start.
pub const CLIENT_ID: &str = "sitecore-editor";
/// Its secret, with every character that a careless encoder gets wrong.
pub const CLIENT_SECRET: &str = "qV7/t+Xw2=:9%26&Lz0Rk5uHcJ3mYd8P";
/// An audience to ask for; any non-empty one is accepted.
pub const AUDIENCE: &str = "https://content-hub-one.example/api";

pub(super) static PROFILE: Profile = Profile {
    template: "/sitecore/oauth/token",
    example: "/sitecore/oauth/token",
    ways: &[Way {
        encoding: Encoding::Form,
        required: &["grant_type", "client_id", "client_secret", "audience"],
        optional: &[],
        headers: &[],
        basic: Basic::Forbidden,
        body: BodyCredentials::Client,
    }],
    answer: Answer::Oauth {
        token_type: "Bearer",
        scope: ScopeAnswer::Fixed("hc.mgmnt.types:read hc.mgmnt.items:manage"),
    },
    lifetime: 900,
    client: (CLIENT_ID, CLIENT_SECRET),
};
