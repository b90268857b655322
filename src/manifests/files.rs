//! Which files hold manifests.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::complaint::Complaint;

/// Deepest folder that is looked into.
const MAX_DEPTH: usize = 32;

/// Files found, each once, and what could not be looked at.
#[derive(Default)]
pub(super) struct Files {
    pub(super) found: Vec<PathBuf>,
    pub(super) complaints: Vec<Complaint>,
    seen: BTreeSet<PathBuf>,
    excluded: Vec<PathBuf>,
}

/// Finds the manifests under `paths`: a file is taken whatever its ending; of a folder, every
/// `.yaml`, `.yml` and `.json` file, hidden ones left out, sorted. Nothing under `excluded`.
pub(super) fn find(paths: &[PathBuf], excluded: &[PathBuf]) -> Files {
    let excluded = excluded.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let mut files = Files { excluded, ..Files::default() };
    for path in paths {
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => {
                let before = files.found.len() + files.complaints.len();
                files.folder(path, 0);
                if before == files.found.len() + files.complaints.len() {
                    let message = "no .yaml, .yml or .json file in it";
                    files.complaints.push(Complaint::of_file(path, message).warning());
                }
            }
            Ok(_) => files.file(path.clone()),
            Err(error) => files.fault(path, &error),
        }
    }
    files
}

impl Files {
    fn folder(&mut self, folder: &Path, depth: usize) {
        if self.is_excluded(folder) {
            return;
        }
        if depth > MAX_DEPTH {
            let message = format!("folders are nested more than {MAX_DEPTH} deep");
            return self.complaints.push(Complaint::of_file(folder, message));
        }
        match entries(folder) {
            Ok(entries) => entries.into_iter().for_each(|path| self.entry(path, depth)),
            Err(error) => self.fault(folder, &error),
        }
    }

    fn entry(&mut self, path: PathBuf, depth: usize) {
        // A link to a folder could lead round in circles; a link to a file is how kubelet mounts
        // the keys of a ConfigMap.
        let link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() && link => {}
            Ok(metadata) if metadata.is_dir() => self.folder(&path, depth + 1),
            Ok(metadata) if metadata.is_file() && is_manifest(&path) => self.file(path),
            Err(error) if is_manifest(&path) => self.fault(&path, &error),
            _ => {}
        }
    }

    fn file(&mut self, path: PathBuf) {
        let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
        if !self.is_excluded(&path) && self.seen.insert(whole) {
            self.found.push(path);
        }
    }

    fn is_excluded(&self, path: &Path) -> bool {
        !self.excluded.is_empty()
            && path
                .canonicalize()
                .is_ok_and(|path| self.excluded.iter().any(|excluded| path.starts_with(excluded)))
    }

    fn fault(&mut self, path: &Path, error: &io::Error) {
        let message = match error.kind() {
            io::ErrorKind::NotFound => "no such file or folder".to_owned(),
            _ => format!("cannot be read: {error}"),
        };
        self.complaints.push(Complaint::of_file(path, message));
    }
}

/// What is in a folder, sorted, without what is hidden.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml" || ending == "json")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(files: &Files, root: &Path) -> Vec<String> {
        let name = |path: &PathBuf| path.strip_prefix(root).unwrap().display().to_string();
        files.found.iter().map(name).collect()
    }

    #[test]
    fn a_folder_gives_its_manifests_sorted_and_nothing_hidden() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for folder in ["a", ".git", "out/web"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in [
            "b.yml",
            "a/z.json",
            "a/notes.txt",
            ".x.yaml",
            ".git/c.yaml",
            "a.yaml",
            "out/web/t.json",
        ] {
            fs::write(root.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(root, root.join("a/loop")).unwrap();
        let paths = [root.to_owned(), root.join("a.yaml"), root.join("a/notes.txt")];
        let files = find(&paths, &[root.join("out")]);
        assert_eq!(names(&files, root), ["a/z.json", "a.yaml", "b.yml", "a/notes.txt"]);
        assert!(files.complaints.is_empty());
    }

    #[test]
    fn what_is_not_there_is_named() {
        let root = tempfile::tempdir().unwrap();
        let files = find(&[root.path().join("missing"), root.path().to_owned()], &[]);
        let said: Vec<String> = files.complaints.iter().map(ToString::to_string).collect();
        assert!(said[0].contains("missing: no such file"), "{said:?}");
        assert!(said[1].contains("warning: no .yaml"), "{said:?}");
    }
}
