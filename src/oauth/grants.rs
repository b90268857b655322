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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use crate::oauth::testing::*;

    /// What is sent where a document says nothing but the grant and where to.
    #[rstest]
    #[case("client_credentials", "grant_type=client_credentials")]
    #[case("refresh_token", "grant_type=refresh_token&refresh_token=r")]
    #[case("password", "grant_type=password&password=p&username=u")]
    #[case(
        "token_exchange",
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=s&\
         subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
    )]
    #[case("none", "")]
    fn a_grant_sends_what_its_rfc_asks_for(#[case] grant: &str, #[case] expected: &str) {
        let endpoint =
            endpoint(&format!("{{grant: {grant}, request: {{url: 'https://a.example'}}}}"));
        let credentials = credentials(&[
            ("client_id", "c"),
            ("client_secret", "x"),
            ("refresh_token", "r"),
            ("username", "u"),
            ("password", "p"),
            ("subject_token", "s"),
        ]);
        let request = requested(&endpoint, credentials).unwrap();
        assert_eq!(body(&request), Some(expected));
        // RFC 6749 section 2.3.1; RFC 7523 and RFC 8693 leave the client out.
        let authorized = matches!(grant, "client_credentials" | "refresh_token" | "password");
        assert_eq!(header(&request, "authorization").is_some(), authorized);
        assert_eq!(endpoint.needs().scopes, grant != "none");
        assert_eq!(endpoint.renews(), grant == "refresh_token");
    }

    #[test]
    fn a_bearer_grant_hands_in_a_jwt() {
        let endpoint = endpoint(
            "{grant: jwt_bearer, request: {url: 'https://a.example'}, assertion: {algorithm: HS256}}",
        );
        assert!(endpoint.signs());
        let request = requested(&endpoint, client()).unwrap();
        let sent = body(&request).unwrap();
        let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
        assert!(sent.starts_with("assertion=ey") && sent.ends_with(grant), "{sent}");
        assert_eq!(header(&request, "authorization"), None);
    }
}
