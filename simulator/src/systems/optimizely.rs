//! Optimizely CMS (`SaaS`): JSON with the credentials in the body, or form with them in the header;
//! never mixed.

use super::profile::{Answer, Basic, BodyCredentials, Encoding, Profile, ScopeAnswer, Way};

/// The client identifier that exists from the start.
pub const CLIENT_ID: &str = "editor-sync";
/// Its secret. The header carries it bare, JSON with the escapes of JSON only.
pub const CLIENT_SECRET: &str = "Yp0:Dk&7=sN/c2+Rb%25xWm9GhVt4Jq6";

pub(super) static PROFILE: Profile = Profile {
    template: "/_cms/{version}/oauth/token",
    example: "/_cms/preview2/oauth/token",
    ways: &[
        Way {
            encoding: Encoding::Json,
            required: &["grant_type", "client_id", "client_secret"],
            optional: &["act_as"],
            headers: &[],
            basic: Basic::Forbidden,
            body: BodyCredentials::Client,
        },
        Way {
            encoding: Encoding::Form,
            required: &["grant_type"],
            optional: &["act_as"],
            headers: &[],
            basic: Basic::Bare,
            body: BodyCredentials::Absent,
        },
    ],
    answer: Answer::Oauth { token_type: "Bearer", scope: ScopeAnswer::Never },
    lifetime: 300,
    client: (CLIENT_ID, CLIENT_SECRET),
};
