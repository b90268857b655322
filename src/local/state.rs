//! What is remembered from one run to the next: `OUT/.tokenward/`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretBox};
use serde::{Deserialize, Serialize};

use super::atomic::{ignore_missing, make_folder, write_file};
use super::is_segment;
use crate::api::OAuthClientTokenStatus;
use crate::decide::SecretKey;
use crate::oauth::KEY_LENGTH;
use crate::runtime::new_key;

/// The state folder, readable by its owner only.
#[derive(Debug)]
pub(super) struct State {
    folder: PathBuf,
    /// Held as long as the process works on OUT.
    _lock: File,
}

/// What is remembered of one token: its status, as the cluster would hold it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Remembered {
    pub(super) status: OAuthClientTokenStatus,
}

impl State {
    /// Opens the state folder of OUT, and makes it the first time.
    pub(super) fn open(out: &Path) -> io::Result<Self> {
        let folder = out.join(".tokenward");
        make_folder(&folder, 0o700)?;
        let lock = File::create(folder.join("lock"))?;
        lock.try_lock().map_err(|_| {
            io::Error::new(io::ErrorKind::WouldBlock, "another tokenward works on this directory")
        })?;
        Ok(Self { folder, _lock: lock })
    }

    /// The digest key, made the first time.
    pub(super) fn key(&self) -> Result<SecretBox<[u8; KEY_LENGTH]>, String> {
        let path = self.folder.join("key");
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        match fs::read(&path) {
            Ok(bytes) => {
                let key: [u8; KEY_LENGTH] = bytes.try_into().map_err(|_| {
                    format!(
                        "{} is not a {KEY_LENGTH}-byte key: delete it, and a new one is made",
                        path.display()
                    )
                })?;
                Ok(SecretBox::new(Box::new(key)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = new_key()?;
                write_file(&path, key.expose_secret()).map_err(failed)?;
                Ok(key)
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// What is remembered of a token. What cannot be read is as good as nothing: the target's own
    /// annotations say what matters.
    pub(super) fn recall(&self, token: &SecretKey) -> OAuthClientTokenStatus {
        let text = fs::read(self.file(token)).unwrap_or_default();
        serde_json::from_slice::<Remembered>(&text).unwrap_or_default().status
    }

    /// Remembers a token.
    pub(super) fn remember(
        &self,
        token: &SecretKey,
        status: &OAuthClientTokenStatus,
    ) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&Remembered { status: status.clone() })?;
        write_file(&self.file(token), &text)
    }

    /// Forgets a token that is gone.
    pub(super) fn forget(&self, token: &SecretKey) -> io::Result<()> {
        ignore_missing(fs::remove_file(self.file(token)))
    }

    fn file(&self, token: &SecretKey) -> PathBuf {
        debug_assert!(is_segment(&token.namespace) && is_segment(&token.name));
        self.folder.join("tokens").join(&token.namespace).join(format!("{}.json", token.name))
    }
}
