//! The directory edge: targets as folders, credentials from manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use kube::Resource;
use secrecy::SecretString;

use super::atomic::{ignore_missing, read_target, remove_target, write_file, write_target};
use super::{Source, is_segment};
use crate::act::{Edge, Kept, Otherwise, Restart, TargetWrite, Version, Writing};
use crate::api::annotations::{ISSUED_AT, OWNER, Owner};
use crate::api::{OAuthClientToken, ServiceAccountRef};
use crate::decide::{
    ControllerRef, FinalizerChange, Holder, Restarts, SecretKey, TargetMeta, holder, not_owned,
};
use crate::error::{Error, Reason};
use crate::oauth::Credentials;
use crate::render::Data;

/// Reads credentials from manifests and writes targets under OUT.
#[derive(Debug)]
pub struct LocalEdge {
    out: PathBuf,
    source: RwLock<Arc<Source>>,
}

impl LocalEdge {
    pub(super) fn new(out: PathBuf, source: Arc<Source>) -> Self {
        Self { out, source: RwLock::new(source) }
    }

    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    pub(super) fn source(&self) -> Arc<Source> {
        Arc::clone(&self.source.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn replace(&self, source: Arc<Source>) {
        *self.source.write().unwrap_or_else(PoisonError::into_inner) = source;
    }

    /// What can be said of a target without telling its values; `None` where nothing is there.
    pub(super) fn look(&self, key: &SecretKey) -> Result<Option<TargetMeta>, Error> {
        let folder = self.folder(key)?;
        let annotations: BTreeMap<String, String> = match fs::read(self.annotations_file(key)) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(read_failed(key, &error)),
        };
        let data = read_target(&folder).map_err(|error| read_failed(key, &error))?;
        if annotations.is_empty() && !folder.exists() {
            return Ok(None);
        }
        let present = data.unwrap_or_default().into_keys();
        Ok(Some(TargetMeta {
            labelled: true,
            // A folder has no ownerReference: the annotation speaks for both.
            controller: annotations.get(OWNER).and_then(|owner| Owner::parse(owner)).map(|owner| {
                ControllerRef {
                    api_version: OAuthClientToken::api_version(&()).into_owned(),
                    kind: owner.kind,
                    name: owner.name,
                    uid: owner.uid,
                }
            }),
            owned_keys: present.collect::<BTreeSet<_>>(),
            // Nor has it labels.
            owned_labels: None,
            owned_annotations: annotations.keys().cloned().collect(),
            annotations,
            ..TargetMeta::default()
        }))
    }

    fn folder(&self, key: &SecretKey) -> Result<PathBuf, Error> {
        if is_segment(&key.namespace) && is_segment(&key.name) {
            return Ok(self.out.join(&key.namespace).join(&key.name));
        }
        Err(Error::new(Reason::InvalidSpec, format!("{key} cannot be a folder's name")))
    }

    fn annotations_file(&self, key: &SecretKey) -> PathBuf {
        self.out.join(&key.namespace).join(format!("{}.json", key.name))
    }

    fn accounts_file(&self) -> PathBuf {
        self.out.join(".tokenward").join("accounts.json")
    }

    /// Whether a target holds the token that it held when the write was decided.
    fn is_as_it_was(&self, write: &TargetWrite) -> Result<bool, Error> {
        let found = self.look(&write.key)?;
        let issued_at = found.as_ref().and_then(|meta| meta.annotations.get(ISSUED_AT));
        Ok(issued_at.is_some() && issued_at == write.annotations.get(ISSUED_AT))
    }

    fn own(&self, key: &SecretKey, owner: &Owner) -> Result<Holder, Error> {
        Ok(self.look(key)?.map_or(Holder::Nobody, |meta| holder(&meta, owner)))
    }
}

impl Edge for LocalEdge {
    async fn credentials(&self, key: &SecretKey) -> Result<Credentials, Error> {
        self.source().credentials(key)
    }

    async fn service_account_token(
        &self,
        _: &str,
        account: &ServiceAccountRef,
    ) -> Result<SecretString, Error> {
        let message = format!(
            "spec.serviceAccountRef: a token of ServiceAccount {:?} is had from a cluster's API \
             server only, not by tokenward local",
            account.name
        );
        Err(Error::new(Reason::InvalidSpec, message))
    }

    async fn renewed(&self, credentials: &SecretKey) -> Result<Option<Kept>, Error> {
        self.renewed_of(credentials)
    }

    async fn keep(
        &self,
        credentials: &SecretKey,
        kept: &Kept,
        how: Writing,
    ) -> Result<Option<String>, Error> {
        self.keep_of(credentials, kept, how)
    }

    async fn accounts(&self) -> Result<(Version, Option<Vec<u8>>), Error> {
        match fs::read(self.accounts_file()) {
            Ok(text) => Ok((Version::default(), Some(text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((Version::default(), None)),
            Err(error) => Err(accounts_failed(Reason::ReadFailed, &error)),
        }
    }

    /// Nobody else writes it: OUT is locked.
    async fn keep_accounts(&self, _: &Version, text: &[u8]) -> Result<Option<Version>, Error> {
        let written = write_file(&self.accounts_file(), text);
        written.map_err(|error| accounts_failed(Reason::WriteFailed, &error))?;
        Ok(Some(Version::default()))
    }

    /// Nothing holds a manifest: that a token is gone from them is noticed afterwards.
    async fn change_finalizer(
        &self,
        _: &OAuthClientToken,
        _: FinalizerChange,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Nothing runs here that could be restarted.
    async fn restart(&self, wanted: Restart<'_>) -> Result<Restarts, Error> {
        let workload = wanted.workload;
        let remark = format!("spec.target.restart: {workload} is not restarted by tokenward local");
        Ok(Restarts::Done(Some(remark)))
    }

    /// Files are swapped for their readers at once.
    async fn nudge(&self, _: &SecretKey, _: DateTime<Utc>) -> Result<(), Error> {
        Ok(())
    }

    async fn inspect(&self, _: &SecretKey) -> Result<BTreeSet<String>, Error> {
        Ok(BTreeSet::new())
    }

    async fn write(&self, write: TargetWrite) -> Result<(), Error> {
        if let Holder::Another(whose) = self.own(&write.key, &write.owner)? {
            return Err(not_owned(&write.owner, (&write.key.name, &whose)));
        }
        if write.otherwise == Otherwise::LetBe && !self.is_as_it_was(&write)? {
            return Ok(());
        }
        let failed = |error: io::Error| {
            Error::new(Reason::WriteFailed, format!("{} could not be written: {error}", write.key))
        };
        let annotations =
            serde_json::to_vec_pretty(&write.annotations).map_err(|e| failed(e.into()))?;
        let (folder, file) = (self.folder(&write.key)?, self.annotations_file(&write.key));
        // A new folder is claimed first, so that a crash in between leaves nothing of nobody's.
        let is_new = !folder.exists();
        if is_new {
            let claim = BTreeMap::from([(OWNER, write.owner.to_string())]);
            let claim = serde_json::to_vec_pretty(&claim).map_err(|e| failed(e.into()))?;
            write_file(&file, &claim).map_err(failed)?;
        }
        write_target(&folder, &write.data).map_err(failed)?;
        write_file(&file, &annotations).map_err(failed)
    }

    async fn read(&self, key: &SecretKey, owner: &Owner) -> Result<Option<Data>, Error> {
        match self.own(key, owner)? {
            Holder::Us => read_target(&self.folder(key)?).map_err(|error| read_failed(key, &error)),
            _ => Ok(None),
        }
    }

    async fn leave(&self, key: &SecretKey, owner: &Owner) -> Result<(), Error> {
        if self.own(key, owner)? != Holder::Us {
            return Ok(());
        }
        let removed = remove_target(&self.folder(key)?)
            .and_then(|()| ignore_missing(fs::remove_file(self.annotations_file(key))));
        removed.map_err(|error| {
            Error::new(Reason::WriteFailed, format!("{key} could not be removed: {error}"))
        })
    }
}

fn accounts_failed(reason: Reason, error: &io::Error) -> Error {
    Error::new(reason, format!("OUT/.tokenward/accounts.json, which counts requests: {error}"))
}

fn read_failed(key: &SecretKey, error: &io::Error) -> Error {
    Error::new(Reason::ReadFailed, format!("{key} could not be read: {error}"))
}
