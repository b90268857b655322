//! What was renewed of a credentials Secret, kept in a directory: `OUT/.tokenward/renewed/`.

use std::fs;
use std::io;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::atomic::write_file;
use super::edge::LocalEdge;
use super::is_segment;
use crate::act::Kept;
use crate::decide::SecretKey;
use crate::error::{Error, Reason};
use crate::oauth::Renewed;

/// As it is written. It never leaves the state folder, which only its owner can read.
#[derive(Deserialize, Serialize)]
struct Written {
    seed: String,
    refresh_token: Option<String>,
    access_token: Option<String>,
}

impl LocalEdge {
    pub(super) fn renewed_of(&self, credentials: &SecretKey) -> Result<Option<Kept>, Error> {
        let text = match fs::read(self.renewed_file(credentials)?) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(Reason::ReadFailed, credentials, &error.to_string())),
        };
        // Its error would quote the file.
        let written: Written = serde_json::from_slice(&text)
            .map_err(|_| failed(Reason::ReadFailed, credentials, "the file is damaged"))?;
        Ok(Some(Kept {
            seed: written.seed,
            renewed: Renewed {
                refresh_token: written.refresh_token.map(SecretString::from),
                access_token: written.access_token.map(SecretString::from),
            },
        }))
    }

    pub(super) fn keep_of(&self, credentials: &SecretKey, kept: &Kept) -> Result<(), Error> {
        let text = |secret: &Option<SecretString>| {
            secret.as_ref().map(|secret| secret.expose_secret().to_owned())
        };
        let written = Written {
            seed: kept.seed.clone(),
            refresh_token: text(&kept.renewed.refresh_token),
            access_token: text(&kept.renewed.access_token),
        };
        let text = serde_json::to_vec(&written).map_err(io::Error::from);
        text.and_then(|text| {
            let file = self.renewed_file(credentials).map_err(io::Error::other)?;
            write_file(&file, &text)
        })
        .map_err(|error| failed(Reason::WriteFailed, credentials, &error.to_string()))
    }

    fn renewed_file(&self, credentials: &SecretKey) -> Result<PathBuf, Error> {
        let SecretKey { namespace, name } = credentials;
        if is_segment(namespace) && is_segment(name) {
            let folder = self.out().join(".tokenward").join("renewed").join(namespace);
            return Ok(folder.join(format!("{name}.json")));
        }
        Err(Error::new(Reason::InvalidSpec, format!("{credentials} cannot be a file's name")))
    }
}

fn failed(reason: Reason, credentials: &SecretKey, what: &str) -> Error {
    Error::new(reason, format!("what the provider renewed of {credentials}: {what}"))
}
