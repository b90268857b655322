use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::super::testing::{PLACE, TOKEN, key, rendered, shape, shown};
use super::*;

fn text(template: &str) -> String {
    key(json!({"template": {"data": {"x": template}}}), "x")
}

fn refused(template: &str) -> Error {
    shape(json!({"template": {"data": {"x": template}}})).map(drop).unwrap_err()
}

#[rstest]
#[case::plain("just text", "just text")]
#[case::one_newline_goes("text\n", "text")]
#[case::token("{{ access_token }}", TOKEN)]
#[case::names("{{ namespace }}/{{ name }}/{{ secretName }}", "web/shop/shop-token")]
#[case::times(
    "{{ issued_at }} {{ refresh_at }} {{ expires_at }}",
    "2027-01-15T07:00:00Z 2027-01-15T07:50:00Z 2027-01-15T08:00:00Z"
)]
#[case::output("{{ outputs.instance_url }}/api", "https://a.example/api")]
#[case::output_by_key("{{ outputs[\"instance_url\"] }}", "https://a.example")]
#[case::base64("{{ namespace | b64encode }}", "d2Vi")]
#[case::urlencode("{{ outputs.instance_url | urlencode }}", "https%3A%2F%2Fa.example")]
#[case::basic("{{ name | basic_auth(\"user\") }}", "Basic dXNlcjpzaG9w")]
#[case::json("{{ {\"t\": name, \"n\": [1, true]} | tojson }}", r#"{"n":[1,true],"t":"shop"}"#)]
#[case::json_text("{{ \"a\\\"b\" | tojson }}", r#""a\"b""#)]
#[case::condition("{% if token_type == \"bearer\" %}Bearer{% else %}MAC{% endif %}", "Bearer")]
#[case::choice("{{ \"a\" if token_type is defined else \"b\" }}", "a")]
#[case::default("{{ token_type | default(\"Bearer\") }}", "bearer")]
#[case::joined("{{ (name ~ \":\" ~ namespace) | b64encode }}", "c2hvcDp3ZWI=")]
#[case::raw("{% raw %}{{ no_name }}{% endraw %}", "{{ no_name }}")]
#[case::comment("a{# {{ no_name }} #}b", "ab")]
fn templates(#[case] template: &str, #[case] expected: &str) {
    assert_eq!(text(template), expected);
}

#[rstest]
#[case::misspelt(
    "{{ acess_token }}",
    "line 1: {{ acess_token }} names nothing that is known; did you mean \"access_token\"?"
)]
#[case::line("a\nb\n{{ nope }}", "line 3: {{ nope }} names nothing")]
#[case::credentials("{{ credentials.client_secret }}", "only outputs has names of its own")]
#[case::parameters("{{ parameters.x }}", "only outputs has names of its own")]
#[case::output(
    "{{ outputs.instance_ur }}",
    "has no output \"instance_ur\"; did you mean \"instance_url\"?"
)]
#[case::all_outputs("{{ outputs | tojson }}", "name one of the outputs")]
#[case::computed_output("{{ outputs[name] }}", "only outputs has names of its own")]
#[case::filter("{{ name | b64 }}", "there is no filter \"b64\"; did you mean \"b64encode\"?")]
#[case::filter_inside("{% if name | shout %}{% endif %}", "there is no filter \"shout\"")]
#[case::test("{{ 1 if name is lower }}", "there is no test \"lower\"")]
#[case::not_closed("{{ name", "line 1: ")]
#[case::not_ended("{% if name %}", "line 1: ")]
#[case::functions("{{ range(100000000) }}", "there are no functions")]
#[case::debug("{{ debug() }}", "there are no functions")]
#[case::methods("{{ name.upper() }}", "there are no functions")]
#[case::loops("{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nothing to loop over")]
#[case::include("{% include \"/etc/passwd\" %}", "line 1: ")]
#[case::import("{% import \"x\" as x %}", "line 1: ")]
#[case::extends("{% extends \"x\" %}", "line 1: ")]
#[case::macros("{% macro m() %}{% endmacro %}", "line 1: ")]
#[case::set("{% set a = name ~ name %}", "set: a template holds text")]
#[case::set_block("{% set a %}{{ name }}{% endset %}", "set: a template holds text")]
#[case::with("{% with a = name ~ name %}{% endwith %}", "with: a template holds text")]
#[case::filter_block("{% filter b64encode %}x{% endfilter %}", "filter: a template holds text")]
#[case::repeat("{{ name * 100000000 }}", "does not calculate")]
#[case::plus("{{ name + name }}", "values are joined by ~")]
#[case::slices("{{ access_token[:4] }}", "does not calculate")]
fn what_a_template_may_not_hold(#[case] template: &str, #[case] says: &str) {
    let error = refused(template);
    assert_eq!(error.reason(), Reason::InvalidSpec);
    let message = error.message();
    assert!(message.starts_with("spec.target.template.data.x: "), "{message}");
    assert!(message.contains(says), "{message}");
}

#[test]
fn long_templates_and_long_joins_are_refused() {
    assert!(refused(&" ".repeat(8193)).message().contains("at most 8192 bytes"));
    let joins = |n: usize| format!("{{{{ {}name }}}}", "name ~ ".repeat(n));
    assert_eq!(text(&joins(JOINS)), "shop".repeat(JOINS + 1));
    assert!(refused(&joins(JOINS + 1)).message().contains("more than 16 values"));
}

#[test]
fn an_output_that_is_not_told_is_named_with_its_line() {
    let target = json!({"template": {"data": {"x": "a\n{{ outputs.instance_url }}"}}});
    let bare = Shown { outputs: super::super::Data::new(), ..shown() };
    let error = shape(target).unwrap().render(&bare, PLACE).unwrap_err();
    assert_eq!(error.reason(), Reason::TargetNotRendered);
    let says =
        "spec.target.template.data.x: line 2: the provider's answer tells no outputs.instance_url";
    assert!(error.message().starts_with(says), "{error}");
    let target =
        json!({"template": {"data": {"x": "{{ outputs.instance_url | default(\"none\") }}"}}});
    let rendered = shape(target).unwrap().render(&bare, PLACE).unwrap();
    assert_eq!(rendered.data["x"].expose_secret(), "none");
}

#[test]
fn values_are_never_read_as_templates() {
    let shown = Shown { access_token: "{{ name }}{% if".into(), ..shown() };
    let target = json!({"template": {"data": {"x": "{{ access_token }}"}}});
    let rendered = shape(target).unwrap().render(&shown, PLACE).unwrap();
    assert_eq!(rendered.data["x"].expose_secret(), "{{ name }}{% if");
}

/// Each step makes a value a third longer; forty would make it a hundred thousand times as long.
#[test]
fn filters_do_not_grow_a_value_beyond_a_secret() {
    let template = format!("{{{{ access_token{} }}}}", " | b64encode".repeat(60));
    let target = json!({"template": {"data": {"x": template}}});
    let error = rendered(target).unwrap_err();
    assert_eq!(error.reason(), Reason::TargetNotRendered);
    assert!(error.message().contains(filters::TOO_LARGE), "{error}");
}

#[test]
fn text_that_grows_by_repetition_ends_at_a_secrets_size() {
    let shown = Shown { access_token: "x".repeat(60_000).into(), ..shown() };
    let target = json!({"template": {"data": {"x": "{{ access_token }}".repeat(20)}}});
    let error = shape(target).unwrap().render(&shown, PLACE).unwrap_err();
    assert!(error.message().contains("more than a Secret holds"), "{error}");
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{{",
        "}}",
        "{%",
        "%}",
        " access_token ",
        " outputs.instance_url ",
        " | b64encode",
        " | tojson",
        " | default(",
        ")",
        " if ",
        " endif ",
        " else ",
        " ~ ",
        "[",
        "]",
        "name",
        "\"",
        "\n",
        ".",
        "set",
        " for ",
        " in ",
        " is defined",
        "{#",
        "#}",
        "-",
        "raw",
        "endraw",
        "==",
        "not ",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Whatever is written: an error before a token is asked for, or text; and no error holds the
    /// token.
    #[test]
    fn no_error_holds_a_value(template in pieces()) {
        let target = json!({"template": {"data": {"x": template}}});
        match shape(target) {
            Err(error) => prop_assert_eq!(error.reason(), Reason::InvalidSpec),
            Ok(shape) => if let Err(error) = shape.render(&shown(), PLACE) {
                prop_assert_eq!(error.reason(), Reason::TargetNotRendered);
                prop_assert!(!error.message().contains(TOKEN), "{}", error);
            }
        }
    }

    #[test]
    fn text_without_braces_is_itself(template in "[^{]*[^{\n\r]") {
        prop_assert_eq!(text(&template), template);
    }
}
