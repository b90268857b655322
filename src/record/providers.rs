//! The status of providers: whether their document can be used, and by how many tokens it is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use tokio::sync::Notify;
use tracing::warn;

use crate::api::conditions::{self, Holds, READY, Stamp, Verdict};
use crate::api::{ClusterOAuthProvider, MANAGER, OAuthProvider, ProviderKind, ProviderStatus};
use crate::clock::Clock;
use crate::error::Error;
use crate::runtime::{ApiError, Lead, in_time};
use crate::watch::{Caches, Version, in_order};

/// The number of tokens is written at most this often.
const COUNT_INTERVAL: TimeDelta = TimeDelta::seconds(60);
/// Changes that come together are looked at together.
const GATHER: Duration = Duration::from_millis(200);
/// Tokens that are counted before others get a turn.
const AT_A_TIME: usize = 64;

/// Keeps the status of providers.
pub struct ProviderRecorder {
    client: Client,
    lead: Lead,
    clock: Clock,
    changed: Arc<Notify>,
    written: Mutex<HashMap<String, (DateTime<Utc>, ProviderStatus)>>,
}

/// One provider, whatever its kind.
struct Subject<'a> {
    kind: ProviderKind,
    namespace: Option<String>,
    name: String,
    uid: String,
    generation: Option<i64>,
    /// What is wrong with its document.
    error: Option<Error>,
    status: Option<&'a ProviderStatus>,
}

impl ProviderRecorder {
    /// A recorder that looks again whenever `changed` is notified, and writes while this process
    /// leads.
    pub fn new((client, lead): (Client, Lead), clock: Clock, changed: Arc<Notify>) -> Self {
        Self { client, lead, clock, changed, written: Mutex::default() }
    }

    /// Writes statuses for ever.
    pub async fn run(self, caches: Arc<Caches>) {
        loop {
            let pending = self.pass(&caches).await;
            let changed = self.changed.notified();
            match pending {
                // A count that was held back is written when its minute is over.
                true => {
                    let interval = COUNT_INTERVAL.to_std().unwrap_or_default();
                    let _ = tokio::time::timeout(interval, changed).await;
                }
                false => changed.await,
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    /// Looks at every provider once. Tells whether something was held back.
    async fn pass(&self, caches: &Caches) -> bool {
        let mut users: HashMap<(ProviderKind, String, String), i32> = HashMap::new();
        for (number, token) in caches.tokens().each().enumerate() {
            if number % AT_A_TIME == AT_A_TIME - 1 {
                tokio::task::yield_now().await;
            }
            let reference = &token.spec.provider_ref;
            let namespace = match reference.kind {
                ProviderKind::OAuthProvider => token.namespace().unwrap_or_default(),
                ProviderKind::ClusterOAuthProvider => String::new(),
            };
            *users.entry((reference.kind, namespace, reference.name.clone())).or_default() += 1;
        }
        for token in caches.cluster_tokens().state() {
            let name = token.spec.provider_ref.name.clone();
            let provider = (ProviderKind::ClusterOAuthProvider, String::new(), name);
            *users.entry(provider).or_default() += 1;
        }
        let (namespaced, cluster) =
            (in_order(caches.providers().state()), in_order(caches.cluster_providers().state()));
        let endpoints = caches.endpoints();
        let namespaced = namespaced.iter().map(|provider| {
            let version = Version::of(&**provider, ProviderKind::OAuthProvider);
            let error = endpoints.get(&version, &provider.spec.document).err();
            subject(&**provider, version.kind, (error, provider.status.as_ref()))
        });
        let cluster = cluster.iter().map(|provider| {
            let version = Version::of(&**provider, ProviderKind::ClusterOAuthProvider);
            let error = endpoints.get(&version, &provider.spec.document).err();
            subject(&**provider, version.kind, (error, provider.status.as_ref()))
        });
        let mut pending = false;
        let mut present = Vec::new();
        for subject in namespaced.chain(cluster) {
            let namespace = subject.namespace.clone().unwrap_or_default();
            let key = (subject.kind, namespace, subject.name.clone());
            pending |= self.look(&subject, users.get(&key).copied().unwrap_or_default()).await;
            present.push(subject.uid);
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|uid, _| present.contains(uid));
        pending
    }

    async fn look(&self, subject: &Subject<'_>, tokens: i32) -> bool {
        let now = self.clock.now();
        let before =
            self.written.lock().unwrap_or_else(PoisonError::into_inner).get(&subject.uid).cloned();
        let (at, before) = before
            .unwrap_or_else(|| (DateTime::UNIX_EPOCH, subject.status.cloned().unwrap_or_default()));
        let next = status(subject, tokens, (&before, now));
        if next == before {
            return false;
        }
        let only_the_count = ProviderStatus { tokens: before.tokens, ..next.clone() } == before;
        if only_the_count && now - at < COUNT_INTERVAL {
            return true;
        }
        if !self.lead.holds() {
            return false;
        }
        let written = tokio::select! {
            written = self.write(subject, &next) => written,
            () = self.lead.ended() => return false,
        };
        match written {
            Ok(()) => {
                let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
                written.insert(subject.uid.clone(), (now, next));
                false
            }
            Err(error) => {
                warn!(provider = subject.name, %error, "a provider's status could not be written");
                true
            }
        }
    }

    async fn write(&self, subject: &Subject<'_>, status: &ProviderStatus) -> Result<(), ApiError> {
        let body = json!({
            "apiVersion": "tokenward.dev/v1alpha1",
            "kind": subject.kind.as_str(),
            "metadata": {"name": subject.name, "uid": subject.uid},
            "status": status,
        });
        let parameters = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(&body);
        let client = self.client.clone();
        let written = async {
            if let Some(namespace) = &subject.namespace {
                let api: Api<OAuthProvider> = Api::namespaced(client, namespace);
                api.patch_status(&subject.name, &parameters, &patch).await.map(drop)
            } else {
                let api: Api<ClusterOAuthProvider> = Api::all(client);
                api.patch_status(&subject.name, &parameters, &patch).await.map(drop)
            }
        };
        match in_time(written).await {
            Ok(()) => Ok(()),
            // Gone meanwhile.
            Err(ApiError::Refused(status)) if status.is_not_found() || status.is_conflict() => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn subject<'a, K: Resource>(
    provider: &K,
    kind: ProviderKind,
    (error, status): (Option<Error>, Option<&'a ProviderStatus>),
) -> Subject<'a> {
    Subject {
        kind,
        namespace: provider.namespace(),
        name: provider.name_any(),
        uid: provider.uid().unwrap_or_default(),
        generation: provider.meta().generation,
        error,
        status,
    }
}

fn status(
    subject: &Subject<'_>,
    tokens: i32,
    (before, now): (&ProviderStatus, DateTime<Utc>),
) -> ProviderStatus {
    let verdict = verdict(subject.error.clone());
    let mut status = before.clone();
    let stamp = Stamp { now, generation: subject.generation };
    conditions::set(&mut status.conditions, READY, verdict, stamp);
    ProviderStatus { observed_generation: subject.generation, tokens, ..status }
}

fn verdict(error: Option<Error>) -> Verdict {
    match error {
        None => Verdict::new(Holds::Yes, "DocumentComplete", "the document is complete"),
        Some(error) => Verdict::new(Holds::No, error.reason().as_str(), error.message()),
    }
}
