//! `tokenward local --once`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use provider_simulator::systems::oauth2::CLIENT_SECRET;
use provider_simulator::{Behaviour, Fault, System};

use crate::bench::{Bench, text};

#[tokio::test]
async fn it_fetches_what_is_due_and_nothing_that_is_still_good() {
    let bench = Bench::new().await;
    bench.write_good("shop");
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
    assert_eq!(text(&output).0, "web/shop: good\n");
    let token = bench.key("shop", "access_token").unwrap();
    assert!(bench.sim.is_active(&token));
    assert_eq!(bench.key("shop", "token_type").as_deref(), Some("Bearer"));
    let annotations = bench.annotations("shop");
    assert_eq!(
        annotations["tokenward.dev/expires-at"].as_str(),
        bench.key("shop", "expires_at").as_deref()
    );
    assert!(
        annotations["tokenward.dev/owner"]
            .as_str()
            .unwrap()
            .starts_with("OAuthClientToken/web/shop/")
    );

    assert_eq!(bench.once(&[]).await.status.code(), Some(0));
    assert_eq!(bench.requests(), 1, "a second run asked again");
    assert_eq!(bench.key("shop", "access_token").as_deref(), Some(&*token));
}

#[tokio::test]
async fn files_are_for_their_owner_only() {
    let bench = Bench::new().await;
    bench.write_good("shop");
    bench.once(&[]).await;
    let mode =
        |path: &str| fs::metadata(bench.out().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("web/shop/access_token"), 0o600);
    assert_eq!(mode("web/shop.json"), 0o600);
    assert_eq!(mode(".tokenward"), 0o700);
    assert_eq!(mode(".tokenward/key"), 0o600);
}

#[tokio::test]
async fn a_failure_is_named_with_its_code_and_mended_credentials_heal() {
    let bench = Bench::new().await;
    bench.write_oauth2("shop", "wrong-secret-wrong-secret");
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(1));
    let complaint = text(&output).1;
    assert!(
        complaint.contains("web/shop: TokenRequestRejected: ")
            && complaint.contains("invalid_client"),
        "{complaint}"
    );
    assert!(!complaint.contains("wrong-secret"), "{complaint}");

    bench.write_credentials(CLIENT_SECRET);
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
}

#[tokio::test]
async fn a_failed_refresh_keeps_the_good_token() {
    let bench = Bench::new().await;
    bench.sim.set(System::Oauth2, Behaviour::living(20));
    bench.write_good("shop");
    bench.once(&[]).await;
    let token = bench.key("shop", "access_token").unwrap();
    bench.sim.set(System::Oauth2, Behaviour::living(20).with(Fault::internal_error()));
    // Due or not, the token stays; asked for, the refresh fails.
    bench.write(
        "shop.yaml",
        r"
apiVersion: tokenward.dev/v1alpha1
kind: OAuthClientToken
metadata: {name: shop, namespace: web, annotations: {tokenward.dev/refresh-requested-at: now}}
spec: {providerRef: {name: p}, credentialsSecretRef: {name: c}}
",
    );
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
    assert_eq!(bench.requests(), 2);
    assert!(text(&output).0.contains("good still, but ProviderError: "), "{:?}", text(&output));
    assert_eq!(bench.key("shop", "access_token").unwrap(), token);
}

#[tokio::test]
async fn a_wrong_manifest_is_refused_with_file_and_line() {
    let bench = Bench::new().await;
    bench.write_good("shop");
    bench.write(
        "wrong.yaml",
        "apiVersion: tokenward.dev/v1alpha1\nkind: OAuthProvider\nmetadata: {name: x, namespace: web}\nspec:\n  request: {method: PUT}\n",
    );
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(2));
    let complaint = text(&output).1;
    assert!(
        complaint.contains("wrong.yaml:5: ") && complaint.contains("spec.request.method"),
        "{complaint}"
    );
    assert_eq!(bench.requests(), 0);
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_left_alone() {
    let bench = Bench::new().await;
    bench.write_good("shop");
    let taken = bench.out().join("web/shop");
    fs::create_dir_all(&taken).unwrap();
    fs::write(taken.join("precious"), "mine").unwrap();
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).1.contains("SecretNotOwned"), "{:?}", text(&output));
    assert_eq!(fs::read_to_string(taken.join("precious")).unwrap(), "mine");
    assert_eq!(bench.requests(), 0, "a token was requested for a target that cannot be written");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let bench = Bench::new().await;
    bench.write_good("shop");
    fs::remove_file(bench.manifests().join("credentials.yaml")).unwrap();
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).1.contains("CredentialsNotFound: credentials Secret web/c"),
        "{:?}",
        text(&output)
    );
}

#[tokio::test]
async fn a_cluster_token_is_refused_by_name() {
    let bench = Bench::new().await;
    bench.write_good("shop");
    bench.write(
        "all.yaml",
        "apiVersion: tokenward.dev/v1alpha1\nkind: ClusterOAuthClientToken\nmetadata: {name: all}\n\
         spec: {providerRef: {name: p}, namespaceSelector: {}}\n",
    );
    let output = bench.once(&[]).await;
    assert_eq!(output.status.code(), Some(2));
    let complaint = text(&output).1;
    assert!(complaint.contains("ClusterOAuthClientToken all: is for a cluster"), "{complaint}");
    assert_eq!(bench.requests(), 0);
}
