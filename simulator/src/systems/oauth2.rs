//! A plain RFC 6749 server. How it may be asked is in `crate::authorization`; what it admits is a
//! [`Policy`](crate::Policy).

use super::profile::{Answer, Profile, ScopeAnswer};

/// The client identifier that exists from the start; the colon has to be encoded in the header.
pub const CLIENT_ID: &str = "svc:reports";
/// Its secret.
pub const CLIENT_SECRET: &str = "hJ5=fO/3%41&zC:pU8+iE1oXaBlKw7Gy";
/// The refresh token that this client has from the start.
pub const REFRESH_TOKEN: &str = "rT9/qW+2%3Dk=Vb6~nMxZ4:cLs8EyAuHj0";
/// The user that exists from the start.
pub const USERNAME: &str = "reports@example.com";
/// Their password.
pub const PASSWORD: &str = "pW4 &dG=7+tR%2Bk/ü9xQ";

pub(super) static PROFILE: Profile = Profile {
    template: "/oauth2/token",
    example: "/oauth2/token",
    ways: &[],
    answer: Answer::Oauth { token_type: "Bearer", scope: ScopeAnswer::Echoed },
    lifetime: 3600,
    client: (CLIENT_ID, CLIENT_SECRET),
};
