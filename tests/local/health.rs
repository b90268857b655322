//! The health checks for Argo CD, run by the interpreter that Argo CD runs them with.

use std::fs;
use std::path::Path;
use std::process::Command;

use rstest::rstest;
use serde_json::{Value, json};

use crate::docs::blocks;

const KINDS: [&str; 4] =
    ["ClusterOAuthClientToken", "ClusterOAuthProvider", "OAuthClientToken", "OAuthProvider"];

/// The `ConfigMap` that the page shows.
fn scripts() -> Vec<(String, String)> {
    let blocks: Vec<_> = blocks().into_iter().filter(|block| block.info == "yaml argocd").collect();
    let [block] = blocks.as_slice() else { panic!("one block is marked yaml argocd") };
    let map: Value = serde_yaml::from_str(&block.text).unwrap();
    let scripts = map["data"].as_object().unwrap();
    scripts.iter().map(|(key, lua)| (key.clone(), lua.as_str().unwrap().to_owned())).collect()
}

/// A value as Lua writes it; what is null is absent there.
fn lua(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let members = map.iter().map(|(key, value)| format!("[{key:?}] = {}", lua(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            format!("{{{}}}", items.iter().map(lua).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// `Degraded: …`
fn health(script: &str, object: &Value) -> String {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/lua/glua");
    let tool = Command::new(tool).output().unwrap();
    assert!(tool.status.success(), "{}", String::from_utf8_lossy(&tool.stderr));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("health.lua");
    let text = format!(
        "obj = {}\nlocal function health()\n{script}\nend\nlocal hs = health()\n\
         print(hs.status .. ': ' .. hs.message)\n",
        lua(object)
    );
    fs::write(&file, text).unwrap();
    let glua = String::from_utf8(tool.stdout).unwrap();
    let output = Command::new(glua.trim()).arg(&file).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn condition((type_, status, reason): &(&str, &str, &str)) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": "so it is"})
}

fn object(spec: &Value, conditions: &[(&str, &str, &str)]) -> Value {
    let conditions: Vec<Value> = conditions.iter().map(condition).collect();
    json!({
        "metadata": {"generation": 2},
        "spec": spec,
        "status": {"observedGeneration": 2, "conditions": conditions}
    })
}

const STALLED: (&str, &str, &str) = ("Stalled", "True", "TokenRequestRejected");
const GOING: (&str, &str, &str) = ("Stalled", "False", "Progressing");

#[rstest]
#[case::good(json!({}), &[("Ready", "True", "TokenValid"), GOING], "Healthy: so it is")]
#[case::late(json!({}), &[("Ready", "True", "TokenValid"), ("Fresh", "False", "ProviderError"), GOING], "Healthy: so it is")]
#[case::first(json!({}), &[("Ready", "False", "Pending"), GOING], "Progressing: Pending: so it is")]
#[case::waits(json!({}), &[("Ready", "False", "CredentialsNotFound"), GOING], "Progressing: CredentialsNotFound: so it is")]
#[case::expired(json!({}), &[("Ready", "False", "TokenExpired"), GOING], "Degraded: TokenExpired: so it is")]
#[case::dead(json!({}), &[("Ready", "False", "TokenRequestRejected"), STALLED], "Degraded: TokenRequestRejected: so it is")]
#[case::dying(json!({}), &[("Ready", "True", "TokenValid"), STALLED], "Degraded: TokenRequestRejected: so it is")]
#[case::suspended(json!({"suspend": true}), &[("Ready", "True", "TokenValid"), GOING], "Suspended: spec.suspend is true")]
#[case::provider(json!({}), &[("Ready", "True", "DocumentComplete")], "Healthy: so it is")]
#[case::bad_provider(json!({}), &[("Ready", "False", "InvalidProvider")], "Degraded: InvalidProvider: so it is")]
#[case::no_conditions(json!({}), &[], "Progressing: waiting for tokenward")]
fn argo_cd_sees_how_it_is(
    #[case] spec: Value,
    #[case] conditions: &[(&str, &str, &str)],
    #[case] expected: &str,
) {
    let (_, script) = scripts().remove(0);
    assert_eq!(health(&script, &object(&spec, conditions)), expected);
}

#[test]
fn what_was_not_looked_at_yet_is_in_progress() {
    let (_, script) = scripts().remove(0);
    let mut object = object(&json!({}), &[("Ready", "True", "TokenValid"), GOING]);
    object["metadata"]["generation"] = json!(3);
    assert_eq!(health(&script, &object), "Progressing: waiting for tokenward");
    object.as_object_mut().unwrap().remove("status");
    assert_eq!(health(&script, &object), "Progressing: waiting for tokenward");
}

#[test]
fn every_kind_has_the_check() {
    let scripts = scripts();
    let mut kinds: Vec<&str> = scripts
        .iter()
        .map(|(key, _)| key.strip_prefix("resource.customizations.health.tokenward.dev_").unwrap())
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, KINDS);
    assert!(scripts.iter().all(|(_, script)| *script == scripts[0].1));
}
