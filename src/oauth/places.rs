//! Places in an answer: a JSON Pointer (RFC 6901), a header, or the whole body.

use std::borrow::Cow;

use reqwest::header::HeaderName;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::answer::Answer;
use super::template::invalid;
use crate::error::Error;

/// Where something is in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Pointer(String),
    Header(HeaderName),
    Body,
}

/// Places in the order in which they are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places(Vec<Place>);

impl Place {
    /// Reads a place. `field` is where it stands, for messages.
    pub(super) fn parse(text: &str, field: &str) -> Result<Self, Error> {
        if text == "body" {
            return Ok(Self::Body);
        }
        if let Some(name) = text.strip_prefix("header:") {
            let header = HeaderName::from_bytes(name.as_bytes());
            return header
                .map(Self::Header)
                .map_err(|_| invalid(format!("{field}: {name:?} is not a header's name")));
        }
        match text.starts_with('/') {
            true => Ok(Self::Pointer(text.to_owned())),
            false => Err(invalid(format!(
                "{field}: {text:?} is no place: use a JSON Pointer, as /access_token, header:NAME or body"
            ))),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pointer(pointer) => f.write_str(pointer),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Body => f.write_str("body"),
        }
    }
}

impl Places {
    /// Reads places.
    pub(super) fn parse(texts: &[String], field: &str) -> Result<Self, Error> {
        texts.iter().map(|text| Place::parse(text, field)).collect::<Result<_, _>>().map(Self)
    }

    /// Those that lie in a JSON document.
    pub(super) fn pointers(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|place| match place {
            Place::Pointer(pointer) => Some(pointer.as_str()),
            Place::Header(_) | Place::Body => None,
        })
    }

    /// Whether one of them lies in a JSON document.
    pub(super) fn need_json(&self) -> bool {
        self.0.iter().any(|place| matches!(place, Place::Pointer(_)))
    }
}

impl std::fmt::Display for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(", "))
    }
}

/// An answer whose body was read as JSON, where it is JSON.
pub(super) struct Reading<'a> {
    pub(super) answer: &'a Answer,
    json: Option<Value>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(answer: &'a Answer) -> Self {
        Self { answer, json: answer.json() }
    }

    /// Whether the body is a JSON object.
    pub(super) fn is_object(&self) -> bool {
        self.json.as_ref().is_some_and(Value::is_object)
    }

    /// What is at a place; null is as good as nothing.
    pub(super) fn at(&self, place: &Place) -> Option<Cow<'_, Value>> {
        let value = match place {
            Place::Pointer(pointer) => Cow::Borrowed(self.json.as_ref()?.pointer(pointer)?),
            Place::Header(name) => {
                let text = self.answer.headers.get(name)?.to_str().ok()?.trim();
                Cow::Owned(Value::String(text.to_owned()))
            }
            Place::Body => self.body()?,
        };
        (!value.is_null()).then_some(value)
    }

    /// What `fits` makes of the first place that holds something it takes.
    pub(super) fn find<T>(&self, places: &Places, fits: impl Fn(&Value) -> Option<T>) -> Option<T> {
        places.0.iter().find_map(|place| fits(&*self.at(place)?))
    }

    /// A JSON string, or the text as it is.
    fn body(&self) -> Option<Cow<'_, Value>> {
        match &self.json {
            Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => {
                Some(Cow::Borrowed(value))
            }
            Some(_) => None,
            None => {
                let text = std::str::from_utf8(self.answer.body.expose_secret()).ok()?.trim();
                Some(Cow::Owned(Value::String(text.to_owned())))
            }
        }
    }
}

/// A scalar as text: what is compared with what a document lists.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// A string that is not empty.
pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::oauth::testing::{answer, json_answer};

    #[rstest]
    #[case::pointer("/a/0", r#"{"a": ["x"]}"#, Some("x"))]
    #[case::null("/a", r#"{"a": null}"#, None)]
    #[case::header("header:X-Subject-Token", "", Some("from the header"))]
    #[case::json_string("body", "\"bare\"\n", Some("bare"))]
    #[case::plain_text("body", "  plain\n", Some("plain"))]
    #[case::an_object_is_no_text("body", "{}", None)]
    #[case::not_json("/a", "<html>", None)]
    fn what_is_at_a_place(#[case] place: &str, #[case] body: &str, #[case] found: Option<&str>) {
        let answer = answer(200, &[("x-subject-token", " from the header")], body.as_bytes());
        let reading = Reading::new(&answer);
        let place = Place::parse(place, "response.token").unwrap();
        assert_eq!(reading.at(&place).as_deref().and_then(Value::as_str), found);
    }

    #[rstest]
    #[case("access_token", "response.token: \"access_token\" is no place")]
    #[case("header:a b", "is not a header's name")]
    fn what_is_no_place_is_refused(#[case] text: &str, #[case] says: &str) {
        let error = Place::parse(text, "response.token").unwrap_err();
        assert!(error.message().contains(says), "{error}");
    }

    #[test]
    fn the_first_place_that_fits_wins() {
        let answer =
            json_answer(200, &[("x-a", "of a header")], &json!({"a": "", "b": 7, "c": "c"}));
        let reading = Reading::new(&answer);
        let found = |places: &[&str]| {
            let places: Vec<String> = places.iter().map(|place| (*place).to_owned()).collect();
            reading.find(&Places::parse(&places, "here").unwrap(), text)
        };
        assert_eq!(found(&["/a", "/b", "/missing", "/c", "header:x-a"]).as_deref(), Some("c"));
        assert_eq!(found(&["/a", "header:X-A", "/c"]).as_deref(), Some("of a header"));
        assert_eq!(found(&["/a", "header:x-b", "body"]), None);
    }

    #[rstest]
    #[case(json!("x"), Some("x"))]
    #[case(json!(0), Some("0"))]
    #[case(json!(-1.5), Some("-1.5"))]
    #[case(json!(true), Some("true"))]
    #[case(json!({}), None)]
    #[case(json!([1]), None)]
    fn a_scalar_is_compared_as_text(#[case] value: Value, #[case] expected: Option<&str>) {
        assert_eq!(scalar(&value).as_deref(), expected);
    }

    proptest! {
        #[test]
        fn a_member_is_found_by_its_escaped_name(
            key in any::<String>(), value in any::<String>(), others in any::<[String; 2]>(),
        ) {
            let mut body = json!({&others[0]: 1, &others[1]: [2]});
            body[&key] = json!(value);
            let answer = json_answer(200, &[], &body);
            let place = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
            let place = Place::parse(&place, "here").unwrap();
            let reading = Reading::new(&answer);
            let found = reading.at(&place);
            prop_assert_eq!(found.as_deref().and_then(Value::as_str), Some(value.as_str()));
        }

        #[test]
        fn no_place_and_no_body_panics(
            place in any::<String>(), body in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let answer = answer(200, &[("x-a", "1")], &body);
            for text in [place.clone(), format!("/{place}"), format!("header:{place}"), "body".to_owned()] {
                if let Ok(parsed) = Place::parse(&text, "here") {
                    // What it is called in a message is what was written; names of headers are lower.
                    prop_assert!(parsed.to_string().eq_ignore_ascii_case(&text));
                    let _ = Reading::new(&answer).at(&parsed);
                }
            }
        }
    }
}
