//! `docs/providers.md` says what the catalogue holds.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use tokenward::api::{ClientAuthentication, Grant, ProviderDocument};
use tokenward::catalogue::{Entry, entries, merge};

const HEAD: &str = "\
# The catalogue

Documents that come with tokenward: a provider names one as `spec.preset`, sets its `variables` and
overlays whatever differs. `tokenward providers show NAME` prints one whole, and there is an
[example](../examples/providers) of each. What data alone cannot say is in
[not supported](not-supported.md). `make docs` writes this page.

";

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| preset | provider | grant | client authentication |\n|---|---|---|---|\n");
    for (name, entry) in entries() {
        let (grant, authentication) = spoken(name);
        let title = &entry.title;
        writeln!(page, "| [`{name}`](#{name}) | {title} | {grant} | {authentication} |").unwrap();
    }
    for (name, entry) in entries() {
        section(&mut page, name, entry);
    }
    page
}

/// Grant and client authentication, as they are after the merge.
fn spoken(name: &str) -> (String, String) {
    let preset = ProviderDocument { preset: Some(name.to_owned()), ..ProviderDocument::default() };
    let document = merge(&preset).unwrap().document;
    let word = |value: serde_json::Value| value.as_str().unwrap().to_owned();
    let grant = document.grant.unwrap_or(Grant::ClientCredentials);
    let usual = match grant {
        Grant::ClientCredentials | Grant::RefreshToken | Grant::Password => {
            ClientAuthentication::ClientSecretBasic
        }
        _ => ClientAuthentication::None,
    };
    let authentication = document.client_authentication.unwrap_or(vec![usual]);
    let authentication: Vec<String> =
        authentication.iter().map(|method| word(serde_json::to_value(method).unwrap())).collect();
    (word(serde_json::to_value(grant).unwrap()), authentication.join(", "))
}

/// What the document believes of a token's life, and how often it asks at most.
fn limits(name: &str) -> Vec<(&'static str, String)> {
    let preset = ProviderDocument { preset: Some(name.to_owned()), ..ProviderDocument::default() };
    let document = merge(&preset).unwrap().document;
    let expiry = document.response.and_then(|response| response.expiry).unwrap_or_default();
    let pace = document.limits.and_then(|limits| limits.min_interval);
    let told =
        |duration: kube::core::Duration| humantime(std::time::Duration::from(duration).as_secs());
    [
        ("life where the answer tells none", expiry.default),
        ("longest life that is believed", expiry.max),
        ("least time between requests", pace),
    ]
    .into_iter()
    .filter_map(|(what, value)| Some((what, told(value?))))
    .collect()
}

/// 5400 is `1h 30m`.
fn humantime(seconds: u64) -> String {
    [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")]
        .iter()
        .scan(seconds, |rest, (size, unit)| {
            let count = *rest / size;
            *rest %= size;
            Some((count, unit))
        })
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect::<Vec<_>>()
        .join(" ")
}

fn section(page: &mut String, name: &str, entry: &Entry) {
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cell = |text: &str| flat(text).replace('|', "\\|");
    writeln!(page, "\n## {name}\n\n{}. ", entry.title).unwrap();
    page.truncate(page.trim_end().len());
    writeln!(page, "\n").unwrap();
    let has_rows = !(entry.inputs.is_empty() && entry.credentials.is_empty());
    if has_rows || !limits(name).is_empty() {
        page.push_str("| | | |\n|---|---|---|\n");
    }
    for (variable, input) in &entry.inputs {
        let told = match (&input.default, &input.example) {
            (Some(default), _) => format!("`{default}` by default"),
            (None, Some(example)) => format!("as `{example}`"),
            (None, None) => String::new(),
        };
        let description = cell(&input.description);
        writeln!(page, "| variable | `{variable}` | {description}; {} |", cell(&told)).unwrap();
    }
    for (key, what) in &entry.credentials {
        writeln!(page, "| credential | `{key}` | {} |", cell(what)).unwrap();
    }
    for (what, value) in limits(name) {
        writeln!(page, "| limit | {what} | {value} |").unwrap();
    }
    if let Some(notes) = &entry.notes {
        writeln!(page, "\n{}", flat(notes)).unwrap();
    }
    let links: Vec<String> = entry
        .source
        .iter()
        .enumerate()
        .map(|(index, link)| format!("[{}]({link})", index + 1))
        .collect();
    writeln!(page, "\nVerified: {}. Source: {}", flat(&entry.verified), links.join(", ")).unwrap();
}

#[test]
fn the_catalogue_page_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    if std::env::var_os("TOKENWARD_BLESS").is_some() {
        fs::write(&file, page()).unwrap();
    }
    let there = fs::read_to_string(&file).unwrap_or_default();
    assert!(there == page(), "docs/providers.md is stale: `make docs` writes it anew");
}
