use std::path::Path;

use rstest::rstest;

use super::intake::Intake;
use super::*;
use crate::api::ProviderKind;

fn read_text(text: &str) -> Reading {
    let mut intake = Intake::default();
    intake.text(Path::new("x.yaml"), text);
    Reading { manifests: intake.manifests, complaints: intake.complaints }
}

fn said(reading: &Reading) -> Vec<String> {
    reading.complaints.iter().map(ToString::to_string).collect()
}

fn data(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
    let files = files::find(&[folder], &[]).found;
    files.into_iter().map(|file| (file.clone(), std::fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn what_breaks_a_rule_is_refused_with_field_and_line() {
    let files = data("invalid");
    assert!(files.len() > 60);
    for (file, text) in files {
        let mut head = text.lines();
        let says = head.next().and_then(|line| line.strip_prefix("# says: ")).unwrap();
        let line = head.next().and_then(|line| line.strip_prefix("# line: ")).unwrap();
        let reading = read(std::slice::from_ref(&file));
        let said = said(&reading);
        let found = said.iter().position(|complaint| complaint.contains(says));
        let found = found.unwrap_or_else(|| panic!("{}: {said:#?} lack {says}", file.display()));
        assert!(reading.complaints.iter().all(Complaint::is_error), "{said:?}");
        let place = reading.complaints[found].place.unwrap();
        assert_eq!(place.line.to_string(), line, "{said:?}");
        assert!(place.column > 0, "{said:?}");
        assert_eq!(reading.manifests.checked(), 1, "{}", file.display());
        assert_eq!(reading.manifests.broken.len(), 1, "{}", file.display());
    }
}

#[test]
fn what_breaks_none_is_taken() {
    let files = data("valid");
    assert!(files.len() > 10);
    for (file, _) in files {
        let reading = read(std::slice::from_ref(&file));
        assert_eq!(said(&reading), Vec::<String>::new(), "{}", file.display());
        assert_eq!(reading.manifests.checked(), 1);
        assert!(reading.manifests.broken.is_empty());
    }
}

#[rstest]
#[case::unknown_field(
    "spec: {providerRef: {nam: x}}",
    "spec.providerRef.nam: unknown field; did you mean \"name\"?"
)]
#[case::enumeration(
    "spec: {providerRef: {name: x, kind: Provider}}",
    "must be one of \"OAuthProvider\", \"ClusterOAuthProvider\", not \"Provider\""
)]
#[case::quotes(
    "spec: {providerRef: {name: 12}}",
    "spec.providerRef.name: must be a string, not a number: put it in quotes"
)]
#[case::pattern("spec: {providerRef: {name: X}}", "lower-case letters, digits, - and .")]
#[case::count("spec: {providerRef: {name: ''}}", "has 0 characters: at least 1 must be there")]
fn messages_say_what_is_allowed(#[case] spec: &str, #[case] says: &str) {
    let text = format!(
        "apiVersion: tokenward.dev/v1alpha1\nkind: OAuthClientToken\nmetadata: {{name: a}}\n{spec}\n"
    );
    let said = said(&read_text(&text));
    assert!(said[0].starts_with("x.yaml:4: OAuthClientToken default/a: spec."), "{said:?}");
    assert!(said.iter().any(|line| line.contains(says)), "{said:?}");
}

#[rstest]
#[case::syntax("\na: [\n", 2, "not valid YAML")]
#[case::no_mapping("- a\n", 1, "is no manifest")]
#[case::no_kind("apiVersion: v1\n", 1, "kind: is required")]
#[case::no_version("\nkind: Secret\n", 2, "apiVersion: is required")]
#[case::other_version(
    "apiVersion: tokenward.dev/v1\nkind: OAuthProvider\n",
    1,
    "must be tokenward.dev/v1alpha1"
)]
#[case::no_group("apiVersion: v1\nkind: OAuthProvider\n", 1, "must be tokenward.dev/v1alpha1")]
#[case::no_such_kind(
    "apiVersion: tokenward.dev/v1alpha1\nkind: OauthProvider\n",
    2,
    "did you mean \"OAuthProvider\"?"
)]
#[case::core_kind("apiVersion: tokenward.dev/v1alpha1\nkind: Secret\n", 1, "must be v1")]
#[case::in_list(
    "apiVersion: v1\nkind: List\nitems:\n- kind: Secret\n",
    4,
    "items[0].apiVersion: is required"
)]
#[case::list_twice(
    "apiVersion: v1\nkind: List\nitems: []\nitems: []\n",
    4,
    "items: the key is there twice, first in line 3"
)]
#[case::generated(
    "apiVersion: v1\nkind: Secret\nmetadata: {generateName: a-}\n",
    3,
    "generateName names nothing"
)]
fn what_is_no_manifest_is_refused(#[case] text: &str, #[case] line: usize, #[case] says: &str) {
    let reading = read_text(text);
    let said = said(&reading);
    assert!(said[0].contains(says), "{said:?}");
    assert_eq!(reading.complaints[0].place.unwrap().line, line, "{said:?}");
    assert!(reading.complaints[0].is_error());
}

#[test]
fn other_kinds_are_skipped_with_a_warning() {
    let reading = read_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n");
    let expected =
        "x.yaml:1: warning: Deployment web: is skipped: tokenward does not read this kind";
    assert_eq!(said(&reading), [expected]);
    assert_eq!(reading.manifests.checked(), 0);
}

#[test]
fn a_namespace_on_a_cluster_scoped_kind_is_passed_over_with_a_warning() {
    let reading = read_text(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: web\n  namespace: No Name\n",
    );
    let expected = "x.yaml:5: warning: Namespace web: metadata.namespace: is ignored: Namespace is cluster-scoped";
    assert_eq!(said(&reading), [expected]);
    assert_eq!(reading.manifests.namespaces.len(), 1);
}

#[test]
fn lists_are_unrolled_and_documents_counted() {
    let reading = read_text(
        "# nothing\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  \
         metadata: {name: a}\n- apiVersion: v1\n  kind: List\n  items:\n  - {apiVersion: v1, kind: \
         Namespace, metadata: {name: web}}\n---\n",
    );
    assert_eq!(said(&reading), Vec::<String>::new());
    assert_eq!(reading.manifests.secrets[&("default".into(), "a".into())].line, 6);
    assert_eq!(reading.manifests.namespaces[&(String::new(), "web".into())].line, 12);
}

#[test]
fn the_same_object_twice_names_both_places() {
    let object = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
    let reading = read_text(&format!("{object}---\n{object}"));
    let expected = "x.yaml:5: Secret default/a: is there twice, first in x.yaml:1";
    assert_eq!(said(&reading), [expected]);
}

#[test]
fn defaults_are_filled_in_as_the_api_server_does() {
    let text = std::fs::read_to_string("tests/data/valid/token-null-takes-the-default.yaml");
    let reading = read_text(&text.unwrap());
    let token = &reading.manifests.tokens[&("default".into(), "shop".into())].object;
    assert_eq!(token.spec.provider_ref.kind, ProviderKind::OAuthProvider);
    assert!(!token.spec.suspend);
    assert_eq!(token.metadata.generation, Some(1));
    let uid = token.metadata.uid.as_deref().unwrap();
    assert_eq!(uid, "ba443a69-c9c8-8d0e-8a82-8b7e9c67449b", "it stays the same for ever");
}

#[test]
fn secret_values_are_decoded_and_string_data_wins() {
    use secrecy::ExposeSecret;
    let reading = read_text(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: b25l, b: b25l, c: }\n\
         stringData: {b: two}\n",
    );
    let secret = &reading.manifests.secrets[&("default".into(), "a".into())].object;
    let values: Vec<(&str, &[u8])> = secret
        .values
        .iter()
        .map(|(key, value)| (key.as_str(), value.expose_secret().as_slice()))
        .collect();
    assert_eq!(values, [("a", &b"one"[..]), ("b", b"two"), ("c", b"")]);
    assert_eq!(secret.type_, "Opaque");
    assert!(!format!("{reading:?}").contains("two"), "values are never shown");
}

#[rstest]
#[case("data: {client_secret: hunter2hunter2!}")]
#[case("data: {client_secret: [hunter2hunter2]}")]
#[case("stringData: {client_secret: {a: hunter2hunter2}}")]
#[case("stringData: [hunter2hunter2]")]
#[case("stringData: hunter2hunter2")]
#[case("stringData: {a: 'hunter2hunter2\n")]
#[case("stringData:\n  client_secret:hunter2hunter2\n  client_id: a")]
#[case("stringData:\n  hunter2hunter2=!:\n  client_id: a")]
#[case("stringData:\n  client_secret: |\n  hunter2hunter2\n  client_id: a")]
#[case("stringData:\n  client_secret: hunter2: hunter2\n")]
#[case("stringData:\n  client_secret: %hunter2hunter2\n")]
#[case("stringData:\n  client_secret: !hunter2hunter2 [a]\n")]
#[case("stringData:\n  client_secret: *hunter2hunter2\n")]
#[case("stringData:\n  client_secret: &hunter2 hunter2\n  b: *hunter2hunter2\n")]
#[case("type: {hunter2hunter2: a}\nstringData: {a: {}}")]
fn no_complaint_shows_a_secret(#[case] body: &str) {
    let reading =
        read_text(&format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\n{body}\n"));
    let said = said(&reading);
    assert!(!said.is_empty(), "{body}");
    assert!(!format!("{said:?}{:?}", reading.manifests).contains("hunter2"), "{said:?}");
}

#[test]
fn a_byte_order_mark_and_crlf_do_no_harm() {
    let reading =
        read_text("\u{feff}apiVersion: v1\r\nkind: Secret\r\nmetadata:\r\n  name: a\r\nx: 1\r\n");
    assert_eq!(reading.complaints[0].place.unwrap().line, 5, "{:?}", said(&reading));
}

#[test]
fn what_is_not_text_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.yaml"), b"a: \xff").unwrap();
    let said = said(&read(&[folder.path().to_owned()]));
    assert!(said[0].ends_with("x.yaml: is not UTF-8 text"), "{said:?}");
}
