//! Templates of provider documents: text with `{{ NAME }}` in it, and nothing more.
//!
//! Names only, by design: a document is written by tenants, so its language has no loops, calls or
//! filters to abuse, and every name can be checked before a request is made (ADR 0003).

use std::fmt;

use crate::error::{Error, Reason, nearest};

/// Text with names to fill in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    pub(super) parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    Name(Name),
}

/// What a template may name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// `{{ host }}`: a variable of the document.
    Variable(String),
    /// `{{ parameters.act_as }}`: of the token's spec.
    Parameter(String),
    /// `{{ credentials.client_id }}`: a key of the credentials Secret.
    Credential(String),
    /// `{{ tokens.subject }}`: another token of the namespace.
    Token(String),
    /// `{{ outputs.instance_url }}`: what the answer held.
    Output(String),
    /// What is there without any choice.
    Given(Given),
}

/// A name that stands for one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Given {
    /// The token of `spec.serviceAccountRef`.
    ServiceAccount,
    /// The resource's own current token.
    Current,
    /// A JWT, minted for this request.
    Assertion,
    /// The JWT that the client proves itself with, minted for this request.
    ClientAssertion,
    /// The fingerprint of the key that signs.
    KeySha256,
    /// `spec.scopes`, joined.
    Scope,
    /// `spec.scopes`, one item of a list each.
    Scopes,
    /// Another one for each request.
    Uuid,
    /// The token that is revoked.
    Revoked,
}

impl Given {
    const ALL: &[(&str, Self)] = &[
        ("serviceAccount.token", Self::ServiceAccount),
        ("current.token", Self::Current),
        ("assertion.jwt", Self::Assertion),
        ("clientAssertion.jwt", Self::ClientAssertion),
        ("key.sha256", Self::KeySha256),
        ("request.scope", Self::Scope),
        ("request.scopes", Self::Scopes),
        ("request.uuid", Self::Uuid),
        ("revoked.token", Self::Revoked),
    ];

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, given)| *given)
    }

    fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, given)| *given == self).map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => f.write_str(name),
            Self::Parameter(name) => write!(f, "parameters.{name}"),
            Self::Credential(name) => write!(f, "credentials.{name}"),
            Self::Token(name) => write!(f, "tokens.{name}"),
            Self::Output(name) => write!(f, "outputs.{name}"),
            Self::Given(given) => f.write_str(given.as_str()),
        }
    }
}

impl Name {
    /// A value that cannot stand at `place`: who gave it has to change it. The value is not shown.
    pub(super) fn refuse(&self, place: &str, what: &str) -> Error {
        let reason = match self {
            Self::Variable(_) | Self::Output(_) => Reason::InvalidProvider,
            Self::Parameter(_) => Reason::InvalidSpec,
            Self::Credential(_) | Self::Token(_) | Self::Given(_) => Reason::InvalidCredentials,
        };
        Error::new(reason, format!("{place}: {{{{ {self} }}}} {what}"))
    }
}

impl Template {
    /// Reads a template. `place` is where it stands, for messages.
    pub(super) fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((literal, after)) = rest.split_once("{{") {
            let (expression, tail) = after
                .split_once("}}")
                .ok_or_else(|| invalid(format!("{place}: a {{{{ is not closed by }}}}")))?;
            push_literal(&mut parts, literal);
            parts.push(Part::Name(parse_name(expression.trim(), place)?));
            rest = tail;
        }
        push_literal(&mut parts, rest);
        Ok(Self { parts })
    }

    /// The names that it uses.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name),
            Part::Literal(_) => None,
        })
    }

    /// Fills in every name. Values are taken as they are, never as templates again.
    pub(super) fn render<'a>(&'a self, mut value: impl FnMut(&'a Name) -> &'a str) -> String {
        self.parts.iter().fold(String::new(), |mut text, part| {
            text.push_str(match part {
                Part::Literal(literal) => literal,
                Part::Name(name) => value(name),
            });
            text
        })
    }
}

fn push_literal(parts: &mut Vec<Part>, literal: &str) {
    if !literal.is_empty() {
        parts.push(Part::Literal(literal.to_owned()));
    }
}

fn parse_name(expression: &str, place: &str) -> Result<Name, Error> {
    let well_formed = |name: &str, extra: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || extra.contains(c))
    };
    if let Some(given) = Given::parse(expression) {
        return Ok(Name::Given(given));
    }
    match expression.split_once('.') {
        None if well_formed(expression, "") => Ok(Name::Variable(expression.to_owned())),
        Some((group, name)) if well_formed(name, ".-") && well_formed(group, "") => {
            let name = name.to_owned();
            match group {
                "parameters" => Ok(Name::Parameter(name)),
                "credentials" => Ok(Name::Credential(name)),
                "tokens" => Ok(Name::Token(name)),
                "outputs" => Ok(Name::Output(name)),
                _ => Err(unknown(expression, place)),
            }
        }
        _ => Err(invalid(format!(
            "{place}: a template holds a name only, as {{{{ host }}}}, {{{{ parameters.act_as }}}} \
             or {{{{ credentials.client_id }}}}"
        ))),
    }
}

fn unknown(expression: &str, place: &str) -> Error {
    let group = expression.split('.').next().unwrap_or_default();
    let groups = ["parameters", "credentials", "tokens", "outputs"];
    let of_group: Vec<&str> = Given::ALL
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| name.split('.').next() == Some(group))
        .collect();
    let hint = match of_group.as_slice() {
        [] => nearest(group, groups.into_iter().chain(Given::ALL.iter().map(|(name, _)| *name))),
        known => nearest(expression, known.iter().copied()),
    };
    invalid(format!("{place}: {{{{ {expression} }}}} names nothing that is known{hint}"))
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(Reason::InvalidProvider, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[test]
    fn values_are_never_read_as_templates() {
        let template = Template::parse("a{{ x }}b{{parameters.y}}", "here").unwrap();
        let rendered = template.render(|name| match name {
            Name::Variable(_) => "{{ credentials.client_secret }}",
            _ => "1",
        });
        assert_eq!(rendered, "a{{ credentials.client_secret }}b1");
    }

    #[rstest]
    #[case("{{ host ", "not closed")]
    #[case("{{ }}", "holds a name only")]
    #[case("{{ host | upper }}", "holds a name only")]
    #[case("{{ 1 + 1 }}", "holds a name only")]
    #[case("{{ params.x }}", "did you mean \"parameters\"?")]
    #[case("{{ range(10) }}", "holds a name only")]
    fn what_is_no_name_is_refused(#[case] text: &str, #[case] says: &str) {
        let error = Template::parse(text, "request.url").unwrap_err();
        assert!(error.message().contains(says), "{error}");
        assert!(error.message().starts_with("request.url: "), "{error}");
    }

    #[test]
    fn every_name_is_documented() {
        let page = include_str!("../../docs/documents.md");
        for (name, _) in Given::ALL {
            assert!(page.contains(&format!("`{{{{ {name} }}}}`")), "{name}");
        }
    }

    fn rendered(template: &Template, value: &str) -> String {
        template.render(|_| value)
    }

    proptest! {
        #[test]
        fn text_without_names_is_itself(text in "[^{]*") {
            let template = Template::parse(&text, "here").unwrap();
            prop_assert_eq!(template.names().count(), 0);
            prop_assert_eq!(rendered(&template, "x"), text);
        }

        #[test]
        fn names_are_filled_in_and_nothing_else(
            texts in prop::collection::vec("[^{]*", 3), value in any::<String>(),
            names in prop::sample::subsequence(vec![
                "host", "_a1", "parameters.act-as.x", "credentials.tls.crt", "tokens.t", "outputs.o",
                "request.uuid", "key.sha256",
            ], 2),
            space in prop::sample::select(vec!["", " ", "\t ", "\n"]),
        ) {
            let text = format!(
                "{}{{{{{space}{}{space}}}}}{}{{{{{}}}}}{}",
                texts[0], names[0], texts[1], names[1], texts[2],
            );
            let template = Template::parse(&text, "here").unwrap();
            let found: Vec<String> = template.names().map(ToString::to_string).collect();
            prop_assert_eq!(&found, &names);
            prop_assert_eq!(rendered(&template, &value), texts.join(&value));
        }

        #[test]
        fn what_parses_is_written_and_parsed_again(text in "([a-z{} .]|\\{\\{ ?|\\}\\}|parameters\\.){0,12}") {
            let Ok(template) = Template::parse(&text, "here") else { return Ok(()) };
            let names: Vec<String> = template.names().map(|name| format!("{{{{ {name} }}}}")).collect();
            let mut names = names.iter();
            let written = template.render(|_| names.next().unwrap());
            prop_assert_eq!(Template::parse(&written, "here"), Ok(template));
        }
    }
}
