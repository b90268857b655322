//! `docs/refresh-tokens.md` says what a crash may cost, provider by provider.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use tokenward::api::{ProviderDocument, ProviderKind};
use tokenward::catalogue::{entries, merge};
use tokenward::watch::compile;

use crate::catalogue_page::{filled, flat, humantime};
use crate::generated::is_current;

/// From here on the page is written by this test.
const MARK: &str = "<!-- from here on: make docs -->\n";

/// Every document whose requests use up what they are made from.
fn table() -> String {
    let mut table = String::from(
        "\n| preset | a used one is taken once more for | its notes |\n|---|---|---|\n",
    );
    for (name, entry) in entries() {
        let endpoint = compile(&filled(name), ProviderKind::OAuthProvider).unwrap();
        if !endpoint.renews() {
            continue;
        }
        let reuse = endpoint.refresh_token_reuse().map(|reuse| humantime(reuse.as_secs()));
        let reuse = reuse.unwrap_or_else(|| "not known".to_owned());
        let notes = entry.notes.as_deref().map(flat).unwrap_or_default();
        writeln!(table, "| [`{name}`](providers.md#{name}) | {reuse} | {notes} |").unwrap();
    }
    table
}

#[test]
fn the_refresh_token_page_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/refresh-tokens.md");
    let there = fs::read_to_string(&file).unwrap();
    let (head, _) = there.split_once(MARK).expect("the mark is there");
    is_current("docs/refresh-tokens.md", &format!("{head}{MARK}{}", table()));
}

/// What a document claims beyond the RFC, its sources say: the notes repeat it.
#[test]
fn a_grace_is_told_in_the_notes() {
    let mut graces = Vec::new();
    for (name, entry) in entries() {
        let preset =
            ProviderDocument { preset: Some(name.to_owned()), ..ProviderDocument::default() };
        let limits = merge(&preset).unwrap().document.limits.unwrap_or_default();
        let Some(reuse) = limits.refresh_token_reuse else { continue };
        let told = humantime(std::time::Duration::from(reuse).as_secs());
        let number = told.trim_end_matches(char::is_alphabetic);
        assert!(entry.notes.as_deref().unwrap_or_default().contains(number), "{name}: {told}");
        graces.push(format!("{name} {told}"));
    }
    assert_eq!(graces, ["atlassian 10m", "withings 8h", "xero 30m"]);
}
