//! What was measured, as a page tells it: the goals, every figure over the number of tokens, and how
//! each curve grows. The same figures give the same text.

use std::collections::BTreeSet;
use std::fmt::{Display, Write};

use super::figures::Figure;
use super::goals::{Bound, GOALS, Goal};
use super::plot::PLOTS;

const UNKNOWN: &str = "not measured";
/// A curve is a line where no point of it is further off.
const OFF: f64 = 0.3;

/// Figures that are known.
#[derive(Clone, Copy)]
pub struct Known<'a>(pub &'a [Figure]);

impl<'a> Known<'a> {
    /// One of them; where it does not matter at how many tokens, the only one or the last.
    pub fn get(&self, name: &str, tokens: Option<u32>) -> Option<&'a Figure> {
        let mut named = self.0.iter().filter(|figure| figure.name == name);
        named.rfind(|figure| tokens.is_none() || figure.tokens == tokens)
    }

    /// Its values over the number of tokens.
    pub fn curve(&self, name: &str) -> Vec<(u32, f64)> {
        self.points(name, |figure| Some(figure.value))
    }

    /// Its ceilings over the number of tokens.
    pub fn ceilings(&self, name: &str) -> Vec<(u32, f64)> {
        self.points(name, |figure| figure.ceiling)
    }

    fn points(&self, name: &str, of: fn(&Figure) -> Option<f64>) -> Vec<(u32, f64)> {
        let named = self.0.iter().filter(|figure| figure.name == name);
        let mut points: Vec<_> =
            named.filter_map(|figure| Some((figure.tokens?, of(figure)?))).collect();
        points.sort_by_key(|(tokens, _)| *tokens);
        points
    }
}

/// All of it.
pub fn page(known: Known<'_>) -> String {
    [goals(known), missed(known), growth(known), over_tokens(known), code(known)].concat()
}

/// The table of the goals.
pub fn goals(known: Known<'_>) -> String {
    let mut table =
        "| what | goal | measured | ceiling, or the API server's part | |\n|---|---|---|---|---|\n"
            .to_owned();
    for goal in &GOALS {
        let found = goal.found(known);
        let ceiling = known
            .get(goal.figure, goal.tokens)
            .and_then(|figure| Some(with_unit(figure.ceiling?, &figure.unit)));
        let (measured, verdict) = match &found {
            Some(found) => {
                (goal.told(known, *found), if goal.holds(*found) { "held" } else { "**missed**" })
            }
            None => (UNKNOWN.to_owned(), ""),
        };
        let ceiling = ceiling.unwrap_or_default();
        let (what, wanted) = (goal.what, goal.wanted());
        writeln!(table, "| {what} | {wanted} | {measured} | {ceiling} | {verdict} |").unwrap();
    }
    table
}

impl Goal {
    /// What is held against its bound.
    fn found(&self, known: Known<'_>) -> Option<f64> {
        let figure = known.get(self.figure, self.tokens)?;
        Some(match self.bound {
            Bound::AtMost(..) => figure.value,
            Bound::OfCeiling(_) => figure.value / figure.ceiling? * 100.0,
            Bound::Above(other, ..) => figure.value - known.get(other, self.tokens)?.value,
            Bound::Slope(from, _) => {
                let tokens = figure.tokens?;
                let less = known.get(self.figure, Some(from))?.value;
                (figure.value - less) * 1024.0 / f64::from(tokens - from)
            }
        })
    }

    fn holds(&self, found: f64) -> bool {
        match self.bound {
            Bound::AtMost(most, _) | Bound::Above(_, most, _) | Bound::Slope(_, most) => {
                found <= most
            }
            Bound::OfCeiling(least) => found >= least,
        }
    }

    fn wanted(&self) -> String {
        match self.bound {
            Bound::AtMost(0.0, _) => "none".to_owned(),
            Bound::OfCeiling(least) => format!("≥ {least} % of the ceiling"),
            Bound::AtMost(most, _) | Bound::Above(_, most, _) | Bound::Slope(_, most) => {
                format!("≤ {}", with_unit(most, self.unit()))
            }
        }
    }

    fn unit(&self) -> &'static str {
        match self.bound {
            Bound::AtMost(_, unit) | Bound::Above(_, _, unit) => unit,
            Bound::OfCeiling(_) => "%",
            Bound::Slope(..) => "KiB",
        }
    }

    fn told(&self, known: Known<'_>, found: f64) -> String {
        let told = with_unit(found, self.unit());
        match (self.bound, known.get(self.figure, self.tokens)) {
            (Bound::OfCeiling(_), Some(figure)) => {
                format!("{}, {told}", with_unit(figure.value, &figure.unit))
            }
            _ => told,
        }
    }
}

fn missed(known: Known<'_>) -> String {
    let mut list = String::new();
    for goal in &GOALS {
        let Some(found) = goal.found(known).filter(|found| !goal.holds(*found)) else { continue };
        let (what, told, wanted) = (goal.what, goal.told(known, found), goal.wanted());
        writeln!(list, "- {what}: {told}, where {wanted} is the goal").unwrap();
    }
    if list.is_empty() { list } else { format!("\nMissed:\n\n{list}") }
}

/// The curves that were measured, each with a plot and how it grows.
fn growth(known: Known<'_>) -> String {
    let mut text = String::new();
    for plot in PLOTS.iter().filter(|plot| plot.is_known(known)) {
        write!(text, "\n### {}\n\n", plot.title).unwrap();
        for curve in plot.curves {
            if let Some(grows) = grows(&curve.points(known), plot.unit) {
                writeln!(text, "- {}: {grows}", curve.label).unwrap();
            }
        }
        write!(text, "\n![{} over the number of tokens]({})\n", plot.title, plot.file()).unwrap();
    }
    if text.is_empty() { text } else { format!("\n## How it grows\n{text}") }
}

/// How a curve grows between its ends: by how much a token where it is a line, else by what factor.
fn grows(points: &[(u32, f64)], unit: &str) -> Option<String> {
    let ((few, less), (many, more)) = (*points.first()?, *points.last()?);
    if few == many {
        return None;
    }
    let each = (more - less) / f64::from(many - few);
    let base = less - each * f64::from(few);
    let line = |tokens: u32| base + each * f64::from(tokens);
    let is_line = points.iter().all(|(tokens, value)| (value / line(*tokens) - 1.0).abs() < OFF);
    // What grows by less than half is flat for all that can be told, and a line through two points
    // says nothing.
    let told = if is_line && more > 1.5 * less && points.len() > 2 {
        let (each, unit_of_each) = finer(each, unit);
        format!("{} and {} a token", with_unit(base, unit), with_unit(each, unit_of_each))
    } else if less > 0.0 {
        let (less_told, more_told) = (with_unit(less, unit), with_unit(more, unit));
        format!("{less_told} to {more_told}, × {}", number(more / less))
    } else {
        format!("{} to {}", with_unit(less, unit), with_unit(more, unit))
    };
    Some(format!("{told} (from {} to {} tokens)", counted(few), counted(many)))
}

/// As one token has of it.
fn finer(value: f64, unit: &str) -> (f64, &str) {
    match unit {
        "MiB" => (value * 1024.0, "KiB"),
        "ms" => (value * 1e3, "µs"),
        unit => (value, unit),
    }
}

/// Every figure that depends on the number of tokens.
fn over_tokens(known: Known<'_>) -> String {
    let sizes: BTreeSet<u32> = known.0.iter().filter_map(|figure| figure.tokens).collect();
    let names: BTreeSet<&str> =
        known.0.iter().filter(|f| f.tokens.is_some()).map(|f| f.name.as_str()).collect();
    if names.is_empty() {
        return String::new();
    }
    let mut table = "\n## Every figure, by the number of tokens\n\n| |".to_owned();
    table.extend(sizes.iter().map(|size| format!(" {} |", counted(*size))));
    table += "\n|---|";
    table.extend(sizes.iter().map(|_| "---|"));
    table += "\n";
    for name in names {
        write!(table, "| {name} |").unwrap();
        for size in &sizes {
            let figure = known.0.iter().rfind(|f| f.name == name && f.tokens == Some(*size));
            let told = figure.map_or_else(String::new, |f| with_unit(f.value, &f.unit));
            write!(table, " {told} |").unwrap();
        }
        table += "\n";
    }
    table
}

/// What is measured of code alone, and the other figures that no number of tokens changes.
fn code(known: Known<'_>) -> String {
    let alone: Vec<&Figure> = known.0.iter().filter(|figure| figure.tokens.is_none()).collect();
    let of = |group: &str, name: &str| {
        let figure = known.get(&format!("{group}/{name}"), None);
        figure.map_or_else(|| UNKNOWN.to_owned(), |figure| with_unit(figure.value, &figure.unit))
    };
    let is_code = |name: &str| {
        ["in-process/", "instructions/", "allocations/", "allocated/"]
            .iter()
            .any(|g| name.starts_with(g))
    };
    let pieces: Vec<&str> =
        alone.iter().filter_map(|f| f.name.strip_prefix("in-process/")).collect();
    let mut text = String::new();
    if !pieces.is_empty() {
        text += "\n## Code alone\n\n| | time | instructions | allocations | of bytes |\n|---|---|---|---|---|\n";
    }
    for piece in pieces
        .into_iter()
        .filter(|piece| known.get(&format!("instructions/{piece}"), None).is_some())
    {
        let [time, instructions, allocations, bytes] =
            ["in-process", "instructions", "allocations", "allocated"]
                .map(|group| of(group, piece));
        writeln!(text, "| {piece} | {time} | {instructions} | {allocations} | {bytes} |").unwrap();
    }
    let others: BTreeSet<&str> =
        alone.iter().map(|f| f.name.as_str()).filter(|name| !is_code(name)).collect();
    if !others.is_empty() {
        text += "\n## The rest\n\n| | |\n|---|---|\n";
    }
    for name in others {
        let told = known.get(name, None).map(|f| with_unit(f.value, &f.unit)).unwrap_or_default();
        writeln!(text, "| {name} | {told} |").unwrap();
    }
    text
}

/// A value as it is printed.
pub fn with_unit(value: f64, unit: &str) -> String {
    let number = number(value);
    match unit {
        "ms" if value.abs() >= 1000.0 => with_unit(value / 1000.0, "s"),
        "" => number,
        unit if unit.starts_with('/') => format!("{number}{unit}"),
        unit => format!("{number} {unit}"),
    }
}

/// Three digits, or all before the point.
pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    match (text.as_str(), value.abs() >= 1000.0) {
        ("-0", _) => "0".to_owned(),
        (digits, true) => thousands(digits),
        _ => text,
    }
}

/// A number of things.
pub fn counted(things: impl Display) -> String {
    thousands(&things.to_string())
}

fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        let left = digits.len() - at;
        if at > 0 && left.is_multiple_of(3) && digits.as_bytes()[at - 1] != b'-' {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
