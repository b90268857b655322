//! `tokenward check`: manifests judged without a cluster.

use std::path::PathBuf;

use clap::Args;

use super::{Failure, print, tell};
use crate::manifests::{Complaint, cross_check, read};
use crate::settings::PLATFORM_NAMESPACE;

/// Flags of `check`.
#[derive(Args, Clone, Debug)]
pub(super) struct CheckArgs {
    /// Files with manifests, or directories of them
    #[arg(required = true, value_name = "FILE")]
    pub paths: Vec<PathBuf>,
    /// Where the platform's own credentials lie
    #[arg(
        long,
        value_name = "NS",
        env = "TOKENWARD_CLUSTER_RESOURCE_NAMESPACE",
        default_value = PLATFORM_NAMESPACE
    )]
    pub cluster_resource_namespace: String,
}

/// Judges manifests and says what is wrong with them.
pub(super) fn execute(args: &CheckArgs) -> Result<(), Failure> {
    let report = run(args);
    for complaint in &report.complaints {
        tell(&complaint.to_string());
    }
    print(&format!("{}\n", report.summary()))?;
    if report.is_clean() { Ok(()) } else { Err(Failure::Told) }
}

/// What was found.
#[derive(Clone, Debug)]
struct Report {
    /// For standard error, a line each.
    complaints: Vec<Complaint>,
    /// How many objects were looked at.
    objects: usize,
}

impl Report {
    /// For standard output: `3 objects checked: 1 error, 2 warnings`.
    fn summary(&self) -> String {
        let errors = self.complaints.iter().filter(|complaint| complaint.is_error()).count();
        let warnings = self.complaints.len() - errors;
        format!(
            "{} checked: {}, {}",
            count(self.objects, "object"),
            count(errors, "error"),
            count(warnings, "warning")
        )
    }

    /// Whether there is no error among the complaints.
    fn is_clean(&self) -> bool {
        !self.complaints.iter().any(Complaint::is_error)
    }
}

/// Reads and judges manifests.
fn run(args: &CheckArgs) -> Report {
    let reading = read(&args.paths);
    let mut complaints = reading.complaints;
    complaints.extend(cross_check(&reading.manifests, &args.cluster_resource_namespace));
    Report { complaints, objects: reading.manifests.checked() }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.yaml");
        std::fs::write(&file, text).unwrap();
        run(&CheckArgs { paths: vec![file], cluster_resource_namespace: "default".into() })
    }

    #[test]
    fn warnings_alone_are_no_failure() {
        let report = check(
            "{apiVersion: v1, kind: Secret, metadata: {name: a}}\n---\n\
             {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n",
        );
        assert_eq!(report.summary(), "1 object checked: 0 errors, 1 warning");
        assert!(report.is_clean());
    }

    #[test]
    fn the_examples_have_nothing_wrong() {
        let paths = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/examples").into()];
        let report = run(&CheckArgs { paths, cluster_resource_namespace: "default".into() });
        assert_eq!(report.complaints, []);
        assert!(report.objects > 10, "{}", report.summary());
    }

    #[test]
    fn errors_and_missing_files_are_invalid_input() {
        let report = check("{apiVersion: v1, kind: Secret}\n");
        assert_eq!(report.summary(), "1 object checked: 1 error, 0 warnings");
        assert!(!report.is_clean());
        let args = CheckArgs {
            paths: vec!["/no/such/file.yaml".into()],
            cluster_resource_namespace: "default".into(),
        };
        let report = run(&args);
        assert!(report.complaints[0].to_string().starts_with("/no/such/file.yaml: "));
        assert_eq!((report.objects, report.is_clean()), (0, false));
    }
}
