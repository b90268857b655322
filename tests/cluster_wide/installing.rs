//! CRDs that come later than the operator.

use crate::harness::{ADMIN, LOOPBACK, World, kubectl};

const CRDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/crds/tokenward.yaml");

/// Installs them, even where the test fails.
struct Installed;

impl Drop for Installed {
    fn drop(&mut self) {
        kubectl(&["apply", "--server-side", "--force-conflicts", "-f", CRDS], "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_waits_for_the_crds_and_tells_which_are_missing_or_not_its_own() {
    let _alone = crate::ONE_AT_A_TIME.lock().await;
    let world = World::new("crds").await;
    let installed = Installed;
    kubectl(&["delete", "-f", CRDS, "--timeout=60s"], "");
    let operator = world.bare_operator(&[&LOOPBACK[..], &ADMIN].concat());
    operator.wait_for_log("probes and metrics are served").await;
    let missing = "[-] crds: not installed: oauthclienttokens.tokenward.dev, ";
    operator.wait_for_gates((503, missing)).await;
    operator.wait_for_log("not installed: oauthclienttokens.tokenward.dev, ").await;
    assert_eq!(operator.admin("/livez").0, 200);

    // Those of an older version come.
    let current = std::fs::read_to_string(CRDS).unwrap();
    let suspend = "              suspend:\n";
    assert!(current.contains(suspend), "the field that the older version lacks");
    let older = current.replacen(suspend, "              paused:\n", 1);
    kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &older);
    operator.wait_for_log("they lack OAuthClientToken spec.suspend").await;
    operator
        .wait_for_gates((200, "[+] crds: the CustomResourceDefinitions are not those of"))
        .await;
    world.apply_oauth2("shop", "");
    world.until_ready("shop").await;

    // Then this version's. It is looked again within half a minute.
    drop(installed);
    operator.wait_for_gates((200, "[+] crds\n")).await;
}
