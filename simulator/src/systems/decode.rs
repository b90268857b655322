//! Strict decoders: what a lenient server would let pass is a bug in the client that a test should
//! show.

use std::fmt;

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;

/// Parameters in the order in which they came, duplicates kept so that they can be refused.
pub(crate) type Parameters = Vec<(String, String)>;

/// Reads `application/x-www-form-urlencoded`. A byte that an encoder has to escape is refused when
/// it is not escaped: servers let `=` or `/` pass and then trip over the `+` or `%` of the next
/// secret.
pub(crate) fn form(body: &str) -> Result<Parameters, String> {
    if body.is_empty() {
        return Ok(Parameters::new());
    }
    body.split('&')
        .map(|pair| {
            let (name, value) = pair.split_once('=').ok_or("the form has a part without `=`")?;
            Ok((form_text(name)?, form_text(value)?))
        })
        .collect()
}

/// Decodes one form-urlencoded name or value.
pub(crate) fn form_text(encoded: &str) -> Result<String, String> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex_pair(bytes.next(), bytes.next())
                .ok_or("a `%` is not followed by two hex digits")?,
            // HTML and RFC 3986 differ on a few marks; either kind of encoder is right.
            b'*' | b'-' | b'.' | b'_' | b'~' | b'!' | b'\'' | b'(' | b')' => byte,
            _ if byte.is_ascii_alphanumeric() => byte,
            _ => return Err(format!("the byte 0x{byte:02x} is not form-urlencoded")),
        });
    }
    String::from_utf8(decoded).map_err(|_| "the form is not UTF-8".to_owned())
}

fn hex_pair(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Reads a JSON object whose values are all strings.
pub(crate) fn json(body: &str) -> Result<Parameters, String> {
    let mut source = serde_json::Deserializer::from_str(body);
    let members = source
        .deserialize_map(Members)
        .and_then(|members| source.end().map(|()| members))
        .map_err(|error| {
            format!("the body is not one JSON object: {:?} error", error.classify())
        })?;
    members
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            _ => Err(format!("the JSON member `{name}` is not a string")),
        })
        .collect()
}

/// Collects the members of an object; `serde_json::Map` would hide duplicates.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_once() {
        let read = form("a=1&secret=%2F%2B%3D%3A%2526%26+x").unwrap();
        assert_eq!(read[0], ("a".into(), "1".into()));
        assert_eq!(read[1].1, "/+=:%26& x");
        assert_eq!(form("").unwrap(), Parameters::new());
    }

    #[test]
    fn a_form_that_an_encoder_did_not_write_is_refused() {
        for body in [
            "a", "a=1&&b=2", "a=x/y", "a=b=c", "a=%2", "a=%zz", "a=\u{e9}", "a=%ff", "a=b c",
            "a=%+1",
        ] {
            assert!(form(body).is_err(), "{body}");
        }
    }

    #[test]
    fn json_keeps_duplicates_and_refuses_the_rest() {
        assert_eq!(json(r#"{"a":"1","a":"2"}"#).unwrap().len(), 2);
        for body in
            ["", "[]", "null", "\"a\"", "{\"a\":1}", "{\"a\":null}", "{} {}", "{\"a\":\"1\",}"]
        {
            assert!(json(body).is_err(), "{body}");
        }
    }
}
