//! Targets of declared shapes, as folders.

use crate::bench::{Bench, text};

fn shaped(bench: &Bench, target: &str) {
    bench.write_good("shop");
    bench.write(
        "shop.yaml",
        &format!(
            "{{apiVersion: tokenward.dev/v1alpha1, kind: OAuthClientToken, metadata: {{name: shop, \
             namespace: web}}, spec: {{providerRef: {{name: p}}, credentialsSecretRef: {{name: c}}, \
             target: {target}}}}}"
        ),
    );
}

#[tokio::test]
async fn a_folder_has_the_keys_of_its_shape_and_loses_them_with_it() {
    let bench = Bench::new().await;
    shaped(
        &bench,
        "{formats: {authorizationHeader: {}}, template: {data: {note: '{{ namespace }}'}, \
         labels: {team: web}, annotations: {example.com/of: '{{ name }}'}}}",
    );
    for _ in 0..2 {
        let output = bench.once(&[]).await;
        assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
    }
    let token = bench.key("shop", "access_token").unwrap();
    assert_eq!(bench.key("shop", "authorization"), Some(format!("Bearer {token}")));
    assert_eq!(bench.key("shop", "note").as_deref(), Some("web"));
    assert_eq!(bench.annotations("shop")["example.com/of"], "shop");
    // Another run, another shape, the same token. What somebody broke is mended as well.
    shaped(&bench, "{formats: {json: {}}}");
    assert_eq!(bench.once(&[]).await.status.code(), Some(0));
    assert_eq!((bench.key("shop", "authorization"), bench.key("shop", "note")), (None, None));
    std::fs::remove_file(bench.out().join("web/shop/token.json")).unwrap();
    assert_eq!(bench.once(&[]).await.status.code(), Some(0));
    assert!(bench.key("shop", "token.json").unwrap().contains(&token));
    assert!(bench.annotations("shop").get("example.com/of").is_none());
    assert_eq!(bench.requests(), 1);
}

#[tokio::test]
async fn a_folder_may_outlive_its_token_and_is_nobody_elses_to_merge_into() {
    let bench = Bench::new().await;
    shaped(&bench, "{creationPolicy: Merge}");
    let output = bench.once(&[]).await;
    assert_ne!(output.status.code(), Some(0));
    let told = text(&output).1;
    assert!(told.contains("Merge is for Secrets on a cluster"), "{told}");
    assert_eq!(bench.requests(), 0);
    shaped(&bench, "{deletionPolicy: Retain}");
    bench.write_good("gone");
    let keeper = bench.keep();
    for name in ["shop", "gone"] {
        bench.until("it is there", || bench.key(name, "access_token").is_some()).await;
    }
    for name in ["shop", "gone"] {
        std::fs::remove_file(bench.manifests().join(format!("{name}.yaml"))).unwrap();
    }
    let gone = || keeper.log().matches("in no manifest any more").count() == 2;
    bench.until("both are gone", gone).await;
    assert_eq!(bench.key("gone", "access_token"), None);
    assert!(bench.key("shop", "access_token").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shape_that_fits_no_token_is_told_by_a_check_and_before_anything_is_asked() {
    let bench = Bench::new().await;
    shaped(&bench, "{template: {data: {x: '{{ outputs.url }}'}}}");
    let check = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tokenward"));
        command.arg("check").args(args).arg(bench.manifests());
        // The provider answers meanwhile.
        tokio::task::block_in_place(|| command.output().unwrap())
    };
    let output = check(&[]);
    let complaint = text(&output).1;
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.contains("shop.yaml") && complaint.contains("line 1"), "{complaint}");
    assert!(complaint.contains("no output \"url\""), "{complaint}");
    let output = bench.once(&[]).await;
    assert_ne!(output.status.code(), Some(0));
    assert!(text(&output).1.contains("no output \"url\""), "{:?}", text(&output));
    assert_eq!(bench.requests(), 0);
    // What only an answer shows is told by trying it out.
    bench.write(
        "provider.yaml",
        "{apiVersion: tokenward.dev/v1alpha1, kind: OAuthProvider, metadata: {name: p, namespace: \
         web}, spec: {preset: oauth2, variables: {tokenUrl: 'http://SIM/oauth2/token'}, \
         response: {outputs: {url: {at: [/nowhere]}}}}}",
    );
    let output = check(&["--fetch", "--allow-http", "--egress-allow-cidr", "127.0.0.0/8"]);
    let told = text(&output).0;
    assert!(told.contains("TargetNotRendered") && told.contains("outputs.url"), "{told}");
    assert_eq!(output.status.code(), Some(1), "{told}");
}
