use rstest::rstest;

use super::super::intake::Intake;
use super::*;

const PROVIDER: &str = "
apiVersion: tokenward.dev/v1alpha1
kind: OAuthProvider
metadata: {name: login, namespace: web}
spec:
  preset: oauth2
  variables: {tokenUrl: 'https://login.example.com/token'}
  request: {parameters: {act_as: '{{ parameters.act_as }}'}}
";

const SECRET: &str = "
apiVersion: v1
kind: Secret
metadata: {name: client, namespace: web}
stringData: {client_id: shop, client_secret: s3cr3t}
";

const PLATFORM: &str = "
apiVersion: tokenward.dev/v1alpha1
kind: ClusterOAuthProvider
metadata: {name: shared}
spec:
  preset: oauth2
  variables: {tokenUrl: 'https://login.example.com/token'}
  credentialsSecretRef: {name: platform-client}
  usage: {namespaceSelector: {matchLabels: {team: shop}}, scopes: [read]}
---
apiVersion: v1
kind: Secret
metadata: {name: platform-client, namespace: platform}
stringData: {client_id: shop, client_secret: s3cr3t}
";

fn token(name: &str, spec: &str) -> String {
    format!(
        "\napiVersion: tokenward.dev/v1alpha1\nkind: OAuthClientToken\n\
         metadata: {{name: {name}, namespace: web}}\nspec:\n{spec}\n"
    )
}

fn own(name: &str) -> String {
    token(name, "  providerRef: {name: login}\n  credentialsSecretRef: {name: client}")
}

fn shared(name: &str, more: &str) -> String {
    let spec = format!("  providerRef: {{kind: ClusterOAuthProvider, name: shared}}\n{more}");
    token(name, &spec)
}

fn namespace(label: &str) -> String {
    format!("\napiVersion: v1\nkind: Namespace\nmetadata: {{name: web, labels: {{{label}}}}}\n")
}

fn check(documents: &[&str]) -> Vec<String> {
    let mut intake = Intake::default();
    intake.text(std::path::Path::new("x.yaml"), &documents.join("---"));
    assert_eq!(intake.complaints, []);
    cross_check(&intake.manifests, "platform").iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_says(documents: &[&str], expected: &[&str]) {
    let said = check(documents);
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        let parts: Vec<&str> = expected.split('…').collect();
        assert!(said.starts_with(parts[0]), "{said}\n{expected}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}\n{expected}");
    }
}

#[test]
fn what_fits_together_is_silent() {
    assert_says(&[PROVIDER, SECRET, &own("a"), &own("b")], &[]);
    let token = shared("a", "  scopes: [read]");
    assert_says(&[PLATFORM, &namespace("team: shop"), &token], &[]);
}

#[test]
fn what_is_missing_is_a_warning_with_the_nearest_name() {
    let lost = token("a", "  providerRef: {name: logn}\n  credentialsSecretRef: {name: client}");
    assert_says(
        &[PROVIDER, SECRET, &lost],
        &["x.yaml:19: warning: OAuthClientToken web/a: spec.providerRef.name: OAuthProvider \
           web/logn is not among the manifests; did you mean \"login\"?"],
    );
    assert_says(
        &[PROVIDER, &own("a")],
        &["x.yaml:15: warning: OAuthClientToken web/a: spec.credentialsSecretRef.name: Secret \
           web/client is not among the manifests"],
    );
}

#[rstest]
#[case::preset(
    "  preset: oauth3",
    "x.yaml:6: …spec.preset: the catalogue has no document \"oauth3\"; did you mean \"oauth2\"?"
)]
#[case::variable_missing("  preset: oauth2", "x.yaml:5: …spec.variables.tokenUrl: ")]
#[case::variable_unknown(
    "  preset: oauth2\n  variables: {tokenUrl: 'https://x.example/', host: a}",
    "x.yaml:7: …spec.variables.host: is not used"
)]
#[case::no_url("  grant: none", "x.yaml:5: …spec.request.url: is not set")]
#[case::template(
    "  request:\n    url: 'https://x.example/'\n    headers: {a: '{{ params.b }}'}",
    "x.yaml:8: …spec.request.headers.a: "
)]
#[case::reserved(
    "  request:\n    url: 'https://x.example/'\n    headers:\n      host: z",
    "x.yaml:9: …spec.request.headers.host: belongs"
)]
fn a_document_that_does_not_compile_is_an_error_at_its_field(
    #[case] spec: &str,
    #[case] says: &str,
) {
    let provider = format!(
        "\napiVersion: tokenward.dev/v1alpha1\nkind: OAuthProvider\n\
         metadata: {{name: login, namespace: web}}\nspec:\n{spec}\n"
    );
    // The token is not blamed for it.
    let says = says.replace(": …", ": OAuthProvider web/login: ");
    assert_says(&[&provider, SECRET, &own("a")], &[&says]);
}

#[rstest]
#[case::scope_of_the_platform("  scopes: [write]", "spec.scopes: \"write\" is not among")]
#[case::parameter_of_the_platform("  parameters: {x: z}", "spec.parameters: \"x\" is not among")]
fn what_the_platform_does_not_allow_is_an_error(#[case] spec: &str, #[case] says: &str) {
    let says = format!("x.yaml:25: OAuthClientToken web/a: {says}");
    assert_says(&[PLATFORM, &namespace("team: shop"), &shared("a", spec)], &[&says]);
}

#[test]
fn a_namespace_that_is_not_admitted_is_an_error_where_its_labels_are_known() {
    let refused = "OAuthClientToken web/a: …does not admit namespace \"web\"";
    assert_says(
        &[PLATFORM, &namespace("team: bank"), &shared("a", "")],
        &[&format!("x.yaml:20: {refused}")],
    );
    let said = check(&[PLATFORM, &shared("a", "")]);
    assert!(said[0].contains("warning: ") && said[0].contains("does not admit"), "{said:?}");
}

#[test]
fn a_parameter_without_a_place_is_an_error() {
    let spec = "  providerRef: {name: login}\n  credentialsSecretRef: {name: client}\n  \
                parameters:\n    actas: me";
    assert_says(
        &[PROVIDER, SECRET, &token("a", spec)],
        &["x.yaml:22: OAuthClientToken web/a: spec.parameters.actas: the provider's document has \
           no place for it; did you mean \"act_as\"?"],
    );
}

#[test]
fn credentials_are_looked_into_without_being_shown() {
    let secret = SECRET.replace("client_secret: s3cr3t", "client-secret: s3cr3t");
    assert_says(
        &[PROVIDER, &secret, &own("a")],
        &["x.yaml:20: OAuthClientToken web/a: spec.credentialsSecretRef.name: Secret web/client \
           has no key \"client_secret\"; did you mean \"client-secret\"?"],
    );
    let secret = SECRET.replace("client_secret: s3cr3t", "client_secret: \"s3cr3t\\n\"");
    assert_says(
        &[PROVIDER, &secret, &own("a")],
        &["x.yaml:13: warning: Secret web/client: stringData.client_secret: ends in a newline"],
    );
    let secret = SECRET.replace("stringData", "type: helm.sh/release.v1\nstringData");
    assert_says(&[PROVIDER, &secret, &own("a")], &["x.yaml:21: …type helm.sh/release.v1"]);
    let platform = PLATFORM.replace("client_id: shop, ", "");
    assert_says(
        &[&platform, &namespace("team: shop"), &shared("a", ""), &shared("b", "")],
        &["x.yaml:8: ClusterOAuthProvider shared: …has no key \"client_id\""],
    );
}

#[test]
fn a_target_has_one_token_and_is_nobody_elses_secret() {
    let target = "\n  target: {secretName: shop-token}";
    let (a, b) = (own("a").trim_end().to_owned() + target, own("b").trim_end().to_owned() + target);
    assert_says(
        &[PROVIDER, SECRET, &(a.clone() + "\n"), &(b + "\n")],
        &["x.yaml:29: OAuthClientToken web/b: spec.target.secretName: Secret web/shop-token is \
           the target of OAuthClientToken web/a (x.yaml:15) as well"],
    );
    let taken = SECRET.replace("name: client", "name: shop-token");
    assert_says(
        &[PROVIDER, SECRET, &(a.clone() + "\n"), &taken],
        &["x.yaml:21: warning: OAuthClientToken web/a: …tokenward.dev/allow: a"],
    );
    let given =
        taken.replace("namespace: web", "namespace: web, annotations: {tokenward.dev/allow: a}");
    assert_says(&[PROVIDER, SECRET, &(a + "\n"), &given], &[]);
}

#[test]
fn a_selector_that_cannot_be_read_is_a_warning() {
    let platform = PLATFORM.replace(
        "matchLabels: {team: shop}",
        "matchExpressions: [{key: team, operator: Like, values: [shop]}]",
    );
    let said = check(&[&platform]);
    assert!(said[0].contains("spec.usage.namespaceSelector: tells of no namespace"), "{said:?}");
}

fn cluster_token(more: &str) -> String {
    format!(
        "\napiVersion: tokenward.dev/v1alpha1\nkind: ClusterOAuthClientToken\n\
         metadata: {{name: all}}\nspec:\n  providerRef: {{name: shared}}\n{more}\n"
    )
}

#[test]
fn a_cluster_token_is_held_to_its_providers_usage() {
    let shops = "  namespaceSelector: {matchLabels: {team: shop}}\n";
    assert_says(&[PLATFORM, &namespace("team: shop"), &cluster_token(shops)], &[]);
    let greedy = cluster_token(&format!("{shops}  scopes: [write]"));
    assert_says(&[PLATFORM, &greedy], &["x.yaml:…: …spec.scopes: \"write\" is not among"]);
    let all = cluster_token("  namespaceSelector: {}");
    assert_says(
        &[PLATFORM, &namespace("team: other"), &all],
        &["x.yaml:…: warning: ClusterOAuthClientToken all: spec.namespaceSelector: …\"web\""],
    );
    let closed = PLATFORM.replace("namespaceSelector: {matchLabels: {team: shop}}, ", "");
    assert_says(&[&closed, &all], &["x.yaml:…: …spec.providerRef.name: …admits no namespace"]);
    let odd = "  namespaceSelector: {matchExpressions: [{key: team, operator: Like}]}";
    assert_says(&[PLATFORM, &cluster_token(odd)], &["x.yaml:…: …cannot be read"]);
    let odd =
        "  namespaceSelector: {}\n  target: {template: {data: {config: '{{ acess_token }}'}}}";
    assert_says(&[PLATFORM, &cluster_token(odd)], &["x.yaml:…: …spec.target.template…acess_token"]);
    let lost = all.replace("name: shared", "name: shard");
    assert_says(&[PLATFORM, &lost], &["x.yaml:…: warning: …did you mean \"shared\"?"]);
}

#[test]
fn credentials_of_a_cluster_token_lie_with_the_platform() {
    let spec = "  namespaceSelector: {}\n  credentialsSecretRef: {name: client}";
    assert_says(
        &[PLATFORM, SECRET, &cluster_token(spec)],
        &["x.yaml:…: warning: …spec.credentialsSecretRef.name: Secret platform/client is not"],
    );
}
