//! What is asked of the API server, and what it answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::view;

/// A request, understood.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Its method.
    pub method: Method,
    /// What it is about.
    pub at: Place,
    /// `status`, where it is about that.
    pub subresource: Option<String>,
    /// Its query.
    pub query: BTreeMap<String, String>,
    /// Of the body.
    pub content_type: String,
    /// Whether nothing but metadata is wanted.
    pub metadata_only: bool,
    /// The body.
    pub body: Value,
}

/// A kind, and an object of it where one is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The group and version, as `apiVersion` has it.
    pub api_version: String,
    /// Its plural name.
    pub resource: String,
    /// Empty for all, and for what has none.
    pub namespace: String,
    /// Empty for all.
    pub name: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// HTTP's.
    pub status: u16,
    /// An object, a list or a `Status`.
    pub body: Arc<Value>,
    /// Whether no more than the metadata of an object is told.
    pub metadata_only: bool,
}

impl Ask {
    /// Understands a request; `None` where it is none of the API.
    pub fn of(request: &http::request::Parts, body: &[u8]) -> Option<Self> {
        let header = |name| request.headers.get(name).and_then(|value| value.to_str().ok());
        let path = request.uri.path();
        let mut steps = path.trim_matches('/').split('/');
        let api_version = match steps.next()? {
            "api" => steps.next()?.to_owned(),
            "apis" => format!("{}/{}", steps.next()?, steps.next()?),
            _ => return None,
        };
        let steps: Vec<&str> = steps.collect();
        let (namespace, steps) = match steps.as_slice() {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            all => ("", all),
        };
        let query = request.uri.query().unwrap_or_default();
        Some(Self {
            method: request.method.clone(),
            at: Place {
                api_version,
                resource: (*steps.first()?).to_owned(),
                namespace: namespace.to_owned(),
                name: steps.get(1).copied().unwrap_or_default().to_owned(),
            },
            subresource: steps.get(2).map(|&step| step.to_owned()),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            content_type: header("content-type").unwrap_or_default().to_owned(),
            metadata_only: header("accept").is_some_and(|accept| accept.contains("as=Partial")),
            body: serde_json::from_slice(body).unwrap_or_default(),
        })
    }

    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// Whether it asks for a stream.
    pub fn is_watch(&self) -> bool {
        matches!(self.parameter("watch"), Some("true" | "1"))
    }

    /// Whether it may change something.
    pub fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    /// The same, not only to see whether it could be done.
    #[must_use]
    pub fn in_earnest(&self) -> Self {
        let mut same = self.clone();
        same.query.remove("dryRun");
        same
    }

    /// Who writes.
    pub fn manager(&self) -> String {
        self.parameter("fieldManager").unwrap_or("unknown").to_owned()
    }

    /// In few words, without what differs from run to run.
    pub fn in_short(&self) -> String {
        let Place { resource, namespace, name, .. } = &self.at;
        let name = if resource == "events" { "" } else { name };
        let below = self.subresource.as_deref().unwrap_or_default();
        let watch = if self.is_watch() { "watch " } else { "" };
        let dry = if self.parameter("dryRun").is_some() { "(dry) " } else { "" };
        format!("{watch}{dry}{} {resource} {namespace}/{name} {below}", self.method)
    }
}

impl Reply {
    /// Something that was asked for.
    pub fn ok(body: impl Into<Arc<Value>>) -> Self {
        Self { status: 200, body: body.into(), metadata_only: false }
    }

    /// A refusal.
    pub fn refused(status: u16, reason: &str, message: &str) -> Self {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "reason": reason, "code": status, "message": message,
        });
        Self { status, body: Arc::new(body), metadata_only: false }
    }

    /// A refusal because of a field.
    pub fn invalid(field: &str, message: &str) -> Self {
        let mut refused = Self::refused(422, "Invalid", message);
        Arc::make_mut(&mut refused.body)["details"] = json!({"causes": [
            {"reason": "FieldValueInvalid", "field": field, "message": message},
        ]});
        refused
    }

    /// As it travels.
    pub fn text(&self) -> String {
        view::text(&self.body, self.metadata_only)
    }

    /// The object is not as it was.
    pub fn conflict(message: &str) -> Self {
        Self::refused(409, "Conflict", message)
    }
}
