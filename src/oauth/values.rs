//! The values of the names in templates, for one request.

use std::collections::BTreeMap;

use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::endpoint::Endpoint;
use super::headers;
use super::occasion::{Ids, Occasion};
use super::parameters::ParameterTemplate;
use super::request::Asking;
use super::supplies::Supplies;
use super::template::{Given, Name, Template, invalid};
use crate::error::Error;

/// Where the values of names come from.
#[derive(Clone)]
pub(super) struct Values<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) asking: &'a Asking,
    pub(super) supplies: &'a Supplies,
    pub(super) occasion: &'a Occasion,
    /// The endpoint that is asked.
    pub(super) url: Option<Url>,
    ids: Ids,
    scope: String,
    assertion: Option<SecretString>,
    client_assertion: Option<SecretString>,
    key: Option<String>,
    revoked: Option<&'a SecretString>,
    /// What stands for values that are not to be seen; nothing where a request is to be sent.
    masks: BTreeMap<Name, String>,
}

impl<'a> Values<'a> {
    pub(super) fn new(
        endpoint: &'a Endpoint,
        asking: &'a Asking,
        (supplies, occasion): (&'a Supplies, &'a Occasion),
    ) -> Self {
        Self {
            endpoint,
            asking,
            supplies,
            occasion,
            url: None,
            ids: occasion.ids(),
            scope: asking.scopes.join(&endpoint.scope_separator),
            assertion: None,
            client_assertion: None,
            key: None,
            revoked: None,
            masks: BTreeMap::new(),
        }
    }

    /// Signs the assertions that the endpoint wants. The URL must be known.
    pub(super) fn mint(&mut self) -> Result<(), Error> {
        if let Some(template) = &self.endpoint.assertion {
            self.assertion = Some(template.mint(self, &self.ids.assertion)?);
        }
        if let Some(template) = &self.endpoint.client.assertion {
            self.client_assertion = Some(template.mint(self, &self.ids.client_assertion)?);
        }
        Ok(())
    }

    /// The assertion of the grant.
    pub(super) fn into_assertion(self) -> Option<SecretString> {
        self.assertion
    }

    /// The same with the fingerprint of a key at hand.
    pub(super) fn with_key(&self, fingerprint: Option<String>) -> Self {
        Self { key: fingerprint, ..self.clone() }
    }

    /// The same with a token that is to be revoked.
    pub(super) fn with_revoked(self, token: &'a SecretString) -> Self {
        Self { revoked: Some(token), ..self }
    }

    /// The endpoint's URL as an audience: without its query.
    pub(super) fn audience(&self) -> String {
        let Some(mut url) = self.url.clone() else { return String::new() };
        url.set_query(None);
        url.to_string()
    }

    /// The same with everything hidden that comes of a secret: `mask` makes of its length what is
    /// seen instead. What is there only once, as a random id, is told as such.
    pub(super) fn masked(&self, mask: impl Fn(usize) -> String) -> Self {
        let mut masks = BTreeMap::new();
        let given = [
            Given::ServiceAccount,
            Given::Current,
            Given::Assertion,
            Given::ClientAssertion,
            Given::Revoked,
        ];
        for name in self.endpoint.needs.secrets().chain(given.map(Name::Given)) {
            let length = self.get(&name).map_or(0, |value| value.chars().count());
            masks.insert(name, mask(length));
        }
        masks.insert(Name::Given(Given::Uuid), "<random>".to_owned());
        Self { masks, ..self.clone() }
    }

    pub(super) fn get(&self, name: &Name) -> Result<&str, Error> {
        if let Some(mask) = self.masks.get(name) {
            return Ok(mask);
        }
        Ok(match name {
            Name::Variable(name) => self.endpoint.variable(name),
            Name::Parameter(name) => self.asking.parameters.get(name).map_or("", String::as_str),
            Name::Credential(key) => self.supplies.credential(key)?.expose_secret(),
            Name::Token(name) => self.supplies.token(name)?.expose_secret(),
            Name::Given(Given::ServiceAccount) => self.supplies.service_account()?.expose_secret(),
            Name::Given(Given::Current) => self.supplies.current()?.expose_secret(),
            Name::Given(Given::Assertion) => exposed(self.assertion.as_ref()),
            Name::Given(Given::ClientAssertion) => exposed(self.client_assertion.as_ref()),
            Name::Given(Given::KeySha256) => self.key.as_deref().unwrap_or_default(),
            Name::Given(Given::Scope) => &self.scope,
            Name::Given(Given::Uuid) => &self.ids.request,
            Name::Given(Given::Revoked) => exposed(self.revoked),
            // Where these may stand is checked when the document is compiled.
            Name::Given(Given::Scopes) | Name::Output(_) => "",
        })
    }

    /// Runs `then` once every name is known to have a value.
    pub(super) fn check_then<'n, T>(
        &self,
        names: impl Iterator<Item = &'n Name>,
        then: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        for name in names {
            self.get(name)?;
        }
        then()
    }

    pub(super) fn render(&self, template: &Template) -> Result<String, Error> {
        self.check_then(template.names(), || {
            Ok(template.render(|name| self.get(name).unwrap_or_default()))
        })
    }

    /// `None` where the header is left out because its value rendered empty.
    pub(super) fn render_header(
        &self,
        header: &HeaderName,
        template: &Template,
    ) -> Result<Option<HeaderValue>, Error> {
        let place = format!("request.headers.{header}");
        for name in template.names() {
            if !headers::fits(self.get(name)?) {
                return Err(name.refuse(&place, headers::UNFIT));
            }
        }
        let text = self.render(template)?;
        let mut value = HeaderValue::from_bytes(text.as_bytes())
            .map_err(|_| invalid(format!("{place}: {}", headers::UNFIT)))?;
        value.set_sensitive(true);
        Ok(Some(value).filter(|_| !text.is_empty()))
    }

    /// `None` where the value is left out because it rendered empty.
    pub(super) fn render_parameter(
        &self,
        template: &ParameterTemplate,
    ) -> Result<Option<Value>, Error> {
        Ok(match template {
            ParameterTemplate::Text(template) => {
                Some(self.render(template)?).filter(|text| !text.is_empty()).map(Value::String)
            }
            ParameterTemplate::Literal(value) => Some(value.clone()),
            ParameterTemplate::List(items) => {
                let rendered = self.render_items(items)?;
                (items.is_empty() || !rendered.is_empty()).then_some(Value::Array(rendered))
            }
            ParameterTemplate::Object(fields) => {
                let mut object = serde_json::Map::new();
                for (key, field) in fields {
                    if let Some(value) = self.render_parameter(field)? {
                        object.insert(key.clone(), value);
                    }
                }
                Some(Value::Object(object))
            }
        })
    }

    fn render_items(&self, items: &[ParameterTemplate]) -> Result<Vec<Value>, Error> {
        let mut rendered = Vec::new();
        for item in items {
            match item.is_scopes() {
                true => rendered.extend(self.asking.scopes.iter().cloned().map(Value::String)),
                false => rendered.extend(self.render_parameter(item)?),
            }
        }
        Ok(rendered)
    }
}

fn exposed(secret: Option<&SecretString>) -> &str {
    secret.map_or("", |secret| secret.expose_secret())
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
