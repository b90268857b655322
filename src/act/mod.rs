//! Doing what a plan says, and nothing else. What differs between a cluster and a directory is
//! behind [`Edge`]; the rest is the same for both.

mod ask;
mod cluster;
mod copies;
mod discovery;
mod engine;
mod finalizer;
mod gates;
mod kept;
mod rehearsal;
mod renewal;
mod retired;
mod revocation;
mod service_account;
mod supply;
mod witness;

use std::collections::BTreeMap;
use std::future::Future;

pub use cluster::ClusterEdge;
pub use copies::Spread;
pub use engine::{Engine, Tools};
pub(crate) use finalizer::change_finalizers;
pub use rehearsal::Rehearsal;
pub use renewal::Kept;
pub use witness::{Exchange, Witness};

use secrecy::SecretString;

use crate::api::annotations::Owner;
use crate::api::{OAuthClientToken, PRIVILEGED_SECRET_TYPES, ServiceAccountRef};
use crate::decide::{FinalizerChange, SecretKey, Snapshot, TargetMeta};
use crate::error::{Error, Reason};
use crate::oauth::Credentials;
use crate::render::Data;
use crate::watch::Materials;

/// One token at one moment, with what it takes to act for it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What the decision is made from.
    pub snapshot: Snapshot,
    /// What a token request is made from; `None` where the snapshot has no means.
    pub materials: Option<Materials>,
}

impl Case {
    /// The target Secret.
    pub fn target_key(&self) -> SecretKey {
        self.secret_key(self.snapshot.secret_name())
    }

    /// A Secret where the target is.
    pub(crate) fn secret_key(&self, name: &str) -> SecretKey {
        SecretKey { namespace: self.snapshot.namespace().to_owned(), name: name.to_owned() }
    }
}

/// A target as it ought to be.
#[derive(Debug)]
pub struct TargetWrite {
    /// Where.
    pub key: SecretKey,
    /// Whose.
    pub owner: Owner,
    /// Our annotations.
    pub annotations: BTreeMap<&'static str, String>,
    /// Its data.
    pub data: Data,
    /// The target as it was when this was decided.
    pub seen: Option<TargetMeta>,
}

/// Where tokens are written to and credentials come from.
pub trait Edge: Send + Sync + 'static {
    /// Reads credential values.
    fn credentials(
        &self,
        key: &SecretKey,
    ) -> impl Future<Output = Result<Credentials, Error>> + Send;

    /// Asks for a short-lived token of a ServiceAccount.
    fn service_account_token(
        &self,
        namespace: &str,
        account: &ServiceAccountRef,
    ) -> impl Future<Output = Result<SecretString, Error>> + Send;

    /// What was renewed of a credentials Secret, where it was kept.
    fn renewed(
        &self,
        credentials: &SecretKey,
    ) -> impl Future<Output = Result<Option<Kept>, Error>> + Send;

    /// Keeps what was renewed of a credentials Secret: once this is done, it outlives the process.
    fn keep(
        &self,
        credentials: &SecretKey,
        kept: &Kept,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Sets or removes the finalizer of a resource.
    fn change_finalizer(
        &self,
        token: &OAuthClientToken,
        change: FinalizerChange,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Whether a target whose owner consents is of a kind that may be taken over.
    fn may_adopt(&self, key: &SecretKey) -> impl Future<Output = Result<(), Error>> + Send;

    /// Writes a target: a new one only where there is none, an old one only as long as it is the
    /// owner's.
    fn write(&self, write: TargetWrite) -> impl Future<Output = Result<(), Error>> + Send;

    /// Reads the data of a target that is the owner's; `None` where there is no such target.
    fn read(
        &self,
        key: &SecretKey,
        owner: &Owner,
    ) -> impl Future<Output = Result<Option<Data>, Error>> + Send;

    /// Removes a target that is the owner's.
    fn remove(
        &self,
        key: &SecretKey,
        owner: &Owner,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Refuses Secrets whose type gives power beyond their data.
pub(crate) fn refuse_privileged_type(key: &SecretKey, type_: Option<&str>) -> Result<(), Error> {
    match type_ {
        Some(type_) if PRIVILEGED_SECRET_TYPES.contains(&type_) => Err(Error::new(
            Reason::SecretTypeNotAllowed,
            format!("Secret {key} is of type {type_}, which tokenward neither reads nor writes"),
        )),
        _ => Ok(()),
    }
}
