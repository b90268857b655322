//! The book hangs together: every page is in the summary, links lead somewhere, what is named is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use regex::Regex;
use tokenward::error::Reason;

use crate::docs::documents;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(page: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join("docs").join(page)).unwrap()
}

/// The text without fenced blocks.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        let fence = line.trim_start().starts_with("```");
        if !fence && !fenced {
            prose.extend([line, "\n"]);
        }
        fenced ^= fence;
    }
    prose
}

/// Where links of this text lead to, images too.
fn links(text: &str) -> Vec<String> {
    let code = Regex::new("`[^`\n]*`").unwrap();
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let text = prose(text);
    let text = code.replace_all(&text, "code");
    link.captures_iter(&text).map(|found| found[1].to_owned()).collect()
}

/// The anchors that headings have, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for line in prose(text).lines() {
        let Some(heading) = line.strip_prefix('#') else { continue };
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let anchor: String = heading.chars().filter(kept).collect::<String>().replace(' ', "-");
        let count = counts.entry(anchor.clone()).or_default();
        *count += 1;
        anchors.insert(match *count {
            1 => anchor,
            more => format!("{anchor}-{}", more - 1),
        });
    }
    anchors
}

/// Without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[test]
fn every_page_is_in_the_summary_once() {
    let listed = links(&read("SUMMARY.md"));
    let pages: BTreeSet<String> = documents()
        .iter()
        .filter_map(|page| page.strip_prefix(Path::new(ROOT).join("docs")).ok())
        .map(|page| page.to_str().unwrap().to_owned())
        .filter(|page| page != "SUMMARY.md")
        .collect();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), pages);
    assert_eq!(listed.len(), pages.len(), "a page is listed twice");
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut dead = Vec::new();
    let mut seen = 0;
    for page in documents() {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            seen += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => page.clone(),
                path => plain(&page.parent().unwrap().join(path)),
            };
            let there = match anchor {
                "" => target.exists() && target.starts_with(ROOT),
                anchor => {
                    fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor))
                }
            };
            if !there {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
    assert!(seen > 100, "{seen}");
}

/// A test is named as `tests/cluster/egress.rs::what_it_shows`.
#[test]
fn every_test_that_a_page_names_is_there() {
    let name = Regex::new(r"`((?:tests|src)/[a-z_/]+\.rs)::([a-z0-9_]+)`").unwrap();
    let mut missing = Vec::new();
    let mut seen = 0;
    for page in documents() {
        let text = fs::read_to_string(&page).unwrap();
        for found in name.captures_iter(&text) {
            seen += 1;
            let code = fs::read_to_string(Path::new(ROOT).join(&found[1])).unwrap_or_default();
            if !is_test(&code, &found[2]) {
                missing.push(format!("{}: {}", page.display(), &found[0]));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(seen > 20, "{seen}");
}

/// Whether such a function is there and an attribute says that it is a test.
fn is_test(code: &str, name: &str) -> bool {
    let Some((before, _)) = code.split_once(&format!("fn {name}(")) else { return false };
    let attributes = before.rsplit("\n\n").next().unwrap_or_default();
    ["#[test]", "#[tokio::test", "#[rstest]"].iter().any(|test| attributes.contains(test))
}

/// The reasons of [`Reason`], and those words that stand where a condition is made.
fn emitted() -> BTreeSet<String> {
    let mut words: BTreeSet<String> =
        Reason::ALL.iter().map(|reason| reason.as_str().to_owned()).collect();
    let made = Regex::new(r"(?s)\b(?:Verdict::new|yes|no)\(.*?\)").unwrap();
    let word = Regex::new(r#""([A-Z][a-z]+(?:[A-Z][a-z]+)*)""#).unwrap();
    for file in sources(&Path::new(ROOT).join("src")) {
        let text = fs::read_to_string(file).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap();
        if !product.contains("Verdict") {
            continue;
        }
        for made in made.find_iter(product) {
            words.extend(word.captures_iter(made.as_str()).map(|found| found[1].to_owned()));
        }
    }
    words.insert(tokenward::api::conditions::SUSPENDED.to_owned());
    words
}

/// Files of the product, without tests of their own.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let tests = name.contains("test") || name.contains("simulation");
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") && !tests {
            files.push(path);
        }
    }
    files
}

#[test]
fn every_reason_has_a_paragraph_and_every_paragraph_a_reason() {
    let text = read("operations/troubleshooting.md");
    let mut told = BTreeSet::new();
    for section in text.split("\n### ").skip(1) {
        let (name, body) = section.split_once('\n').unwrap();
        let body = body.split("\n## ").next().unwrap().trim();
        assert!(body.len() > 80, "{name} says too little");
        assert!(told.insert(name.to_owned()), "{name} is there twice");
    }
    assert_eq!(told, emitted());
}
