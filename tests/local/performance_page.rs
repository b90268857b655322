//! docs/performance.md and its plots tell the figures of docs/performance/figures.jsonl, which come
//! from `make bench`.

use std::path::Path;

use crate::generated::{is_current, part_is_current};

#[allow(dead_code, reason = "figures are noted by those who measure")]
#[path = "../load/figures.rs"]
mod figures;
#[path = "../load/goals.rs"]
mod goals;
#[path = "../load/plot.rs"]
mod plot;
#[path = "../load/report.rs"]
mod report;

use figures::{Figure, Notebook};
use goals::GOALS;
use plot::PLOTS;
use report::{Known, goals as table_of, number, page};

const PAGE: &str = "docs/performance.md";
const MARKS: (&str, &str) = ("<!-- figures: make docs -->\n\n", "\n<!-- end of the figures -->\n");

fn measured() -> Vec<Figure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Notebook::at(&root.join("docs/performance/figures.jsonl")).read().unwrap()
}

#[test]
fn the_performance_page_is_current() {
    let figures = measured();
    let known = Known(&figures);
    part_is_current(PAGE, MARKS, &page(known));
    for plot in PLOTS.iter().filter(|plot| plot.is_known(known)) {
        is_current(&format!("docs/{}", plot.file()), &plot.draw(known));
    }
}

fn figure(name: &str, tokens: Option<u32>, value: f64, unit: &str) -> Figure {
    Figure { name: name.to_owned(), tokens, value, unit: unit.to_owned(), ceiling: None }
}

#[test]
fn what_was_not_measured_is_said_to_be_so() {
    let table = table_of(Known(&[]));
    assert_eq!(table.matches("not measured").count(), GOALS.len());
    for goal in &GOALS {
        assert!(table.contains(&format!("\n| {} | ", goal.what)), "{}", goal.what);
    }
}

#[test]
fn a_goal_is_held_or_missed() {
    let rate = |tokens, value, ceiling| Figure {
        ceiling: Some(ceiling),
        ..figure("cold-start/rate", Some(tokens), value, "/s")
    };
    let figures = [
        rate(1_000, 320.0, 400.0),
        rate(10_000, 240.0, 400.0),
        figure("steady/resident", Some(1_000), 17.25, "MiB"),
        figure("steady/resident", Some(10_000), 60.0, "MiB"),
        figure("steady/resident", Some(50_000), 250.0, "MiB"),
        figure("crowd/none/resident", Some(1_000), 30.0, "MiB"),
        figure("crowd/all/resident", Some(1_000), 34.5, "MiB"),
        figure("steady/expired", Some(10_000), 0.0, "s"),
    ];
    let told = page(Known(&figures));
    for line in [
        "| cold start, 1,000 tokens | ≥ 80 % of the ceiling | 320/s, 80 % | 400/s | held |",
        "| cold start, 10,000 tokens | ≥ 65 % of the ceiling | 240/s, 60 % | 400/s | **missed** |",
        "| memory, a token, from 10,000 to 50,000 | ≤ 4 KiB | 4.86 KiB |  | **missed** |",
        "| 50,000 unrelated Secrets, more memory | ≤ 5 MiB | 4.5 MiB |  | held |",
        "| expired | none | 0 s |  | held |",
        "- memory, 50,000 tokens: 250 MiB, where ≤ 200 MiB is the goal",
        "- while refreshing: 12.5 MiB and 4.86 KiB a token (from 1,000 to 50,000 tokens)",
        "- tokenward: 320/s to 240/s, × 0.75 (from 1,000 to 10,000 tokens)",
        "![Resident memory over the number of tokens](performance/memory.svg)",
    ] {
        assert!(told.contains(&format!("{line}\n")), "{line}\n{told}");
    }
}

#[test]
fn the_same_figures_are_drawn_the_same() {
    let resident = |tokens, value| figure("steady/resident", Some(tokens), value, "MiB");
    let figures = [resident(100, 16.0), resident(1_000, 20.5), resident(50_000, 190.0)];
    let [memory, cold_start, ..] = &PLOTS;
    let draw = || memory.draw(Known(&figures));
    assert_eq!(draw(), draw());
    assert!(draw().contains("10,000") && draw().contains("while refreshing"));
    assert!(memory.is_known(Known(&figures)) && !cold_start.is_known(Known(&figures)));
}

#[test]
fn numbers_have_three_digits() {
    let values =
        [0.0, 0.004, 1.0, 2.345, 12.7, 99.96, 415.2, 1_234.5, 1_048_576.0, -0.001, -1_500.0];
    let told = values.map(number);
    let expected =
        ["0", "0", "1", "2.35", "12.7", "100", "415", "1,234", "1,048,576", "0", "-1,500"];
    assert_eq!(told.each_ref().map(String::as_str), expected);
}
