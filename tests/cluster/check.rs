//! `tokenward check --fetch` of what is on a cluster already.

use std::process::{Command, Output};

use provider_simulator::systems::oauth2::CLIENT_SECRET;

use crate::chaining::{apply_providers, child, exchanges};
use crate::harness::{LOOPBACK, World, kubeconfig, oauth2_token};
use crate::leaks::search::Needles;

async fn check(world: &World, token: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    let token = format!("{}/{token}", world.namespace);
    command.args(["check", "--fetch", "--token", &token]).args(LOOPBACK).args(args);
    command.env("KUBECONFIG", kubeconfig());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn text(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_cluster_is_tried_with_what_lies_there_and_nothing_is_written() {
    let world = World::new("check").await;
    let operator = world.operator(&[]);
    apply_providers(&world);
    world.apply(&format!("{}\n---\n{}", oauth2_token("parent"), child("child", "parent")));
    world.until_ready("child").await;
    operator.terminate().await;
    let before = [world.secret("parent").await.0, world.secret("child").await.0];
    let (asked, exchanged) = (world.requests(), exchanges(&world).len());

    let output = check(&world, "child", &[]).await;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    // With the parent's token as its target holds it: the parent itself is not asked for.
    assert_eq!((world.requests(), exchanges(&world).len()), (asked + 1, exchanged + 1), "{said}");
    let after = [world.secret("parent").await.0, world.secret("child").await.0];
    assert_eq!(before.map(|secret| secret.metadata), after.map(|secret| secret.metadata));
    let mut needles = Needles::default();
    needles.add("the client's secret", CLIENT_SECRET);
    for request in world.sim.requests() {
        needles.add("a token", &request.token.unwrap());
    }
    assert_eq!(needles.find(&said), Vec::<String>::new());

    // A parent without a token is told as such.
    world.kubectl(&["delete", "secret", "parent"]);
    let output = check(&world, "child", &[]).await;
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("which is not to be had"), "{said}");

    let output = check(&world, "no-such-token", &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("does not exist"), "{}", text(&output));
    let output = check(&world, "child", &["--spend-refresh-token"]).await;
    assert_eq!(output.status.code(), Some(2));
}
