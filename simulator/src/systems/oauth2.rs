//! A plain RFC 6749 server: client credentials, Basic (form-urlencoded) or body, never both.

use super::profile::{Answer, Basic, BodyCredentials, Encoding, Profile, ScopeAnswer, Way};

/// The client identifier that exists from the start; the colon has to be encoded in the header.
pub const CLIENT_ID: &str = "svc:reports";
/// Its secret.
pub const CLIENT_SECRET: &str = "hJ5=fO/3%41&zC:pU8+iE1oXaBlKw7Gy";

pub(super) static PROFILE: Profile = Profile {
    template: "/oauth2/token",
    example: "/oauth2/token",
    ways: &[
        Way {
            encoding: Encoding::Form,
            required: &["grant_type"],
            optional: &["scope", "resource", "audience"],
            headers: &[],
            basic: Basic::FormEncoded,
            body: BodyCredentials::Absent,
        },
        Way {
            encoding: Encoding::Form,
            required: &["grant_type", "client_id", "client_secret"],
            optional: &["scope", "resource", "audience"],
            headers: &[],
            basic: Basic::Forbidden,
            body: BodyCredentials::Client,
        },
    ],
    answer: Answer::Oauth { token_type: "Bearer", scope: ScopeAnswer::Echoed },
    lifetime: 3600,
    client: (CLIENT_ID, CLIENT_SECRET),
};
