//! What a plain scalar means to kubectl, whose parser speaks YAML 1.1: `yes` is a boolean and
//! `012` is ten. Read otherwise, a manifest would mean one thing here and another on a cluster.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Number, Value};

static FLOAT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$").ok());

/// The value of a scalar without quotes; `None` for numbers that JSON cannot hold.
pub(super) fn resolve(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Some(Value::Bool(true));
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Some(Value::Bool(false));
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return None,
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Some(Value::from(text));
    }
    let plain = text.replace('_', "");
    Some(integer(&plain).or_else(|| float(&plain)).unwrap_or_else(|| Value::from(text)))
}

/// Go's `ParseInt(…, 0, 64)`: the prefix says the base, and a leading 0 means octal.
fn integer(text: &str) -> Option<Value> {
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    // A second sign would be taken by the standard library.
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, lower.get(2..)?),
        Some("0o") => (8, lower.get(2..)?),
        Some("0b") => (2, lower.get(2..)?),
        Some(_) if lower.starts_with('0') => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -magnitude } else { magnitude };
    i64::try_from(value).map(Value::from).or_else(|_| u64::try_from(value).map(Value::from)).ok()
}

fn float(text: &str) -> Option<Value> {
    if !FLOAT.as_ref().is_some_and(|float| float.is_match(text)) {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    // Go prints a whole float without a fraction, and the API server then takes it for an integer.
    #[expect(clippy::cast_possible_truncation, reason = "whole and within bounds")]
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return Some(Value::from(value as i64));
    }
    Number::from_f64(value).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// Each measured with kubectl 1.32.
    #[rstest]
    #[case("y", json!(true))]
    #[case("yes", json!(true))]
    #[case("Off", json!(false))]
    #[case("N", json!(false))]
    #[case("012", json!(10))]
    #[case("0o12", json!(10))]
    #[case("0x1F", json!(31))]
    #[case("0b11", json!(3))]
    #[case("1_000", json!(1000))]
    #[case("+1", json!(1))]
    #[case("-0", json!(0))]
    #[case("1e3", json!(1000))]
    #[case("1.0", json!(1))]
    #[case("1.", json!(1))]
    #[case(".5", json!(0.5))]
    #[case("089", json!(89))]
    #[case("1e30", json!(1e30))]
    #[case("1e400", json!("1e400"))]
    #[case("2020-01-01", json!("2020-01-01"))]
    #[case("1:30", json!("1:30"))]
    #[case("=", json!("="))]
    #[case("~", json!(null))]
    #[case("", json!(null))]
    #[case("--1", json!("--1"))]
    #[case("30s", json!("30s"))]
    #[case("oui", json!("oui"))]
    fn plain_scalars_mean_what_they_mean_to_kubectl(#[case] text: &str, #[case] value: Value) {
        assert_eq!(resolve(text), Some(value));
    }

    #[test]
    fn what_json_cannot_hold_is_no_value() {
        assert_eq!(resolve(".inf"), None);
    }
}
