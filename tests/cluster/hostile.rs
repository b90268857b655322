//! One tenant's object must not cost another its token.

use crate::harness::World;

#[tokio::test]
async fn a_provider_that_cannot_be_read_is_left_out_and_the_others_go_on() {
    let world = World::new("hostile").await;
    // The API server takes it; a JSON parser that stops at 128 levels does not.
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let provider = format!(
        r#"{{"apiVersion": "tokenward.dev/v1alpha1", "kind": "OAuthProvider",
            "metadata": {{"name": "nested"}},
            "spec": {{"preset": "oauth2", "request": {{"parameters": {{"a": {nested}}}}}}}}}"#
    );
    let before = world.operator(&[]);
    world.apply_oauth2("first", "");
    world.until_ready("first").await;
    // While it watches ...
    world.apply_verbatim(&provider);
    before.wait_for_log("an object cannot be read and is left out").await;
    assert!(before.log().contains("name=\"nested\""), "it is named");
    world.force("first", "now").await;
    before.kill();
    // ... and when it lists.
    let after = world.operator(&[]);
    world.force("first", "again").await;
    after.wait_for_log("caches are filled").await;
    assert_eq!(world.requests(), 3);
}
