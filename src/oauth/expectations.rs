//! What a token ought to be and is not. Warned about, and no failure: the workload may do with it.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::endpoint::Endpoint;
use super::jwt;
use super::request::Asking;
use super::template::{Name, Template};

/// What an answer told.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) token: &'a SecretString,
    pub(super) token_type: Option<&'a str>,
    pub(super) scopes: &'a [String],
}

/// What is not as it was asked for or declared. It quotes what was asked for, never the answer.
pub(super) fn warnings(endpoint: &Endpoint, asking: &Asking, told: Told<'_>) -> Vec<String> {
    let expect = &endpoint.response.expect;
    let render = |template: &Option<Template>| {
        template.as_ref().map(|template| {
            template.render(|name| match name {
                Name::Variable(name) => endpoint.variable(name),
                Name::Parameter(name) => asking.parameters.get(name).map_or("", String::as_str),
                _ => "",
            })
        })
    };
    let mut warnings = Vec::new();
    let missing: Vec<&str> = match told.scopes.is_empty() {
        // RFC 6749 section 5.1: not told is as asked.
        true => Vec::new(),
        false => {
            asking.scopes.iter().filter(|s| !told.scopes.contains(s)).map(String::as_str).collect()
        }
    };
    if !missing.is_empty() {
        warnings.push(format!("the provider did not grant scope {}", missing.join(" ")));
    }
    if let Some(expected) = render(&expect.token_type)
        && told.token_type.is_some_and(|told| !told.eq_ignore_ascii_case(&expected))
    {
        warnings.push(format!("the token's type is not {expected}"));
    }
    let claims = jwt::claims(told.token.expose_secret());
    let Some(claims) = claims else { return warnings };
    if let Some(expected) = render(&expect.issuer)
        && claims.get("iss").and_then(Value::as_str) != Some(&expected)
    {
        warnings.push(format!("the token's issuer (iss) is not {expected}"));
    }
    if let Some(expected) = render(&expect.audience)
        && !is_among(&expected, claims.get("aud"))
    {
        warnings.push(format!("the token is not for {expected} (aud)"));
    }
    warnings
}

/// RFC 7519 section 4.1.3: one audience, or several.
fn is_among(expected: &str, audience: Option<&Value>) -> bool {
    match audience {
        Some(Value::String(one)) => one == expected,
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(expected)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::oauth::testing::*;

    const EXPECT: &str = "{tokenType: Bearer, issuer: 'https://{{ host }}/realm', \
                          audience: '{{ parameters.aud }}'}";

    fn warned(token: &str, (token_type, scopes): (Option<&str>, &str)) -> Vec<String> {
        let endpoint = endpoint(&format!(
            "{{request: {{url: 'https://{{{{ host }}}}'}}, variables: {{host: id.example}}, \
             response: {{expiry: {{default: 1h}}, expect: {EXPECT}}}}}"
        ));
        let asking = Asking {
            scopes: vec!["read".to_owned(), "write".to_owned()],
            ..asking(&[("aud", "api")])
        };
        let body = json!({"access_token": token, "token_type": token_type, "scope": scopes});
        let supplies = supplies(client());
        endpoint.read(&json_answer(200, &[], &body), &asking, &supplies).unwrap().warnings
    }

    fn jwt(claims: &Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    const ISSUER: &str = "the token's issuer (iss) is not https://id.example/realm";
    const AUDIENCE: &str = "the token is not for api (aud)";

    #[rstest]
    #[case::as_declared(json!({"iss": "https://id.example/realm", "aud": "api"}), &[])]
    #[case::one_of_several(json!({"iss": "https://id.example/realm", "aud": ["x", "api"]}), &[])]
    #[case::of_nobody(json!({}), &[ISSUER, AUDIENCE])]
    #[case::of_another(json!({"iss": "https://id.example/realm/", "aud": "api"}), &[ISSUER])]
    #[case::for_others(json!({"iss": "https://id.example/realm", "aud": ["x", 1, null]}), &[AUDIENCE])]
    #[case::for_part_of_it(json!({"iss": "https://id.example/realm", "aud": "api2"}), &[AUDIENCE])]
    #[case::not_as_text(json!({"iss": ["https://id.example/realm"], "aud": {"api": 1}}), &[ISSUER, AUDIENCE])]
    fn a_jwt_says_who_it_is_of_and_for(#[case] claims: Value, #[case] expected: &[&str]) {
        assert_eq!(warned(&jwt(&claims), (Some("bearer"), "")), expected);
    }

    #[rstest]
    #[case::any_case(Some("BEARER"), "write read", &[])]
    #[case::not_told(None, "", &[])]
    #[case::another(Some("mac"), "", &["the token's type is not Bearer"])]
    #[case::less(Some("Bearer"), "read other", &["the provider did not grant scope write"])]
    #[case::none(Some("Bearer"), "x", &["the provider did not grant scope read write"])]
    fn type_and_scopes_are_compared(
        #[case] token_type: Option<&str>,
        #[case] scopes: &str,
        #[case] expected: &[&str],
    ) {
        assert_eq!(warned("opaque", (token_type, scopes)), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_warning_quotes_nothing_of_the_answer(
            text in "[a-z]{12,30}", (token_type, issuer) in ("[a-z]{12,30}", "[a-z]{12,30}"),
        ) {
            let token = jwt(&json!({"iss": issuer, "aud": [text], "exp": null}));
            for warning in warned(&token, (Some(&token_type), &text)) {
                for told in [&text, &token_type, &issuer, &token] {
                    prop_assert!(!warning.contains(told.as_str()), "{}", warning);
                }
            }
        }
    }
}
