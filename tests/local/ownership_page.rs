//! `docs/ownership.md` says who owns what: each row of its table is decided here, and names the test
//! that shows it on a real API server.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use tokenward::api::CreationPolicy::{self, Merge, Owner};
use tokenward::api::annotations::{self, ALLOW, OWNER};
use tokenward::decide::{Claim, ControllerRef, Rivals, TargetMeta, Wish, claim};

use crate::generated::part_is_current;

const START: &str = "<!-- this table: make docs -->\n";
const END: &str = "<!-- end of the table -->\n";

/// What is known of the Secret, and of who else wants it.
#[derive(Default)]
struct State {
    target: Option<TargetMeta>,
    rivals: Rivals,
}

fn secret() -> State {
    State { target: Some(TargetMeta::default()), ..State::default() }
}

impl State {
    fn meta(mut self, change: impl FnOnce(&mut TargetMeta)) -> Self {
        change(self.target.as_mut().unwrap());
        self
    }

    fn annotated(self, key: &str, value: &str) -> Self {
        self.meta(|meta| drop(meta.annotations.insert(key.to_owned(), value.to_owned())))
    }

    /// Its controller: a token of ours, or something else.
    fn controlled(self, api_version: &str, name: &str, uid: &str) -> Self {
        let kind = if api_version == "apps/v1" { "Deployment" } else { "OAuthClientToken" };
        self.meta(|meta| {
            meta.controller = Some(ControllerRef {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                uid: uid.to_owned(),
            });
        })
    }

    /// Our keys are in it, as a guest's.
    fn merged(self, guest: &str) -> Self {
        let keys = ["access_token".to_owned(), "expires_at".to_owned()].into();
        self.meta(|meta| drop(meta.managers.insert(format!("tokenward/{guest}"), keys)))
    }

    fn wanted_by(mut self, older: &str) -> Self {
        self.rivals.earlier.push(older.to_owned());
        self
    }

    fn going(self) -> Self {
        self.meta(|meta| meta.deleting = true)
    }

    fn ours(self) -> Self {
        self.controlled(GROUP, "shop", "new").annotated(OWNER, "OAuthClientToken/web/shop/new")
    }

    fn told(self, policy: CreationPolicy) -> String {
        let us = annotations::Owner::parse("OAuthClientToken/web/shop/new").unwrap();
        let target = self.target.map(|target| target.seen_by(&us));
        let wish = Wish { owner: &us, secret_name: "s", policy, rivals: &self.rivals };
        match claim(target.as_ref(), wish) {
            Claim::Make => "made".to_owned(),
            Claim::Keep => "kept".to_owned(),
            Claim::Adopt => "taken over".to_owned(),
            Claim::Merge => "merged into".to_owned(),
            Claim::Disown => "given away, keys kept".to_owned(),
            Claim::Refused(error) => format!("`{}`", error.reason().as_str()),
        }
    }
}

const GROUP: &str = "tokenward.dev/v1alpha1";
const SIBLING: &str = "OAuthClientToken/web/other/x";
const REFUSED: &str = "`SecretNotOwned`";
const NOT_FOUND: &str = "`TargetNotFound`";

/// The state, how it comes about, what becomes of it under `Owner` and `Merge`, and who shows it.
type Row = (&'static str, fn() -> State, [&'static str; 2], &'static str);

const TABLE: &[Row] = &[
    (
        "does not exist",
        State::default,
        ["made", NOT_FOUND],
        "merge::it_is_waited_for_kept_fresh_and_left_as_it_was",
    ),
    (
        "does not exist, and an older token wants it",
        || State::default().wanted_by("older"),
        [REFUSED, REFUSED],
        "policies::of_two_tokens_the_older_gets_the_secret_whoever_is_looked_at_first",
    ),
    (
        "this token's, by ownerReference",
        || secret().ours(),
        ["kept", REFUSED],
        "merge::what_was_made_is_given_away_and_taken_back_without_a_request",
    ),
    (
        "this token's, and an older token wants it",
        || secret().ours().wanted_by("older"),
        ["kept", REFUSED],
        "policies::of_two_tokens_the_older_gets_the_secret_whoever_is_looked_at_first",
    ),
    (
        "this token's, by annotation only (retained)",
        || secret().annotated(OWNER, "OAuthClientToken/web/shop/new"),
        ["kept", REFUSED],
        "policies::a_retained_secret_outlives_its_token_and_is_its_successors",
    ),
    (
        "this token's, restored: ownerReference with a former uid",
        || {
            secret()
                .controlled(GROUP, "shop", "old")
                .annotated(OWNER, "OAuthClientToken/web/shop/old")
        },
        ["kept", REFUSED],
        "policies::a_restored_target_is_taken_up_under_the_new_uid",
    ),
    (
        "this token's, restored: annotation with a former uid",
        || secret().annotated(OWNER, "OAuthClientToken/web/shop/old"),
        ["kept", REFUSED],
        "policies::a_retained_secret_outlives_its_token_and_is_its_successors",
    ),
    (
        "this token's, with consent",
        || secret().ours().annotated(ALLOW, "shop"),
        ["kept", "given away, keys kept"],
        "merge::what_was_made_is_given_away_and_taken_back_without_a_request",
    ),
    (
        "this token's, being deleted",
        || secret().ours().going(),
        ["kept", REFUSED],
        "policies::a_target_that_something_holds_while_it_is_deleted_is_kept_fresh_until_it_goes",
    ),
    (
        "another token's, by ownerReference",
        || secret().controlled(GROUP, "other", "x"),
        [REFUSED, REFUSED],
        "ownership::another_tokens_target_is_foreign",
    ),
    (
        "the same, with consent",
        || secret().controlled(GROUP, "other", "x").annotated(ALLOW, "shop"),
        [REFUSED, REFUSED],
        "policies::consent_does_not_take_a_secret_from_a_token_that_wants_it",
    ),
    (
        "another token's, by annotation only (retained)",
        || secret().annotated(OWNER, SIBLING),
        [REFUSED, REFUSED],
        "policies::a_retained_secret_outlives_its_token_and_is_its_successors",
    ),
    (
        "the same, with consent, and that token wants it",
        || secret().annotated(OWNER, SIBLING).annotated(ALLOW, "shop").wanted_by("other"),
        [REFUSED, REFUSED],
        "policies::consent_does_not_take_a_secret_from_a_token_that_wants_it",
    ),
    (
        "the same, with consent, and that token is gone",
        || secret().annotated(OWNER, SIBLING).annotated(ALLOW, "shop"),
        ["taken over", "merged into"],
        "policies::a_retained_secret_outlives_its_token_and_is_its_successors",
    ),
    (
        "copied from another namespace",
        || secret().annotated(OWNER, "OAuthClientToken/prod/shop/x"),
        [REFUSED, REFUSED],
        "policies::a_copy_from_another_namespace_is_nobodys_without_consent",
    ),
    (
        "the same, with consent",
        || secret().annotated(OWNER, "OAuthClientToken/prod/shop/x").annotated(ALLOW, "shop"),
        ["taken over", "merged into"],
        "policies::a_copy_from_another_namespace_is_nobodys_without_consent",
    ),
    (
        "another controller's",
        || secret().controlled("apps/v1", "shop", "x"),
        [REFUSED, REFUSED],
        "policies::consent_does_not_take_a_secret_from_a_token_that_wants_it",
    ),
    (
        "the same, with consent",
        || secret().controlled("apps/v1", "shop", "x").annotated(ALLOW, "shop"),
        [REFUSED, "merged into"],
        "merge::a_controllers_secret_takes_a_guest_but_no_owner",
    ),
    (
        "anybody's, without consent",
        secret,
        [REFUSED, REFUSED],
        "ownership::a_foreign_target_is_refused_before_any_request",
    ),
    (
        "anybody's, with consent for another token",
        || secret().annotated(ALLOW, "other"),
        [REFUSED, REFUSED],
        "merge::of_two_tokens_the_one_that_the_secret_names_is_merged",
    ),
    (
        "anybody's, with consent",
        || secret().annotated(ALLOW, "shop"),
        ["taken over", "merged into"],
        "ownership::a_secret_whose_owner_consents_is_taken_over",
    ),
    (
        "anybody's, with consent, wanted by an older token too",
        || secret().annotated(ALLOW, "shop").wanted_by("older"),
        ["taken over", "merged into"],
        "merge::of_two_tokens_the_one_that_the_secret_names_is_merged",
    ),
    (
        "anybody's, with consent, being deleted",
        || secret().annotated(ALLOW, "shop").going(),
        [NOT_FOUND, NOT_FOUND],
        "policies::a_target_that_something_holds_while_it_is_deleted_is_kept_fresh_until_it_goes",
    ),
    (
        "merged into by this token, consent as before",
        || secret().annotated(ALLOW, "shop").merged("shop"),
        ["taken over", "merged into"],
        "merge::what_was_made_is_given_away_and_taken_back_without_a_request",
    ),
    (
        "the same, being deleted",
        || secret().annotated(ALLOW, "shop").merged("shop").going(),
        ["taken over", "merged into"],
        "merge::it_is_waited_for_kept_fresh_and_left_as_it_was",
    ),
    (
        "merged into by this token, consent withdrawn",
        || secret().merged("shop"),
        [REFUSED, REFUSED],
        "merge::of_two_tokens_the_one_that_the_secret_names_is_merged",
    ),
    (
        "merged into by another token, consent for that",
        || secret().annotated(ALLOW, "other").merged("other"),
        [REFUSED, REFUSED],
        "merge::of_two_tokens_the_one_that_the_secret_names_is_merged",
    ),
];

/// What only a closer look tells, which is taken before any token is requested.
const LOOKED_AT: &[(&str, [&str; 2], &str)] = &[
    (
        "with consent, but of a privileged type",
        ["`SecretTypeNotAllowed`"; 2],
        "ownership::consent_does_not_cover_a_privileged_secret",
    ),
    (
        "`immutable: true`",
        ["`TargetImmutable`"; 2],
        "policies::an_immutable_target_is_told_of_before_any_request_and_made_anew_when_it_is_gone",
    ),
    (
        "with consent, and with a key that the token needs",
        ["taken over", "`TargetKeyConflict`"],
        "merge::a_key_that_is_there_is_never_overwritten_and_found_before_any_request",
    ),
];

fn table() -> String {
    let mut table = String::new();
    table.push_str("| The target Secret is | `Owner` | `Merge` | shown by |\n|---|---|---|---|\n");
    let rows = TABLE.iter().map(|(state, _, outcome, test)| (state, outcome, test));
    let more = LOOKED_AT.iter().map(|(state, outcome, test)| (state, outcome, test));
    for (state, [owner, merge], test) in rows.chain(more) {
        writeln!(table, "| {state} | {owner} | {merge} | `{test}` |").unwrap();
    }
    table
}

#[test]
fn every_row_is_what_is_decided() {
    for (state, make, [owner, merge], _) in TABLE {
        assert_eq!([make().told(Owner), make().told(Merge)], [*owner, *merge], "{state}");
    }
}

#[test]
fn every_row_names_a_test_on_the_api_server() {
    let shown = TABLE.iter().map(|row| row.3).chain(LOOKED_AT.iter().map(|row| row.2));
    for test in shown {
        let (file, name) = test.split_once("::").unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster");
        let text = fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap();
        assert!(text.contains(&format!("fn {name}(")), "{test}");
    }
}

#[test]
fn page_is_current() {
    part_is_current("docs/ownership.md", (START, END), &table());
}
