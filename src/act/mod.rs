//! Doing what a plan says, and nothing else. What differs between a cluster and a directory is
//! behind [`Edge`]; the rest is the same for both.

mod accounts;
mod ask;
mod book;
mod cluster;
mod cluster_accounts;
mod copies;
mod discovery;
mod engine;
mod finalizer;
mod gates;
mod kept;
mod publish;
mod rehearsal;
mod renewal;
mod retired;
mod retyped;
mod revocation;
mod rollout;
mod service_account;
mod spend;
mod supply;
mod target;
mod turn;
mod witness;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

pub use accounts::Load;
pub use book::Version;
pub use cluster::ClusterEdge;
pub use copies::Spread;
pub use engine::{Engine, Tools};
pub(crate) use finalizer::change_finalizers;
pub use rehearsal::Rehearsal;
pub use renewal::{Former, Kept, Renewals, Writing};
pub use rollout::Restart;
pub use turn::{Entry, Place};
pub use witness::{Exchange, Witness};

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::api::annotations::Owner;
use crate::api::{
    CreationPolicy, DeletionPolicy, OAuthClientToken, PRIVILEGED_SECRET_TYPES, ServiceAccountRef,
};
use crate::decide::{FinalizerChange, Outline, Restarts, SecretKey, Snapshot, TargetMeta};
use crate::error::{Error, Reason};
use crate::oauth::Credentials;
use crate::render::{Data, Shape};
use crate::watch::Materials;

/// One token at one moment, with what it takes to act for it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What the decision is made from.
    pub snapshot: Snapshot,
    /// What a token request is made from; `None` where the snapshot has no means.
    pub materials: Option<Materials>,
    /// How the target is to be filled, or why that cannot be said.
    pub shape: Result<Shape, Error>,
    /// Tells that all this may have changed: nobody waits for it any longer.
    pub news: CancellationToken,
}

/// What a decision needs to know of a shape.
pub(crate) fn outline(shape: &Result<Shape, Error>) -> Result<Outline, Error> {
    shape.as_ref().map(Shape::outline).map_err(Clone::clone)
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
    /// How it belongs to them.
    pub policies: (CreationPolicy, DeletionPolicy),
    /// Its type, where it is said; it stays as it is where not.
    pub type_: Option<String>,
    /// Its labels, beside the one that every target of ours has.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its data.
    pub data: Data,
    /// The target as it was when this was decided.
    pub seen: Option<TargetMeta>,
    /// What to do where it is not so any more.
    pub otherwise: Otherwise,
}

/// What becomes of a write whose target is not as it was when that was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It is looked at again, and written if it still may be: a new token is worth it.
    LookAgain,
    /// It is let be; the next decision sees what it is.
    LetBe,
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

    /// Keeps what was renewed of a credentials Secret, in place of the very version that it tells:
    /// once this is done, it outlives the process. Answers with the new version; `None` where
    /// somebody was faster.
    fn keep(
        &self,
        credentials: &SecretKey,
        kept: &Kept,
        how: Writing,
    ) -> impl Future<Output = Result<Option<String>, Error>> + Send;

    /// What was written down of accounts at providers, nothing of it secret, and its version.
    fn accounts(&self) -> impl Future<Output = Result<(Version, Option<Vec<u8>>), Error>> + Send;

    /// Writes that down, in the place of this version and of no other: `None` where there is
    /// another. Once this is done, it outlives the process.
    fn keep_accounts(
        &self,
        before: &Version,
        text: &[u8],
    ) -> impl Future<Output = Result<Option<Version>, Error>> + Send;

    /// Sets or removes the finalizer of a resource.
    fn change_finalizer(
        &self,
        token: &OAuthClientToken,
        change: FinalizerChange,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Restarts a workload that reads a target, unless it was restarted since the token changed.
    fn restart(&self, wanted: Restart<'_>) -> impl Future<Output = Result<Restarts, Error>> + Send;

    /// Makes the pods that mount a target look at it at once.
    fn nudge(
        &self,
        target: &SecretKey,
        now: DateTime<Utc>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Whether a target may be written to, as far as its metadata does not tell, and the keys that
    /// it has.
    fn inspect(
        &self,
        key: &SecretKey,
    ) -> impl Future<Output = Result<BTreeSet<String>, Error>> + Send;

    /// Writes a target: a new one only where there is none, an old one only as long as it is the
    /// owner's, or lets its keys in.
    fn write(&self, write: TargetWrite) -> impl Future<Output = Result<(), Error>> + Send;

    /// Reads the data of a target that is the owner's, or its keys in somebody else's; `None`
    /// where there are none.
    fn read(
        &self,
        key: &SecretKey,
        owner: &Owner,
    ) -> impl Future<Output = Result<Option<Data>, Error>> + Send;

    /// Removes a target that is the owner's, or its keys from somebody else's.
    fn leave(
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
