//! Client authentication (RFC 6749 section 2.3): what it adds to a request.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use url::form_urlencoded::byte_serialize;

use super::assertion::AssertionTemplate;
use super::parameters::ParameterTemplate;
use super::template::{Name, Part, Template, invalid};
use super::values::Values;
use crate::api::{Algorithm, BasicEncoding, ClientAuthentication, Grant, ProviderDocument};
use crate::error::{Error, Reason};

/// What a JWT is that a client proves itself with (RFC 7523 section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How the client says who it is, and proves it.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: Template,
    pub(super) secret: Template,
    pub(super) authentication: Vec<ClientAuthentication>,
    basic_encoding: BasicEncoding,
    bearer: Template,
    /// Where it proves itself with a JWT that is signed here.
    pub(super) assertion: Option<AssertionTemplate>,
}

impl Client {
    /// Reads what a document says of the client.
    pub(super) fn parse(document: &ProviderDocument, grant: Grant) -> Result<Self, Error> {
        let template = |given: &Option<String>, usual: &str, place: &str| {
            Template::parse(given.as_deref().unwrap_or(usual), place)
        };
        let authentication = document.client_authentication.clone();
        let authentication = authentication.unwrap_or_else(|| vec![usual(grant)]);
        let secret =
            template(&document.client_secret, "{{ credentials.client_secret }}", "clientSecret")?;
        let mut client = Self {
            id: template(&document.client_id, "{{ credentials.client_id }}", "clientID")?,
            secret,
            basic_encoding: document.basic_encoding.unwrap_or(BasicEncoding::Form),
            bearer: template(&document.bearer_token, "{{ assertion.jwt }}", "bearerToken")?,
            assertion: None,
            authentication,
        };
        client.assertion = client.own_assertion(document)?;
        client.check()?;
        Ok(client)
    }

    fn own_assertion(
        &self,
        document: &ProviderDocument,
    ) -> Result<Option<AssertionTemplate>, Error> {
        let usual = match () {
            () if self.uses(ClientAuthentication::ClientSecretJwt) => Algorithm::HS256,
            () if self.uses(ClientAuthentication::PrivateKeyJwt) => Algorithm::RS256,
            () => return Ok(None),
        };
        let (field, assertion) = match &document.client_assertion {
            Some(assertion) => ("clientAssertion", Some(assertion)),
            None => ("assertion", document.assertion.as_ref()),
        };
        let assertion = assertion.cloned().unwrap_or_default();
        AssertionTemplate::parse(&assertion, field, (&self.secret, usual)).map(Some)
    }

    pub(super) fn uses(&self, method: ClientAuthentication) -> bool {
        self.authentication.contains(&method)
    }

    /// Whether it shows a certificate when it connects.
    pub(super) fn shows_certificate(&self) -> bool {
        self.uses(ClientAuthentication::TlsClientAuth)
            || self.uses(ClientAuthentication::SelfSignedTlsClientAuth)
    }

    /// Whether it sets the `Authorization` header.
    pub(super) fn authorizes(&self) -> bool {
        self.uses(ClientAuthentication::ClientSecretBasic)
            || self.uses(ClientAuthentication::Bearer)
    }

    /// Refuses a list of which one would overwrite another.
    fn check(&self) -> Result<(), Error> {
        use ClientAuthentication::{
            Bearer, ClientSecretBasic, ClientSecretJwt, FederatedJwt, PrivateKeyJwt,
        };
        let several = |methods: &[ClientAuthentication]| {
            methods.iter().filter(|method| self.uses(**method)).count() > 1
        };
        if several(&[ClientSecretBasic, Bearer]) {
            return Err(invalid(
                "clientAuthentication: client_secret_basic and bearer both set the header \
                 Authorization; keep one of them",
            ));
        }
        if several(&[ClientSecretJwt, PrivateKeyJwt, FederatedJwt]) {
            return Err(invalid(
                "clientAuthentication: a request holds one client_assertion; keep one of \
                 client_secret_jwt, private_key_jwt and federated_jwt",
            ));
        }
        Ok(())
    }

    /// The parameters that it adds to a request of this grant.
    pub(super) fn parameters(
        &self,
        grant: Grant,
    ) -> Result<BTreeMap<&'static str, ParameterTemplate>, Error> {
        let text = |text: &str| Template::parse(text, "clientAuthentication");
        let mut parameters = BTreeMap::new();
        for method in &self.authentication {
            let (names_client, assertion) = match method {
                ClientAuthentication::ClientSecretPost => {
                    parameters.insert("client_secret", self.secret.clone());
                    (true, None)
                }
                // RFC 6749 section 3.2.1: a public client says who it is.
                ClientAuthentication::None => (is_of_client(grant), None),
                ClientAuthentication::TlsClientAuth
                | ClientAuthentication::SelfSignedTlsClientAuth => (true, None),
                ClientAuthentication::ClientSecretJwt | ClientAuthentication::PrivateKeyJwt => {
                    (false, Some("{{ clientAssertion.jwt }}"))
                }
                ClientAuthentication::FederatedJwt => (true, Some("{{ serviceAccount.token }}")),
                ClientAuthentication::ClientSecretBasic | ClientAuthentication::Bearer => {
                    (false, None)
                }
            };
            if names_client {
                parameters.insert("client_id", self.id.clone());
            }
            if let Some(assertion) = assertion {
                parameters.insert("client_assertion_type", text(JWT_BEARER)?);
                parameters.insert("client_assertion", text(assertion)?);
            }
        }
        Ok(parameters.into_iter().map(|(n, t)| (n, ParameterTemplate::Text(t))).collect())
    }

    /// The header that it adds as a template.
    pub(super) fn header(&self) -> Option<(HeaderName, Template)> {
        let mut parts = vec![Part::Literal("Bearer ".to_owned())];
        parts.extend(self.bearer.parts.iter().cloned());
        self.uses(ClientAuthentication::Bearer).then_some((AUTHORIZATION, Template { parts }))
    }

    /// Adds the names that it uses besides its parameters.
    pub(super) fn collect_names(&self, names: &mut BTreeSet<Name>) {
        if self.uses(ClientAuthentication::ClientSecretBasic) {
            names.extend(self.id.names().chain(self.secret.names()).cloned());
        }
        if let Some(assertion) = &self.assertion {
            assertion.collect_names(&self.id, names);
        }
        if self.shows_certificate() {
            let keys = ["tls.crt", "tls.key"].map(|key| Name::Credential(key.to_owned()));
            names.extend(keys);
        }
    }

    /// The Basic header, where the document wants one.
    pub(super) fn basic(&self, values: &Values<'_>) -> Result<Option<HeaderValue>, Error> {
        if !self.uses(ClientAuthentication::ClientSecretBasic) {
            return Ok(None);
        }
        let (id, secret) = (values.render(&self.id)?, values.render(&self.secret)?);
        let pair = match self.basic_encoding {
            BasicEncoding::Form => format!("{}:{}", form(&id), form(&secret)),
            BasicEncoding::Base64 => format!("{}:{}", STANDARD.encode(id), STANDARD.encode(secret)),
            // RFC 7617 section 2: the id would end at its first colon.
            BasicEncoding::Raw if id.contains(':') => return Err(self.colon(values)),
            BasicEncoding::Raw => format!("{id}:{secret}"),
        };
        let value = format!("Basic {}", STANDARD.encode(pair));
        // Base64 is always a fit value.
        Ok(HeaderValue::from_str(&value).ok().map(|mut header| {
            header.set_sensitive(true);
            header
        }))
    }

    fn colon(&self, values: &Values<'_>) -> Error {
        let what = "holds a colon, which basicEncoding raw cannot carry";
        match self.id.names().next() {
            Some(Name::Credential(key)) => {
                let source = values.supplies.credentials.source();
                let message = format!("Secret {source}: {key} {what}");
                Error::new(Reason::InvalidCredentials, message)
            }
            Some(name) => name.refuse("clientID", what),
            None => invalid(format!("clientID {what}")),
        }
    }
}

/// What holds where a document does not say.
fn usual(grant: Grant) -> ClientAuthentication {
    match is_of_client(grant) {
        // RFC 6749 section 2.3.1: the one that every server must support.
        true => ClientAuthentication::ClientSecretBasic,
        false => ClientAuthentication::None,
    }
}

/// Whether a grant is nothing without a client (RFC 7523 section 2.1 and RFC 8693 section 2.1 make
/// one optional).
fn is_of_client(grant: Grant) -> bool {
    match grant {
        Grant::ClientCredentials | Grant::RefreshToken | Grant::Password => true,
        Grant::JwtBearer | Grant::TokenExchange | Grant::None | Grant::Local => false,
    }
}

fn form(value: &str) -> String {
    byte_serialize(value.as_bytes()).collect()
}

#[cfg(test)]
#[path = "client_auth_tests.rs"]
mod tests;
