//! `docs/providers.md` says what the catalogue holds.

use std::fmt::Write;

use tokenward::api::{ClientAuthentication, Grant, ProviderDocument, ProviderKind};
use tokenward::catalogue::{Entry, entries, merge};
use tokenward::watch::compile;

use crate::generated::is_current;

const HEAD: &str = "\
# The catalogue

Documents that come with tokenward: a provider names one as `spec.preset`, sets its `variables` and
overlays whatever differs; parameters, scopes and references to others belong to the
`OAuthClientToken`. `tokenward providers show NAME` prints one whole, and there is an
[example](../examples/providers) of each. What data alone cannot say is in
[not supported](not-supported.md). Each document says what it was checked against; where a page is out
of reach, an archived copy of it was read. `make docs` writes this page.

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
    let limits = document.limits.unwrap_or_default();
    let requests = limits.requests_per.iter();
    let requests: Vec<String> = requests.map(|(time, most)| format!("{most} in {time}")).collect();
    let told =
        |duration: kube::core::Duration| humantime(std::time::Duration::from(duration).as_secs());
    [
        ("life where the answer tells none", expiry.default),
        ("longest life that is believed", expiry.max),
        ("least time between requests", limits.min_interval),
        ("a used refresh token is taken once more for", limits.refresh_token_reuse),
    ]
    .into_iter()
    .filter_map(|(what, value)| Some((what, told(value?))))
    .chain((!requests.is_empty()).then(|| ("most requests", requests.join(", "))))
    .collect()
}

/// 5400 is `1h 30m`.
pub fn humantime(seconds: u64) -> String {
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

/// A document with every variable filled in as its example has it.
pub fn filled(name: &str) -> ProviderDocument {
    let preset = ProviderDocument { preset: Some(name.to_owned()), ..ProviderDocument::default() };
    let inputs = merge(&preset).unwrap().inputs.into_iter();
    let variables =
        inputs.filter_map(|(name, input)| Some((name, input.default.or(input.example)?)));
    ProviderDocument { variables: variables.collect(), ..preset }
}

/// What a person has to set, or may.
fn rows(name: &str, entry: &Entry) -> Vec<[String; 3]> {
    let document = filled(name);
    let mut rows = Vec::new();
    for (variable, input) in merge(&document).unwrap().inputs {
        let told = match (&input.default, &input.example) {
            (Some(default), _) => format!("`{default}` by default"),
            (None, Some(example)) => format!("as `{example}`"),
            (None, None) => String::new(),
        };
        let optional = if input.required || input.default.is_some() { "" } else { "optional; " };
        let what = format!("{}; {optional}{told}", flat(&input.description));
        rows.push(["variable".to_owned(), variable, what]);
    }
    for (key, what) in &entry.credentials {
        rows.push(["credential".to_owned(), key.clone(), flat(what)]);
    }
    let endpoint = compile(&document, ProviderKind::OAuthProvider).unwrap();
    let needs = endpoint.needs();
    for parameter in needs.parameters() {
        rows.push(["parameter".to_owned(), parameter.to_owned(), "optional".to_owned()]);
    }
    for token in needs.tokens() {
        let what = "another OAuthClientToken of the namespace".to_owned();
        rows.push(["spec.tokenRefs".to_owned(), token.to_owned(), what]);
    }
    if needs.service_account {
        let what = "a ServiceAccount of the namespace, and the audience that the provider expects";
        rows.push(["spec".to_owned(), "serviceAccountRef".to_owned(), what.to_owned()]);
    }
    if needs.scopes {
        rows.push(["spec".to_owned(), "scopes".to_owned(), "what to ask for".to_owned()]);
    }
    rows.extend(limits(name).into_iter().map(|(what, v)| ["limit".to_owned(), what.to_owned(), v]));
    rows
}

pub fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn section(page: &mut String, name: &str, entry: &Entry) {
    writeln!(page, "\n## {name}\n\n{}.\n", entry.title).unwrap();
    let rows = rows(name, entry);
    if !rows.is_empty() {
        page.push_str("| | | |\n|---|---|---|\n");
    }
    for [kind, what, told] in rows {
        let what = if kind == "limit" { what } else { format!("`{what}`") };
        writeln!(page, "| {kind} | {what} | {told} |").unwrap();
    }
    if let Some(notes) = &entry.notes {
        writeln!(page, "\n{}", flat(notes)).unwrap();
    }
    let links = entry.source.iter().enumerate();
    let links: Vec<String> = links.map(|(n, link)| format!("[{}]({link})", n + 1)).collect();
    writeln!(page, "\nVerified: {}. Source: {}", flat(&entry.verified), links.join(", ")).unwrap();
}

#[test]
fn the_catalogue_page_is_current() {
    is_current("docs/providers.md", &page());
}
