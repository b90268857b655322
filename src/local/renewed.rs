//! What was renewed of a credentials Secret, kept in a directory: `OUT/.tokenward/renewed/`.

use std::fs;
use std::io;
use std::path::PathBuf;

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::atomic::{rehearse_file, write_file};
use super::edge::LocalEdge;
use super::is_segment;
use crate::act::{Former, Kept, Writing};
use crate::api::Intent;
use crate::decide::SecretKey;
use crate::error::{Error, Reason};
use crate::oauth::Renewed;

/// Nobody else writes: there is one version only.
const ONLY: &str = "only";

/// Longer than anybody is waited for.
const HOURS: TimeDelta = TimeDelta::hours(1);

/// As it is written. It never leaves the state folder, which only its owner can read.
#[derive(Deserialize, Serialize)]
struct Written {
    seed: String,
    refresh_token: Option<String>,
    access_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    former: Option<Box<Written>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    intent: Option<Intent>,
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
        // One process works on OUT at a time: whoever else has noted an intent is gone.
        let intent =
            written.intent.clone().map(|intent| Intent { until: intent.at - HOURS, ..intent });
        let former = written.former.as_deref().map(Written::values);
        let Former { seed, renewed } = written.values();
        Ok(Some(Kept { seed, renewed, former, intent, version: Some(ONLY.to_owned()) }))
    }

    pub(super) fn keep_of(
        &self,
        credentials: &SecretKey,
        kept: &Kept,
        how: Writing,
    ) -> Result<Option<String>, Error> {
        let former = kept.former.as_ref().map(|former| Box::new(Written::of(former)));
        let values = Former { seed: kept.seed.clone(), renewed: kept.renewed.clone() };
        let intent = kept.intent.clone();
        let written = Written { former, intent, ..Written::of(&values) };
        let text = serde_json::to_vec(&written).map_err(io::Error::from);
        let done = text.and_then(|text| {
            let file = self.renewed_file(credentials).map_err(io::Error::other)?;
            match how {
                Writing::Real => write_file(&file, &text),
                Writing::Rehearsed => rehearse_file(&file, &text),
            }
        });
        done.map_err(|error| failed(Reason::WriteFailed, credentials, &error.to_string()))?;
        Ok(Some(ONLY.to_owned()))
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

impl Written {
    fn of(former: &Former) -> Self {
        let text = |secret: &Option<SecretString>| {
            secret.as_ref().map(|secret| secret.expose_secret().to_owned())
        };
        Self {
            seed: former.seed.clone(),
            refresh_token: text(&former.renewed.refresh_token),
            access_token: text(&former.renewed.access_token),
            former: None,
            intent: None,
        }
    }

    fn values(&self) -> Former {
        let secret = |text: &Option<String>| text.clone().map(SecretString::from);
        let renewed = Renewed {
            refresh_token: secret(&self.refresh_token),
            access_token: secret(&self.access_token),
        };
        Former { seed: self.seed.clone(), renewed }
    }
}

fn failed(reason: Reason, credentials: &SecretKey, what: &str) -> Error {
    Error::new(reason, format!("what the provider renewed of {credentials}: {what}"))
}
