use rstest::rstest;
use serde_json::{Value, json};

use super::super::testing::{PLACE, TOKEN, rendered, shape, shown};
use super::*;

#[test]
fn a_bare_target_has_the_default_keys_and_no_shape() {
    let shape = shape(json!({"secretName": "other"})).unwrap();
    assert_eq!(shape.outline(), Outline::default());
    let rendered = shape.render(&shown(), PLACE).unwrap();
    let keys: Vec<&str> = rendered.data.keys().map(String::as_str).collect();
    assert_eq!(keys, ["access_token", "expires_at", "instance_url", "token_type"]);
    assert_eq!(rendered.type_, None);
    assert!(rendered.labels.is_empty() && rendered.annotations.is_empty());
}

#[test]
fn an_outline_tells_what_is_beside_the_default_keys() {
    let target = json!({
        "formats": {
            "authorizationHeader": {},
            "argoCD": {"url": "https://git.example.com", "username": "git"}
        },
        "template": {"data": {"x": ""}, "labels": {"team": "web"}, "annotations": {"note": ""}}
    });
    let outline = shape(target.clone()).unwrap().outline();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(outline.keys, names(&["authorization", "password", "type", "url", "username", "x"]));
    assert_eq!(outline.labels, names(&["argocd.argoproj.io/secret-type", "team"]));
    assert_eq!(outline.annotations, names(&["note"]));
    let rendered = rendered(target).unwrap();
    assert!(outline.keys.iter().all(|key| rendered.data.contains_key(key)));
    assert_eq!(rendered.labels.keys().cloned().collect::<BTreeSet<_>>(), outline.labels);
}

#[test]
fn a_digest_changes_with_every_part_of_the_declaration() {
    let declarations = [
        json!({}),
        json!({"type": "Opaque"}),
        json!({"formats": {"json": {}}}),
        json!({"formats": {"json": {"key": "x"}}}),
        json!({"template": {"data": {"x": "a"}}}),
        json!({"template": {"data": {"x": "b"}}}),
        json!({"template": {"labels": {"x": "a"}}}),
        json!({"template": {"annotations": {"x": "a"}}}),
    ];
    let digest = |target: &Value| shape(target.clone()).unwrap().digest().to_owned();
    let digests: BTreeSet<String> = declarations.iter().map(digest).collect();
    assert_eq!(digests.len(), declarations.len());
    assert_eq!(digest(&json!({})), digest(&json!({"secretName": "x"})));
}

#[rstest]
#[case::types(
    json!({"formats": {"dockerConfigJson": {"registries": ["a"], "username": "u"}, "basicAuth": {"username": "u"}}}),
    &["formats.basicAuth", "kubernetes.io/basic-auth", "formats.dockerConfigJson", "kubernetes.io/dockerconfigjson"]
)]
#[case::declared_type(
    json!({"type": "Opaque", "formats": {"basicAuth": {"username": "u"}}}),
    &["formats.basicAuth", "kubernetes.io/basic-auth", "spec.target.type", "Opaque"]
)]
#[case::keys(
    json!({"formats": {"argoCD": {"url": "u", "username": "u"}, "fluxGit": {"username": "u"}}}),
    &["formats.fluxGit", "formats.argoCD", "\"username\""]
)]
#[case::chosen_keys(
    json!({"formats": {"env": {"key": "token"}, "json": {"key": "token"}}}),
    &["formats.json", "formats.env", "\"token\""]
)]
#[case::template(
    json!({"formats": {"json": {}}, "template": {"data": {"token.json": ""}}}),
    &["template.data", "formats.json", "\"token.json\""]
)]
#[case::default_key(
    json!({"formats": {"json": {"key": "access_token"}}}),
    &["formats.json", "every target", "\"access_token\""]
)]
#[case::output(
    json!({"template": {"data": {"instance_url": ""}}}),
    &["template.data", "response.outputs", "\"instance_url\""]
)]
#[case::label(
    json!({"formats": {"argoCD": {"url": "u", "username": "u"}},
        "template": {"labels": {"argocd.argoproj.io/secret-type": "cluster"}}}),
    &["template.labels", "argocd.argoproj.io/secret-type", "formats.argoCD"]
)]
#[case::tls(json!({"type": "kubernetes.io/tls"}), &["kubernetes.io/tls needs tls.crt and tls.key"])]
#[case::half_of_tls(
    json!({"type": "kubernetes.io/tls", "template": {"data": {"tls.crt": ""}}}),
    &["kubernetes.io/tls needs tls.key,"]
)]
#[case::basic_auth(
    json!({"type": "kubernetes.io/basic-auth"}),
    &["kubernetes.io/basic-auth needs username or password"]
)]
#[case::ssh(json!({"type": "kubernetes.io/ssh-auth"}), &["ssh-privatekey"])]
#[case::key(json!({"template": {"data": {"..data": ""}}}), &["\"..data\" is no key"])]
#[case::path(json!({"formats": {"json": {"key": "a/b"}}}), &["\"a/b\" is no key"])]
#[case::kubernetes_label(
    json!({"template": {"labels": {"app.kubernetes.io/managed-by": "me"}}}),
    &["app.kubernetes.io/managed-by", "under kubernetes.io/"]
)]
#[case::k8s_annotation(
    json!({"template": {"annotations": {"x.k8s.io/y": ""}}}), &["x.k8s.io/y", "under k8s.io/"]
)]
#[case::our_annotation(
    json!({"template": {"annotations": {"tokenward.dev/owner": ""}}}), &["under tokenward.dev/"]
)]
#[case::in_capitals(
    json!({"template": {"labels": {"Kubernetes.IO/x": ""}}}), &["under kubernetes.io/"]
)]
#[case::no_name(json!({"template": {"labels": {"a b": ""}}}), &["\"a b\" is no name"])]
#[case::no_domain(json!({"template": {"labels": {"A/b": ""}}}), &["\"A/b\" is no name"])]
#[case::token_in_a_label(
    json!({"template": {"labels": {"t": "{{ access_token }}"}}}),
    &["template.labels.t: line 1", "for everybody's eyes"]
)]
fn what_does_not_fit_together(#[case] target: Value, #[case] says: &[&str]) {
    let error = shape(target).unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidSpec);
    assert!(error.message().starts_with("spec.target."), "{error}");
    for words in says {
        assert!(error.message().contains(words), "{error}");
    }
}

#[rstest]
#[case("kubernetes.io/service-account-token")]
#[case("bootstrap.kubernetes.io/token")]
#[case("helm.sh/release.v1")]
fn types_that_give_power_are_refused(#[case] type_: &str) {
    let error = shape(json!({"type": type_})).unwrap_err();
    assert_eq!(error.reason(), Reason::SecretTypeNotAllowed);
}

#[rstest]
#[case::tls(json!({"type": "kubernetes.io/tls", "template": {"data": {"tls.crt": "", "tls.key": ""}}}))]
#[case::one_of_basic_auth(json!({"type": "kubernetes.io/basic-auth", "template": {"data": {"password": ""}}}))]
#[case::another(json!({"type": "example.com/token"}))]
#[case::a_similar_domain(json!({"template": {"labels": {"notkubernetes.io/x": "", "k8s.io.example.com/x": ""}}}))]
#[case::bearer_beside_user(
    json!({"formats": {"fluxGit": {}, "argoCD": {"url": "u", "username": "u"}}})
)]
fn what_fits_together(#[case] target: Value) {
    assert!(rendered(target).is_ok());
}

#[rstest]
#[case::label(json!({"labels": {"x": "{{ outputs.instance_url }}"}}), "labels.x: it comes to no value of a label")]
#[case::token(json!({"annotations": {"x": "{{ outputs.instance_url }}"}}), "annotations.x: the token would stand in it")]
#[case::many(json!({"data": {"x": "{{ outputs.instance_url }}"}}), "the Secret would hold")]
fn what_a_token_makes_of_it(#[case] template: Value, #[case] says: &str) {
    let shape = shape(json!({"template": template})).unwrap();
    let mut shown = shown();
    let value = match says.starts_with("the Secret") {
        true => "x".repeat(600_000),
        false => format!("https://{TOKEN}"),
    };
    shown.outputs.insert("instance_url".into(), value.into());
    let error = shape.render(&shown, PLACE).unwrap_err();
    assert_eq!(error.reason(), Reason::TargetNotRendered);
    assert!(error.message().contains(says), "{error}");
    assert!(!error.message().contains(TOKEN), "{error}");
}

#[test]
fn a_docker_config_of_ones_own_has_to_be_json() {
    let config = |text: &str| {
        rendered(json!({"type": "kubernetes.io/dockerconfigjson",
            "template": {"data": {".dockerconfigjson": text}}}))
    };
    assert!(config("{{ {\"auths\": {}} | tojson }}").is_ok());
    let error = config("{{ access_token }}").unwrap_err();
    assert!(error.message().contains("data..dockerconfigjson: it is no JSON object"), "{error}");
}

#[test]
fn without_its_token_a_shape_keeps_what_its_type_wants_and_what_says_nothing_of_it() {
    let formats = json!({"dockerConfigJson": {"registries": ["a"], "username": "u"},
        "argoCD": {"url": "u", "username": "u"}});
    let template = json!({"labels": {"team": "web", "of": "{{ outputs.instance_url }}"},
        "annotations": {"until": "{{ expires_at }}", "type": "{{ token_type }}"}});
    let shape = shape(json!({"formats": formats, "template": template})).unwrap();
    let rendered = shape.without_token(shown().times, PLACE);
    let data = rendered.data.iter().map(|(key, value)| (key.as_str(), value.expose_secret()));
    assert_eq!(data.collect::<Vec<_>>(), [(".dockerconfigjson", "{}")]);
    assert_eq!(rendered.type_.as_deref(), Some(DOCKER_CONFIG_JSON));
    let labels: Vec<&str> = rendered.labels.keys().map(String::as_str).collect();
    assert_eq!(labels, ["argocd.argoproj.io/secret-type", "team"]);
    let annotations: Vec<&str> = rendered.annotations.keys().map(String::as_str).collect();
    assert_eq!(annotations, ["until"]);
}
