//! What was measured: one figure a line, as JSON, so that a run that is cut off loses nothing.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Result, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One thing that was measured.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Figure {
    /// What: the part of the run and the quantity, such as `steady/cpu-per-refresh`.
    pub name: String,
    /// At how many tokens; absent where that does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u32>,
    /// The value.
    pub value: f64,
    /// Its unit, as it is printed: `ms`, `MiB`, `/s`, `%`, or empty for a number of things.
    pub unit: String,
    /// What the machine can do, in the same unit and the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<f64>,
}

/// Where figures are kept until they are told.
pub struct Notebook(PathBuf);

impl Notebook {
    /// The one at this path.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Notes a figure.
    pub fn note(&self, figure: &Figure) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0)?;
        writeln!(file, "{}", serde_json::to_string(figure)?)
    }

    /// All that was noted; of what was measured twice, the last.
    pub fn read(&self) -> Result<Vec<Figure>> {
        let mut figures: Vec<Figure> = Vec::new();
        for line in BufReader::new(File::open(&self.0)?).lines() {
            let figure: Figure = serde_json::from_str(&line?)?;
            figures.retain(|old| (&old.name, old.tokens) != (&figure.name, figure.tokens));
            figures.push(figure);
        }
        Ok(figures)
    }
}
