//! The small commands.

use std::process::{Command, Output};

use crate::bench::text;

fn tokenward(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tokenward")).args(args).output().unwrap()
}

#[test]
fn crds_are_as_checked_in() {
    let output = tokenward(&["crds"]);
    let checked_in = std::fs::read_to_string("crds/tokenward.yaml").unwrap();
    assert!(text(&output).0 == checked_in, "crds/ is not what the types say: run `make crds`");
}

#[test]
fn no_printed_crd_has_a_word_that_yaml_1_1_takes_for_a_boolean() {
    let printed = text(&tokenward(&["crds"])).0;
    for line in printed.lines() {
        let value = line.rsplit([' ', ':']).next().unwrap_or_default();
        let trap = ["y", "n", "yes", "no", "on", "off"].contains(&value.to_lowercase().as_str());
        let prose = line.trim_start().starts_with("description")
            || !line.contains(": ") && !line.trim_start().starts_with("- ");
        assert!(!trap || prose, "{line}");
    }
}

#[test]
fn the_catalogue_is_listed_and_shown() {
    let list = text(&tokenward(&["providers"])).0;
    assert!(list.contains("optimizely-cms-saas-basic") && list.contains("MediaHound"), "{list}");
    let shown = text(&tokenward(&["providers", "show", "oracle-content-channel"])).0;
    assert!(shown.contains("channel_secret"), "{shown}");
    let unknown = tokenward(&["providers", "show", "oracle-content-chanel"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown).1.contains("oracle-content-channel"), "{:?}", text(&unknown));
}

#[test]
fn wrong_usage_ends_with_2() {
    for args in [
        &["nonsense"][..],
        &["local"],
        &["controller", "--namespace", "Web"],
        &["controller", "--egress-allow-cidr", "x"],
        &["--log-level", "loud", "controller"],
    ] {
        assert_eq!(tokenward(args).status.code(), Some(2), "{args:?}");
    }
}
