//! A request as a document describes it: its templates, read and checked.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use serde_json::Value;

use super::client_auth::Client;
use super::headers;
use super::parameters::ParameterTemplate;
use super::template::{Name, Template, invalid};
use super::url_template::UrlTemplate;
use crate::api::{Encoding, Method};
use crate::error::Error;

/// The media types of bodies.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";
pub(super) const JSON: &str = "application/json";

/// A request, before any value is known.
#[derive(Clone, Debug)]
pub(super) struct RequestTemplate {
    /// `None` where discovery tells it, or nothing is asked.
    pub(super) url: Option<UrlTemplate>,
    pub(super) method: Method,
    pub(super) encoding: Encoding,
    pub(super) headers: Vec<(HeaderName, Template)>,
    pub(super) parameters: BTreeMap<String, ParameterTemplate>,
    /// Those of `parameters` that client authentication adds.
    from_client: BTreeSet<String>,
}

/// A request, before its variables are known.
pub(super) struct Draft {
    /// `request` or `revocation`.
    field: &'static str,
    url: Option<Template>,
    request: RequestTemplate,
}

/// What a document says of a request.
pub(super) struct Described<'a> {
    /// `request` or `revocation`.
    pub(super) field: &'static str,
    pub(super) url: Option<&'a str>,
    pub(super) method: Option<Method>,
    pub(super) encoding: Option<Encoding>,
    pub(super) headers: &'a BTreeMap<String, String>,
    pub(super) parameters: &'a BTreeMap<String, Value>,
}

impl Draft {
    /// Reads what a document says.
    pub(super) fn parse(described: &Described<'_>) -> Result<Self, Error> {
        let field = described.field;
        let url = described.url.map(|url| Template::parse(url, &format!("{field}.url")));
        let parameters = described.parameters.iter().map(|(name, value)| {
            let place = format!("{field}.parameters.{name}");
            Ok((name.clone(), ParameterTemplate::parse(value, &place)?))
        });
        Ok(Self {
            field,
            url: url.transpose()?,
            request: RequestTemplate {
                url: None,
                method: described.method.unwrap_or(Method::Post),
                encoding: described.encoding.unwrap_or(Encoding::Form),
                headers: headers::parse(described.headers, field)?,
                parameters: parameters.collect::<Result<_, Error>>()?,
                from_client: BTreeSet::new(),
            },
        })
    }

    /// Adds what is implied. What the document spells out itself is not added.
    pub(super) fn imply(&mut self, implied: BTreeMap<&'static str, ParameterTemplate>) {
        for (name, parameter) in implied {
            self.request.parameters.entry(name.to_owned()).or_insert(parameter);
        }
    }

    /// Adds what client authentication implies.
    pub(super) fn authenticate(
        &mut self,
        client: &Client,
        implied: BTreeMap<&'static str, ParameterTemplate>,
    ) -> Result<(), Error> {
        let spelled_out: BTreeSet<String> = self.request.parameters.keys().cloned().collect();
        let names = implied.keys().map(|name| (*name).to_owned());
        self.request.from_client = names.filter(|name| !spelled_out.contains(name)).collect();
        self.imply(implied);
        let own = self.request.headers.iter().any(|(header, _)| header == AUTHORIZATION);
        if own && client.authorizes() {
            return Err(invalid(format!(
                "{}.headers.authorization: clientAuthentication client_secret_basic and bearer set \
                 it too; keep one of them",
                self.field
            )));
        }
        self.request.headers.extend(client.header());
        Ok(())
    }

    /// Adds the names that it uses.
    pub(super) fn collect_names(&self, names: &mut BTreeSet<Name>) {
        names.extend(self.url.iter().flat_map(Template::names).cloned());
        names.extend(self.request.headers.iter().flat_map(|(_, t)| t.names().cloned()));
        for parameter in self.request.parameters.values() {
            parameter.collect_names(names);
        }
    }

    /// Fixes what the variables say, and refuses what contradicts itself.
    pub(super) fn finish<'a>(
        &'a self,
        variable: impl Fn(&'a str) -> &'a str,
    ) -> Result<RequestTemplate, Error> {
        headers::check(&self.request.headers, &variable)?;
        let url = self.url.as_ref().map(|url| UrlTemplate::compile(url, &variable)).transpose()?;
        let request = RequestTemplate { url, ..self.request.clone() };
        self.check_scopes()?;
        self.check_encoding()?;
        self.check_media_type()?;
        Ok(request)
    }

    fn check_scopes(&self) -> Result<(), Error> {
        let field = self.field;
        match self.request.parameters.iter().find(|(_, parameter)| parameter.misplaces_scopes()) {
            Some((name, _)) => Err(invalid(format!(
                "{field}.parameters.{name}: {{{{ request.scopes }}}} is an item of a list, as \
                 [\"{{{{ request.scopes }}}}\"]; {{{{ request.scope }}}} is the text"
            ))),
            None => Ok(()),
        }
    }

    /// Refuses what cannot travel in the encoding that is asked for.
    fn check_encoding(&self) -> Result<(), Error> {
        let Self { field, request, .. } = self;
        let structured = request.parameters.iter().find(|(_, value)| value.needs_json());
        match (request.encoding, structured) {
            (Encoding::Form | Encoding::Query, Some((name, _))) => Err(invalid(format!(
                "{field}.parameters.{name}: an object needs {field}.encoding json"
            ))),
            (Encoding::None, _) if !request.from_client.is_empty() => Err(invalid(format!(
                "clientAuthentication wants parameters, but {field}.encoding none sends nothing"
            ))),
            (Encoding::None, _) if !request.parameters.is_empty() => Err(invalid(format!(
                "{field}.parameters are set, but {field}.encoding none sends nothing"
            ))),
            (Encoding::Form | Encoding::Json, _) if request.method == Method::Get => Err(invalid(
                format!("{field}.method GET has no body: use {field}.encoding query or none"),
            )),
            _ => Ok(()),
        }
    }

    /// Refuses a media type that is not the body's.
    fn check_media_type(&self) -> Result<(), Error> {
        let other = match self.request.encoding {
            Encoding::Form => JSON,
            Encoding::Json => FORM,
            Encoding::Query | Encoding::None => return Ok(()),
        };
        let media_type = headers::literal(&self.request.headers, &CONTENT_TYPE).unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case(other) {
            let field = self.field;
            return Err(invalid(format!(
                "{field}.headers.content-type: {other} is not how {field}.encoding writes the body"
            )));
        }
        Ok(())
    }
}
