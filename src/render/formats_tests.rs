use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::super::testing::{PLACE, TOKEN, key, rendered, shape, shown};
use super::*;
use crate::error::Reason;

#[rstest]
#[case::header(json!({"authorizationHeader": {}}), "authorization", "Bearer §")]
#[case::header_of_another_scheme(
    json!({"authorizationHeader": {"scheme": "token", "key": "header"}}), "header", "token §"
)]
#[case::netrc(
    json!({"netrc": {"host": "git.example.com"}}),
    ".netrc", "machine git.example.com login oauth2 password §\n"
)]
#[case::netrc_of_another_login(
    json!({"netrc": {"host": "git.example.com", "login": "x-token-auth", "key": "netrc"}}),
    "netrc", "machine git.example.com login x-token-auth password §\n"
)]
#[case::user(json!({"basicAuth": {"username": "shop"}}), "username", "shop")]
#[case::password(json!({"basicAuth": {"username": "shop"}}), "password", "§")]
#[case::env(
    json!({"env": {"prefix": "SHOP_"}}), "token.env",
    "SHOP_ACCESS_TOKEN=§\nSHOP_TOKEN_TYPE=bearer\nSHOP_EXPIRES_AT=2027-01-15T08:00:00Z\n"
)]
#[case::json(
    json!({"json": {}}), "token.json",
    r#"{"access_token":"§","expires_on":1800000000,"token_type":"bearer"}"#
)]
#[case::argo_cd(
    json!({"argoCD": {"url": "https://git.example.com/shop.git", "username": "git"}}), "type", "git"
)]
#[case::argo_cd_password(
    json!({"argoCD": {"url": "https://git.example.com/shop.git", "username": "git"}}),
    "password", "§"
)]
#[case::argo_cd_url(
    json!({"argoCD": {"url": "https://git.example.com/shop.git", "username": "git", "type": "helm"}}),
    "url", "https://git.example.com/shop.git"
)]
#[case::flux_by_bearer(json!({"fluxGit": {}}), "bearerToken", "§")]
#[case::flux_by_password(json!({"fluxGit": {"username": "git"}}), "password", "§")]
fn values(#[case] formats: Value, #[case] name: &str, #[case] expected: &str) {
    let value = key(json!({"formats": formats}), name);
    assert_eq!(value, expected.replace('§', TOKEN));
}

#[test]
fn a_docker_config_names_each_registry() {
    let formats = json!({"dockerConfigJson": {
        "registries": ["registry.example.com:5000", "ghcr.io"], "username": "robot"}});
    let rendered = rendered(json!({"formats": formats})).unwrap();
    assert_eq!(rendered.type_.as_deref(), Some(DOCKER_CONFIG_JSON));
    let config: Value =
        serde_json::from_str(rendered.data[DOCKER_CONFIG_KEY].expose_secret()).unwrap();
    for registry in ["registry.example.com:5000", "ghcr.io"] {
        let entry = &config["auths"][registry];
        let auth = STANDARD.decode(entry["auth"].as_str().unwrap()).unwrap();
        assert_eq!(String::from_utf8(auth).unwrap(), format!("robot:{TOKEN}"));
        assert_eq!((&entry["username"], &entry["password"]), (&json!("robot"), &json!(TOKEN)));
    }
}

#[test]
fn argo_cd_finds_its_secret_by_label() {
    let label = |more: Value| {
        let mut argo_cd = json!({"url": "https://git.example.com", "username": "git"});
        argo_cd.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let rendered = rendered(json!({"formats": {"argoCD": argo_cd}})).unwrap();
        rendered.labels["argocd.argoproj.io/secret-type"].clone()
    };
    assert_eq!(label(json!({})), "repository");
    assert_eq!(label(json!({"secretType": "repo-creds"})), "repo-creds");
}

#[rstest]
#[case::header(json!({"authorizationHeader": {}}), "a\r\nX-Admin: 1")]
#[case::netrc(json!({"netrc": {"host": "a"}}), "a\nmachine b login c password d")]
#[case::netrc_quotes(json!({"netrc": {"host": "a"}}), "a\"b")]
#[case::netrc_comment(json!({"netrc": {"host": "a"}}), "#a")]
#[case::env_lines(json!({"env": {}}), "a\nPATH=/tmp")]
#[case::env_expansion(json!({"env": {}}), "$(id)")]
#[case::env_quotes(json!({"env": {}}), "'a'")]
#[case::env_home(json!({"env": {}}), "~root")]
#[case::env_second_home(json!({"env": {}}), "a:~root")]
fn a_token_that_would_say_something_else_is_refused(#[case] formats: Value, #[case] token: &str) {
    let shape = shape(json!({"formats": formats})).unwrap();
    let shown = Shown { access_token: token.into(), ..shown() };
    let error = shape.render(&shown, PLACE).unwrap_err();
    assert_eq!(error.reason(), Reason::TargetNotRendered);
    let name = formats.as_object().unwrap().keys().next().unwrap();
    assert!(error.message().starts_with(&format!("spec.target.formats.{name}: ")), "{error}");
    assert!(!error.message().contains(token), "{error}");
}

proptest! {
    #[test]
    fn lines_are_never_added(token in any::<String>()) {
        let formats = json!({"formats": {"env": {}, "netrc": {"host": "a"}, "authorizationHeader": {}}});
        let shown = Shown { access_token: token.clone().into(), ..shown() };
        let Ok(rendered) = shape(formats).unwrap().render(&shown, PLACE) else { return Ok(()) };
        let lines = |key: &str| rendered.data[key].expose_secret().lines().count();
        prop_assert_eq!((lines(".netrc"), lines("token.env"), lines("authorization")), (1, 3, 1));
    }

    #[test]
    fn every_token_of_rfc_6750_is_taken(token in "[A-Za-z0-9._+/-][A-Za-z0-9._~+/-]{0,64}={0,2}") {
        let formats = json!({"formats": {"env": {}, "netrc": {"host": "a"}, "authorizationHeader": {}}});
        let shown = Shown { access_token: token.into(), ..shown() };
        prop_assert!(shape(formats).unwrap().render(&shown, PLACE).is_ok());
    }
}
