//! Files that are replaced whole.
//!
//! A target directory is swapped the way kubelet swaps a Secret volume: the keys are links into
//! `..data`, which is a link to a directory that never changes, and one rename moves it on. So a
//! reader never sees half an update.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use crate::render::Data;

const DATA: &str = "..data";

/// Replaces a file, readable by its owner only, and makes sure that it is on the disk.
pub(super) fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder, 0o755)?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let temporary = folder.join(format!("..{name}.{}", unique()));
    create(&temporary, content)?;
    fs::rename(&temporary, path)?;
    sync(folder)
}

/// Writes what is no smaller beside a file and takes it away again: there is room for it.
pub(super) fn rehearse_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let rehearsal = path.with_extension(format!("rehearsal.{}", unique()));
    write_file(&rehearsal, content)?;
    fs::remove_file(rehearsal)
}

/// Makes a folder and those above it. The mode is for those that are new.
pub(super) fn make_folder(folder: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(folder)
}

/// Replaces the data of a target.
pub(super) fn write_target(target: &Path, data: &Data) -> io::Result<()> {
    make_folder(target, 0o755)?;
    let before = fs::read_link(target.join(DATA)).ok();
    let generation = format!("..{}", unique());
    let folder = target.join(&generation);
    make_folder(&folder, 0o755)?;
    for (key, value) in data {
        create(&folder.join(key), value.expose_secret().as_bytes())?;
    }
    sync(&folder)?;
    link(target, DATA, Path::new(&generation))?;
    for key in data.keys() {
        let wanted = Path::new(DATA).join(key);
        if fs::read_link(target.join(key)).ok().as_deref() != Some(&wanted) {
            link(target, key, &wanted)?;
        }
    }
    drop_what_is_old(target, data, &generation)?;
    if let Some(before) = before.filter(|before| before != Path::new(&generation)) {
        ignore_missing(fs::remove_dir_all(target.join(before)))?;
    }
    sync(target)
}

/// Reads the data of a target; `None` where there is none.
pub(super) fn read_target(target: &Path) -> io::Result<Option<Data>> {
    let entries = match fs::read_dir(target.join(DATA)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut data = Data::new();
    for entry in entries {
        let entry = entry?;
        // A key whose link is gone is a key that no reader finds.
        let Ok(key) = entry.file_name().into_string() else { continue };
        if let Ok(value) = fs::read_to_string(target.join(&key)) {
            data.insert(key, value.into());
        }
    }
    Ok(Some(data))
}

/// Removes a target.
pub(super) fn remove_target(target: &Path) -> io::Result<()> {
    ignore_missing(fs::remove_dir_all(target))
}

pub(super) fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Puts a link in place of whatever is there, in one step.
fn link(folder: &Path, name: &str, to: &Path) -> io::Result<()> {
    let temporary = folder.join(format!("..{name}.{}", unique()));
    symlink(to, &temporary)?;
    let place = folder.join(name);
    if place.is_dir() && !place.is_symlink() {
        fs::remove_dir_all(&place)?;
    }
    fs::rename(&temporary, &place)
}

/// Drops keys that are no more, and what an interrupted write left behind.
fn drop_what_is_old(target: &Path, data: &Data, generation: &str) -> io::Result<()> {
    for entry in fs::read_dir(target)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name == DATA || name == generation || data.contains_key(name) {
            continue;
        }
        let path: PathBuf = entry.path();
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(path)?,
            false => fs::remove_file(path)?,
        }
    }
    Ok(())
}

fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A name that no earlier write has left behind.
fn unique() -> String {
    let mut bytes = [0_u8; 8];
    // Without randomness a collision fails the write by `create_new`, and harms nothing.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn data(pairs: &[(&str, &str)]) -> Data {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect()
    }

    fn read(target: &Path, key: &str) -> Option<String> {
        fs::read_to_string(target.join(key)).ok()
    }

    #[test]
    fn a_target_is_replaced_whole_and_old_keys_go() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("web/token");
        write_target(&target, &data(&[("a", "1"), ("b", "1")])).unwrap();
        write_target(&target, &data(&[("a", "2")])).unwrap();
        assert_eq!(read(&target, "a").as_deref(), Some("2"));
        assert_eq!(read(&target, "b"), None);
        let mut names: Vec<_> = fs::read_dir(&target)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 3, "one generation, ..data and a: {names:?}");
        let mode = fs::metadata(target.join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_an_interrupted_write_left_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("token");
        fs::create_dir_all(target.join("..half")).unwrap();
        fs::write(target.join("..half/a"), "x").unwrap();
        write_target(&target, &data(&[("a", "1")])).unwrap();
        assert!(!target.join("..half").exists());
        assert_eq!(read(&target, "a").as_deref(), Some("1"));
    }

    #[test]
    fn a_key_whose_link_is_gone_is_not_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("token");
        assert!(read_target(&target).unwrap().is_none());
        write_target(&target, &data(&[("a", "1"), ("b", "2")])).unwrap();
        fs::remove_file(target.join("a")).unwrap();
        let left = read_target(&target).unwrap().unwrap();
        assert_eq!(left.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn a_reader_never_sees_half_an_update() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("token");
        write_target(&target, &data(&[("a", "0"), ("b", "0")])).unwrap();
        let writer = {
            let target = target.clone();
            std::thread::spawn(move || {
                for n in 1..200 {
                    let n = n.to_string();
                    write_target(&target, &data(&[("a", &n), ("b", &n)])).unwrap();
                }
            })
        };
        while !writer.is_finished() {
            // One generation, opened once: both keys must be of it, or it is gone already.
            let generation = fs::read_link(target.join(DATA)).unwrap();
            let key = |key: &str| read(&target.join(&generation), key);
            if let (Some(a), Some(b)) = (key("a"), key("b")) {
                assert_eq!(a, b);
            }
            assert!(target.join("a").is_symlink());
        }
        writer.join().unwrap();
    }
}
