//! `docs/cli.md` says what `--help` says, and the other pages name flags that there are.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use regex::Regex;

use crate::docs::documents;
use crate::generated::is_current;

const HEAD: &str = "\
# Command line

What `tokenward COMMAND --help` prints, of each command. Every flag is also an environment variable, and the
flag goes before it. Exit codes: 0 done, 1 failed, 2 wrong usage or invalid input; SIGTERM and SIGINT end
`controller` and `local` cleanly, with 0. `make docs` writes this page.
";

const COMMANDS: [&str; 6] = ["controller", "local", "check", "providers", "release", "crds"];

fn help(command: &str) -> String {
    said(&[command, "--help"])
}

fn said(args: &[&str]) -> String {
    let mut tokenward = Command::new(env!("CARGO_BIN_EXE_tokenward"));
    // It would show what the variables are set to.
    let output = tokenward.env_clear().args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for command in COMMANDS {
        write!(page, "\n## tokenward {command}\n\n```text\n{}```\n", help(command)).unwrap();
    }
    page
}

#[test]
fn the_cli_page_is_current() {
    is_current("docs/cli.md", &page());
}

#[test]
fn every_command_is_on_the_page() {
    let known = said(&["--help"]);
    let commands = known.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut commands: Vec<&str> =
        commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    commands.retain(|command| *command != "help");
    commands.sort_unstable();
    let mut told = COMMANDS;
    told.sort_unstable();
    assert_eq!(commands, told);
}

/// In a span of code: `tokenward local --once`, or a flag alone.
#[test]
fn every_flag_that_a_page_names_is_there() {
    let span = Regex::new(r"`(tokenward [a-z]|--[a-z])([^`]*)`").unwrap();
    let flag = Regex::new(r"--[a-z][a-z-]*").unwrap();
    let everything: String = COMMANDS.map(help).concat();
    let mut unknown = Vec::new();
    let mut seen = 0;
    for page in documents() {
        if page.ends_with("CONTRIBUTING.md") {
            continue;
        }
        let text = fs::read_to_string(&page).unwrap().replace('\n', " ");
        for found in span.captures_iter(&text) {
            let code = found[0].trim_matches('`');
            let help = match code.strip_prefix("tokenward ").and_then(|rest| rest.split(' ').next())
            {
                Some(command) if COMMANDS.contains(&command) => help(command),
                Some(_) => String::new(),
                None => everything.clone(),
            };
            seen += 1;
            let missing = flag.find_iter(code).any(|flag| !has(&help, flag.as_str()));
            if help.is_empty() || missing {
                unknown.push(format!("{}: {code}", page.display()));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(seen > 50, "{seen}");
}

fn has(help: &str, flag: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c == '-' || c.is_ascii_lowercase());
    help.match_indices(flag).any(|(at, _)| ends(&help[at + flag.len()..]))
}
