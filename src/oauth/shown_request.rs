//! A request as it may be shown to the person who tries it out: what comes of a secret is its
//! length, everything else is as it is sent.

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Map, Value};
use url::Url;

use super::assertion::{AssertionTemplate, Parts};
use super::endpoint::Endpoint;
use super::occasion::Occasion;
use super::request::{Asking, headers, pairs, parameters};
use super::request_template::{FORM, JSON};
use super::secrets::redacted;
use super::supplies::Supplies;
use super::template::invalid;
use super::values::Values;
use crate::api::{ClientAuthentication, Encoding, Grant, Method};
use crate::error::Error;

/// A request as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownRequest {
    /// Method, scheme, host and path, and the names of the URL's own query; `None` where nobody is
    /// asked.
    pub line: Option<String>,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// How the parameters are written.
    pub encoding: Encoding,
    /// Names and values.
    pub parameters: Vec<(String, String)>,
    /// The JWTs that were signed here.
    pub assertions: Vec<ShownJwt>,
}

/// A JWT without its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownJwt {
    /// The field of the document that says how it is made.
    pub field: &'static str,
    /// Its header.
    pub header: Map<String, Value>,
    /// Its claims.
    pub claims: Map<String, Value>,
}

/// Parameters that are secret whoever wrote them down.
const SECRET: [&str; 9] = [
    "access_token",
    "actor_token",
    "assertion",
    "client_assertion",
    "client_secret",
    "password",
    "refresh_token",
    "subject_token",
    "token",
];

/// What begins whatever stands for a secret.
const MASK: &str = "<redacted";

impl Endpoint {
    /// What a request holds, to be shown. It fails as the request itself would.
    pub fn show(
        &self,
        asking: &Asking,
        (supplies, occasion): (&Supplies, &Occasion),
    ) -> Result<ShownRequest, Error> {
        self.check(asking)?;
        if let Some(metadata) = &occasion.metadata {
            metadata.admits(self)?;
        }
        let mut values = Values::new(self, asking, (supplies, occasion));
        if !self.is_local() {
            values.url = Some(self.token_url(&values)?);
        }
        values.mint()?;
        let assertions = self.shown_assertions(&values)?;
        let nothing = ShownRequest {
            line: None,
            headers: Vec::new(),
            encoding: self.request.encoding,
            parameters: Vec::new(),
            assertions,
        };
        if self.is_local() {
            return Ok(nothing);
        }
        let masked = values.masked(redacted);
        Ok(ShownRequest {
            line: Some(self.line(&values)?),
            headers: self.shown_headers(&masked)?,
            parameters: self.shown_parameters(&masked)?,
            ..nothing
        })
    }

    /// How the client proves who it is.
    pub fn client_authentication(&self) -> &[ClientAuthentication] {
        &self.client.authentication
    }

    /// The grant.
    pub fn grant(&self) -> Grant {
        self.grant
    }

    fn line(&self, values: &Values<'_>) -> Result<String, Error> {
        // In a path, what stands for a secret has to be a segment.
        let url = self.token_url(&values.masked(|_| "redacted".to_owned()))?;
        let method = match self.request.method {
            Method::Post => "POST",
            Method::Get => "GET",
        };
        Ok(format!("{method} {}", shown_url(&url)))
    }

    fn shown_headers(&self, values: &Values<'_>) -> Result<Vec<(String, String)>, Error> {
        let basic = self.client.uses(ClientAuthentication::ClientSecretBasic);
        let headers = headers(&self.client, &self.request, values)?;
        let shown = headers.iter().map(|(name, value)| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let text = match *name {
                AUTHORIZATION if basic => "Basic <redacted: client id and secret>".to_owned(),
                AUTHORIZATION if !text.contains(MASK) => redacted(text.chars().count()),
                _ => text,
            };
            (name.to_string(), text)
        });
        let media_type = match self.request.encoding {
            Encoding::Form => Some(FORM),
            Encoding::Json => Some(JSON),
            Encoding::Query | Encoding::None => None,
        };
        let media_type = media_type.filter(|_| !headers.contains_key(CONTENT_TYPE));
        let media_type = media_type.map(|value| (CONTENT_TYPE.to_string(), value.to_owned()));
        Ok(shown.chain(media_type).collect())
    }

    fn shown_parameters(&self, values: &Values<'_>) -> Result<Vec<(String, String)>, Error> {
        let parameters = parameters(&self.request, values)?;
        match self.request.encoding {
            Encoding::Form | Encoding::Query => {
                let shown = pairs(&parameters)?.into_iter();
                Ok(shown.map(|(name, text)| (name.to_owned(), guarded(name, text))).collect())
            }
            Encoding::Json => Ok(parameters
                .into_iter()
                .map(|(name, value)| {
                    let text = match value {
                        Value::String(text) => guarded(&name, text),
                        value => value.to_string(),
                    };
                    (name, text)
                })
                .collect()),
            Encoding::None => Ok(Vec::new()),
        }
    }

    fn shown_assertions(&self, values: &Values<'_>) -> Result<Vec<ShownJwt>, Error> {
        let both = [("assertion", &self.assertion), ("clientAssertion", &self.client.assertion)];
        let show = |(field, template): (&'static str, &Option<AssertionTemplate>)| {
            let template = template.as_ref()?;
            let parts: Result<Parts, Error> = template.show(values);
            Some(parts.map(|(header, claims)| ShownJwt { field, header, claims }))
        };
        both.into_iter().filter_map(show).collect()
    }

    /// Where a token is asked for.
    pub(super) fn token_url(&self, values: &Values<'_>) -> Result<Url, Error> {
        match (&self.request.url, &values.occasion.metadata) {
            (Some(url), _) => values.render_url(url),
            (None, Some(metadata)) => metadata.token_endpoint(self).cloned(),
            (None, None) => Err(invalid("nothing tells where the token endpoint is")),
        }
    }
}

/// A URL without the values of its query.
pub fn shown_url(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    let names: Vec<String> =
        url.query_pairs().map(|(name, _)| format!("{name}=<redacted>")).collect();
    match names.is_empty() {
        true => shown.to_string(),
        false => format!("{shown}?{}", names.join("&")),
    }
}

/// What is secret by its name is hidden, also where the document spells it out.
fn guarded(name: &str, text: String) -> String {
    match SECRET.contains(&name) && !text.contains(MASK) {
        true => redacted(text.chars().count()),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::testing::{HARD, asking, client, credentials, endpoint, occasion, supplies};

    fn shown(spec: &str) -> ShownRequest {
        let (endpoint, asking) = (endpoint(spec), asking(&[("act_as", "editor")]));
        endpoint.show(&asking, (&supplies(client()), &occasion())).unwrap()
    }

    #[test]
    fn what_comes_of_a_secret_is_its_length_and_the_rest_is_as_it_is_sent() {
        let shown = shown(
            "{request: {url: 'https://id.example/{{ credentials.client_secret }}/t?v=1', headers: \
             {X-Key: 'k {{ credentials.client_secret }}', X-Plain: '{{ parameters.act_as }}'}, \
             parameters: {act_as: '{{ parameters.act_as }}', password: literal, id: \
             '{{ request.uuid }}'}}, clientAuthentication: [client_secret_basic, \
             client_secret_post]}",
        );
        let secret = format!("<redacted, {} characters>", HARD.chars().count());
        assert_eq!(shown.line.unwrap(), "POST https://id.example/redacted/t?v=<redacted>");
        let find = |all: &[(String, String)], name: &str| {
            all.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()).unwrap()
        };
        let header = |name: &str| find(&shown.headers, name);
        assert_eq!(header("authorization"), "Basic <redacted: client id and secret>");
        assert_eq!(header("x-key"), format!("k {secret}"));
        assert_eq!(header("x-plain"), "editor");
        let parameter = |name: &str| find(&shown.parameters, name);
        assert_eq!(parameter("act_as"), "editor");
        assert_eq!(parameter("client_id"), "<redacted, 11 characters>");
        assert_eq!(parameter("client_secret"), secret);
        assert_eq!(parameter("grant_type"), "client_credentials");
        assert_eq!(parameter("id"), "<random>");
        assert_eq!(parameter("password"), "<redacted, 7 characters>");
    }

    #[test]
    fn values_inside_of_json_are_hidden_too() {
        let shown = shown(
            "{grant: none, request: {url: 'https://id.example', encoding: json, parameters: \
             {deep: {a: '{{ credentials.client_id }}', b: '{{ parameters.act_as }}'}}}}",
        );
        let json = r#"{"a":"<redacted, 11 characters>","b":"editor"}"#;
        assert_eq!(shown.parameters, [("deep".to_owned(), json.to_owned())]);
    }

    #[test]
    fn a_jwt_shows_its_claims_and_no_signature() {
        let endpoint = endpoint(
            "{request: {url: 'https://id.example/t'}, clientAuthentication: [client_secret_jwt], \
             assertion: {keyID: '{{ credentials.key_id }}', claims: {tier: gold}}}",
        );
        let keys = [("client_id", "editor-sync"), ("client_secret", HARD), ("key_id", "k1")];
        let supplies = supplies(credentials(&keys));
        let shown = endpoint.show(&asking(&[]), (&supplies, &occasion())).unwrap();
        let [jwt] = &shown.assertions[..] else { panic!("{shown:?}") };
        assert_eq!(jwt.field, "clientAssertion");
        assert_eq!(jwt.header["alg"], "HS256");
        assert_eq!(jwt.header["kid"], "<redacted, 2 characters>");
        assert_eq!(jwt.claims["aud"], "https://id.example/t");
        assert_eq!(jwt.claims["iss"], "<redacted, 11 characters>");
        assert_eq!(jwt.claims["tier"], "gold");
        assert_eq!(jwt.claims["jti"], "<random>");
        let all = format!("{shown:?}");
        assert!(!all.contains("editor-sync") && !all.contains("eyJ"), "{all}");
    }
}
