//! What is wrong with a manifest, and where.

use std::fmt;
use std::path::PathBuf;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The API server would refuse it, or it can never work.
    Error,
    /// It may be right: what these files lack may be on the cluster.
    Warning,
}

/// A place in a file. Both numbers start at 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// One thing that is wrong. Never holds a value of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// How bad it is.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// Where in the file; `None` where it is about the file as a whole.
    pub place: Option<Place>,
    /// `KIND NAMESPACE/NAME`, as far as it is known.
    pub object: Option<String>,
    /// The field, e.g. `spec.target.secretName`; empty where it is about the whole object.
    pub path: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl Complaint {
    /// An error about a file as a whole.
    pub(super) fn of_file(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: file.into(),
            place: None,
            object: None,
            path: String::new(),
            message: message.into(),
        }
    }

    /// The same, but only a warning.
    pub(super) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Complaint {
    /// `FILE:LINE: KIND NAMESPACE/NAME: spec.x: message`, with `warning: ` after the line where it
    /// is one, as compilers do, so that editors find the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(place) = self.place {
            write!(f, "{}:", place.line)?;
        }
        if self.severity == Severity::Warning {
            write!(f, " warning:")?;
        }
        if let Some(object) = &self.object {
            write!(f, " {}:", OneLine(object))?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", OneLine(&self.path))?;
        }
        write!(f, " {}", OneLine(&self.message))
    }
}

/// Text without line breaks and other control characters, which would forge lines of output.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if c.is_control() { write!(f, "{}", c.escape_default()) } else { write!(f, "{c}") }
        })
    }
}

/// Something wrong within one document, before file and object are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) place: Place,
    pub(super) path: String,
    pub(super) message: String,
}

impl Finding {
    /// An error.
    pub(super) fn error(place: Place, path: &str, message: impl Into<String>) -> Self {
        let (path, message) = (path.to_owned(), message.into());
        Self { severity: Severity::Error, place, path, message }
    }

    /// A warning.
    pub(super) fn warning(place: Place, path: &str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, path, message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_one_line_that_editors_can_follow() {
        let complaint = Complaint {
            severity: Severity::Error,
            file: "a/b.yaml".into(),
            place: Some(Place { line: 7, column: 3 }),
            object: Some("OAuthClientToken web/shop".into()),
            path: "spec.x".into(),
            message: "no\nway".into(),
        };
        assert_eq!(
            complaint.to_string(),
            r"a/b.yaml:7: OAuthClientToken web/shop: spec.x: no\nway"
        );
        assert_eq!(
            Complaint::of_file("x", "is no file").warning().to_string(),
            "x: warning: is no file"
        );
    }
}
