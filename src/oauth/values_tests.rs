use proptest::prelude::*;
use rstest::rstest;
use secrecy::SecretBox;
use serde_json::json;

use super::*;
use crate::api::Encoding;
use crate::oauth::testing::*;

/// The JSON body that is sent with these parameters; `p` and `c` are a parameter and a credential.
fn sent(parameters: &Value, (p, c): (&str, &str), scopes: &[&str]) -> Result<Value, Error> {
    let spec = json!({
        "clientAuthentication": ["none"], "grant": "none",
        "variables": {"v": "of {{ v }}"},
        "request": {"url": "https://a.example/{{ v }}?{{ parameters.p }}={{ request.scope }}",
            "encoding": Encoding::Json, "parameters": parameters,
            "headers": {"X-C": "{{ credentials.c }}"}},
    });
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let asking = Asking { scopes, ..asking(&[("p", p)]) };
    let request = ask(&endpoint(&spec.to_string()), &asking, credentials(&[("c", c)]))?;
    Ok(serde_json::from_str(body(&request).unwrap()).unwrap())
}

#[rstest]
#[case::items(json!(["{{ request.scopes }}"]), json!(["read", "write"]))]
#[case::among_others(json!(["openid", "{{request.scopes}}", 1]), json!(["openid", "read", "write", 1]))]
#[case::text(json!("{{ request.scope }}"), json!("read write"))]
#[case::below(json!({"names": ["{{ request.scopes }}"]}), json!({"names": ["read", "write"]}))]
fn scopes_are_text_or_items(#[case] template: Value, #[case] expected: Value) {
    let body = sent(&json!({"s": template}), ("1", "2"), &["read", "write"]).unwrap();
    assert_eq!(body, json!({"s": expected}));
}

#[rstest]
#[case::no_scopes(json!(["{{ request.scopes }}"]), None)]
#[case::no_scope(json!("{{ request.scope }}"), None)]
#[case::an_empty_list_is_meant(json!([]), Some(json!([])))]
#[case::an_object_stays(json!({"a": ""}), Some(json!({})))]
#[case::numbers_stay(json!([0, "", false]), Some(json!([0, false])))]
#[case::of_templates(json!("{{ parameters.p }}{{ parameters.p }}"), None)]
fn what_renders_empty_is_not_sent(#[case] template: Value, #[case] expected: Option<Value>) {
    let body = sent(&json!({"s": template}), ("", "2"), &[]).unwrap();
    assert_eq!(body.get("s"), expected.as_ref());
}

#[rstest]
#[case::in_text("{s: 'a {{ request.scopes }}'}")]
#[case::as_text("{s: '{{ request.scopes }}'}")]
#[case::in_a_map("{s: {t: '{{ request.scopes }}'}}")]
#[case::with_text("{s: ['x{{ request.scopes }}']}")]
fn scopes_stand_alone_in_a_list(#[case] parameters: &str) {
    let error = compile(&format!(
        "{{request: {{url: 'https://a.example', encoding: json, parameters: {parameters}}}}}"
    ))
    .unwrap_err();
    assert!(error.message().contains("is an item of a list"), "{error}");
}

#[test]
fn each_id_of_a_request_is_its_own() {
    let spec = "{clientAuthentication: [none], grant: none, request: {url: 'https://a.example', \
                encoding: json, parameters: {a: '{{ request.uuid }}', b: '{{ request.uuid }}'}}}";
    let uuid = |entropy: u8| {
        let occasion = Occasion { entropy: [entropy; 48], ..occasion() };
        let supplies = supplies(credentials(&[]));
        let request = endpoint(spec).request(&Asking::default(), &supplies, &occasion).unwrap();
        let sent: Value = serde_json::from_str(body(&request).unwrap()).unwrap();
        assert_eq!(sent["a"], sent["b"]);
        let text = sent["a"].as_str().unwrap().to_owned();
        assert_eq!(uuid::Uuid::parse_str(&text).unwrap().get_version_num(), 4);
        text
    };
    assert_ne!(uuid(1), uuid(2));
}

/// JSON whose strings mix text with names.
fn template() -> impl Strategy<Value = Value> {
    let text = "([a-z ]|\\{\\{ (v|parameters\\.p|credentials\\.c|request\\.scope) \\}\\}){0,4}";
    let leaf = prop_oneof![text.prop_map(|text| json!(text)), any::<i32>().prop_map(|n| json!(n))];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| json!(items)),
            prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|fields| json!(fields)),
        ]
    })
}

/// What a template comes to, said once more: text is replaced, what is empty is gone.
fn model(template: &Value, fill: &dyn Fn(&str) -> String) -> Option<Value> {
    match template {
        Value::String(text) => Some(fill(text)).filter(|text| !text.is_empty()).map(Value::from),
        Value::Array(items) => {
            let left: Vec<Value> = items.iter().filter_map(|item| model(item, fill)).collect();
            (items.is_empty() || !left.is_empty()).then_some(json!(left))
        }
        Value::Object(fields) => {
            Some(fields.iter().filter_map(|(k, v)| Some((k.clone(), model(v, fill)?))).collect())
        }
        literal => Some(literal.clone()),
    }
}

/// Splits at names, so that no value is looked at again.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut pieces = text.split("{{ ");
    let mut filled = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once(" }}").unwrap();
        let (_, value) = values.iter().find(|(known, _)| *known == name).unwrap();
        filled.push_str(value);
        filled.push_str(rest);
    }
    filled
}

proptest! {
    #[test]
    fn values_are_sent_as_they_are_and_never_read_again(
        templates in prop::collection::btree_map("[a-z]{1,3}", template(), 0..4),
        p in prop_oneof!["\\PC{0,12}", Just("{{ credentials.c }}".to_owned())],
        c in prop_oneof!["[ -~]{1,12}", Just("{{ parameters.p }}".to_owned())],
        scopes in prop::collection::vec("[a-z{}.]{1,6}", 0..3),
    ) {
        let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
        let joined = scopes.join(" ");
        let values = [
            ("v", "of {{ v }}"), ("parameters.p", p.as_str()), ("credentials.c", c.as_str()),
            ("request.scope", joined.as_str()),
        ];
        let body = sent(&json!(templates), (&p, &c), &scopes).unwrap();
        let expected = model(&json!(templates), &|text| fill(text, &values)).unwrap();
        prop_assert_eq!(&body, &expected);
        prop_assert!(!has_empty_text(&body), "{}", body);
    }

    #[test]
    fn a_header_holds_its_value_or_is_refused(value in prop::collection::vec(any::<u8>(), 1..20)) {
        let spec = "{clientAuthentication: [none], grant: none, request: {url: 'https://a.example', \
                    headers: {X-C: '{{ credentials.c }}'}}}";
        let values = [("c".to_owned(), SecretBox::new(Box::new(value.clone())))].into();
        let credentials = crate::oauth::Credentials::new("web/client", values);
        match requested(&endpoint(spec), credentials) {
            Ok(request) => {
                prop_assert_eq!(request.headers["x-c"].as_bytes(), value.as_slice());
                prop_assert!(!value.contains(&b'\r') && !value.contains(&b'\n'));
            }
            Err(error) => prop_assert_eq!(error.reason(), crate::error::Reason::InvalidCredentials),
        }
    }
}

fn has_empty_text(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().any(has_empty_text),
        Value::Object(fields) => fields.values().any(has_empty_text),
        _ => false,
    }
}
