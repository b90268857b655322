//! What a grant adds to a request: what its RFC asks for, and nothing else.

use std::collections::BTreeMap;

use super::parameters::ParameterTemplate;
use super::template::Template;
use crate::api::Grant;
use crate::error::Error;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The parameters of a grant, as templates.
pub(super) fn parameters(grant: Grant) -> Result<BTreeMap<&'static str, ParameterTemplate>, Error> {
    let (grant_type, own): (_, &[(&str, &str)]) = match grant {
        // RFC 6749 section 4.4.2.
        Grant::ClientCredentials => ("client_credentials", &[]),
        // RFC 6749 section 6.
        Grant::RefreshToken => {
            ("refresh_token", &[("refresh_token", "{{ credentials.refresh_token }}")])
        }
        // RFC 6749 section 4.3.2.
        Grant::Password => (
            "password",
            &[
                ("username", "{{ credentials.username }}"),
                ("password", "{{ credentials.password }}"),
            ],
        ),
        // RFC 7523 section 2.1.
        Grant::JwtBearer => (JWT_BEARER, &[("assertion", "{{ assertion.jwt }}")]),
        // RFC 8693 section 2.1.
        Grant::TokenExchange => (
            TOKEN_EXCHANGE,
            &[
                ("subject_token", "{{ credentials.subject_token }}"),
                ("subject_token_type", ACCESS_TOKEN),
            ],
        ),
        Grant::None | Grant::Local => return Ok(BTreeMap::new()),
    };
    [("grant_type", grant_type), ("scope", "{{ request.scope }}")]
        .iter()
        .chain(own)
        .map(|(name, text)| Ok((*name, ParameterTemplate::Text(Template::parse(text, "grant")?))))
        .collect()
}

/// The parameters of a revocation (RFC 7009 section 2.1).
pub(super) fn revocation() -> Result<BTreeMap<&'static str, ParameterTemplate>, Error> {
    [("token", "{{ revoked.token }}"), ("token_type_hint", "access_token")]
        .iter()
        .map(|(name, text)| {
            Ok((*name, ParameterTemplate::Text(Template::parse(text, "revocation")?)))
        })
        .collect()
}
