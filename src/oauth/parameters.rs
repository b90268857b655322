//! Parameters of a token request: templates, or JSON with templates in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::template::{Given, Name, Part, Template};
use crate::error::Error;

/// A parameter: a template, or JSON with templates in it.
#[derive(Clone, Debug)]
pub(super) enum ParameterTemplate {
    Text(Template),
    Literal(Value),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl ParameterTemplate {
    /// Reads a parameter. `place` is where it stands, for messages.
    pub(super) fn parse(value: &Value, place: &str) -> Result<Self, Error> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(text, place)?),
            Value::Array(items) => Self::List(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| Self::parse(item, &format!("{place}[{index}]")))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|(key, field)| {
                        Ok((key.clone(), Self::parse(field, &format!("{place}.{key}"))?))
                    })
                    .collect::<Result<_, Error>>()?,
            ),
            literal => Self::Literal(literal.clone()),
        })
    }

    /// Adds the names that it uses.
    pub(super) fn collect_names(&self, names: &mut BTreeSet<Name>) {
        match self {
            Self::Text(template) => names.extend(template.names().cloned()),
            Self::List(items) => items.iter().for_each(|item| item.collect_names(names)),
            Self::Object(fields) => fields.values().for_each(|field| field.collect_names(names)),
            Self::Literal(_) => {}
        }
    }

    /// Whether it is `{{ request.scopes }}`, which stands for as many items of a list.
    pub(super) fn is_scopes(&self) -> bool {
        let Self::Text(template) = self else { return false };
        matches!(template.parts.as_slice(), [Part::Name(Name::Given(Given::Scopes))])
    }

    /// Whether `{{ request.scopes }}` stands where it is no item of a list.
    pub(super) fn misplaces_scopes(&self) -> bool {
        match self {
            Self::Text(template) => {
                template.names().any(|name| *name == Name::Given(Given::Scopes))
            }
            Self::List(items) => {
                items.iter().any(|item| !item.is_scopes() && item.misplaces_scopes())
            }
            Self::Object(fields) => fields.values().any(Self::misplaces_scopes),
            Self::Literal(_) => false,
        }
    }

    /// Whether a form or a query has no way to write it.
    pub(super) fn needs_json(&self) -> bool {
        match self {
            Self::Object(_) | Self::Literal(Value::Null) => true,
            Self::List(items) => {
                items.iter().any(|item| matches!(item, Self::List(_)) || item.needs_json())
            }
            Self::Text(_) | Self::Literal(_) => false,
        }
    }
}
