//! `docs/grants.md` says what `matrix` shows.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use crate::generated::is_current;
use crate::matrix::{Cell, TABLE};

const HEAD: &str = "\
# Grants and client authentication

Each cell names the test that shows the two together: a token is fetched from a real authorization
server (oidc-provider, `tests/conformance`), which then says that it is good and whose it is. Where
no file is named it is a test of `tests/conformance/matrix.rs`; run one with
`cargo test --test conformance NAME`. A ServiceAccount's token as `federated_jwt` and as the subject of
an exchange is shown on a cluster, in `tests/cluster/service_accounts.rs`. `make docs` writes this page.

";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let grants: Vec<String> = TABLE.iter().map(|(grant, _)| format!("`{grant}`")).collect();
    writeln!(page, "| | {} |", grants.join(" | ")).unwrap();
    writeln!(page, "|---|{}", "---|".repeat(grants.len())).unwrap();
    for (row, (method, _)) in TABLE[0].1.iter().enumerate() {
        let cells: Vec<String> =
            TABLE.iter().map(|(grant, cells)| text(grant, cells[row])).collect();
        writeln!(page, "| **`{method}`** | {} |", cells.join(" | ")).unwrap();
    }
    page
}

fn text(grant: &str, (method, cell): (&str, Cell)) -> String {
    match cell {
        Cell::Here => format!("`{grant}::{method}`"),
        Cell::At(test) => format!("`{test}`"),
        Cell::Never(why) => why.to_owned(),
    }
}

#[test]
fn every_grant_has_every_method() {
    for (grant, cells) in TABLE {
        let methods = cells.iter().map(|(method, _)| method);
        assert!(methods.eq(TABLE[0].1.iter().map(|(method, _)| method)), "{grant}");
    }
}

/// A test that a cell names elsewhere is there, and is a test.
#[test]
fn every_cell_names_a_test() {
    for (method, cell) in TABLE.iter().flat_map(|(_, cells)| *cells) {
        let Cell::At(place) = cell else { continue };
        let (file, name) = place.split_once("::").unwrap_or_else(|| panic!("{method}: {place}"));
        let text = fs::read_to_string(root().join(file)).unwrap_or_else(|_| panic!("{place}"));
        let function = text.split("fn ").any(|rest| rest.starts_with(&format!("{name}(")));
        let case = text.contains(&format!("#[case::{name}("));
        assert!(function || case, "{place}: there is no such test");
    }
}

#[test]
fn the_page_is_current() {
    is_current("docs/grants.md", &page());
}
