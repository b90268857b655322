//! Manifests in files, judged as the API server would judge them, without one.
//!
//! [`read`] gives the objects that break no rule and a [`Complaint`] for each broken one;
//! [`cross_check`] tells what does not fit together. Nothing here speaks to a cluster.

mod complaint;
mod cross;
mod cross_cluster;
mod files;
mod intake;
mod metadata;
mod rules;
mod scalar;
mod schema;
mod secret;
mod sourced;
mod yaml;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

pub use complaint::{Complaint, Place, Severity};
pub use cross::cross_check;
pub use secret::{NamespaceManifest, SecretManifest};
pub use sourced::{Key, Manifests, Sourced};

/// What files hold.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The objects that break no rule.
    pub manifests: Manifests,
    /// What is wrong with the others, in the order of the files.
    pub complaints: Vec<Complaint>,
}

/// Reads files, and every manifest under folders.
pub fn read(paths: &[PathBuf]) -> Reading {
    read_outside(paths, &[])
}

/// The same, without what lies under `excluded`: what is written there is no input.
pub fn read_outside(paths: &[PathBuf], excluded: &[PathBuf]) -> Reading {
    let files = files::find(paths, excluded);
    let mut intake = intake::Intake::default();
    intake.complaints = files.complaints;
    files.found.iter().for_each(|file| intake.file(file));
    let mut complaints = intake.complaints;
    intake::sort(&mut complaints);
    Reading { manifests: intake.manifests, complaints }
}

/// Reads manifests that are in no file, each with what it is called in complaints.
pub fn read_text<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> Reading {
    let mut intake = intake::Intake::default();
    texts.for_each(|(title, text)| intake.text(Path::new(title), text));
    let mut complaints = intake.complaints;
    intake::sort(&mut complaints);
    Reading { manifests: intake.manifests, complaints }
}

/// Something that changes whenever a manifest under `paths` is written, comes or goes.
pub fn fingerprint(paths: &[PathBuf], excluded: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files::find(paths, excluded).found {
        let metadata = file.metadata().ok();
        let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
        (file, metadata.map(|metadata| metadata.len()), modified).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
