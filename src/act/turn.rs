//! A request's way to its provider: its place, its count, and what its answer means for others.

use std::sync::Arc;

use chrono::TimeDelta;
use tokio::select;
use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument;

use super::accounts::{Application, Load, Pass};
use super::ask::Asked;
use super::book::Refusal;
use super::supply::renewed_of;
use super::{Case, Edge, Engine};
use crate::api::OAuthClientToken;
use crate::decide::{Caller, DEFAULT_QUOTA, FetchOrder, HeldBack, Lane, Quota, Urgency, silence};
use crate::spans::step;
use crate::watch::Materials;

/// What lets a token ask its provider. Dropped, it is free for the next.
pub struct Place {
    /// No other token asks with the same credentials, where a request uses them up.
    pub(super) alone: Option<OwnedSemaphorePermit>,
    /// `None` where nobody is asked.
    pub(super) pass: Option<Pass>,
}

/// What came of waiting for a place.
pub enum Entry {
    /// There is one.
    Open(Place),
    /// Not yet.
    HeldBack,
    /// Nobody wants one any more: there is news, or the engine is stopping.
    Over,
}

impl<E: Edge> Engine<E> {
    /// Why a token's provider is not asked yet, where that was told it.
    pub fn holds_back(
        &self,
        token: &OAuthClientToken,
        materials: Option<&Materials>,
    ) -> Option<HeldBack> {
        let application = self.application(token, materials?, Urgency::First)?;
        let namespace = &application.caller.namespace;
        if materials?.is_shared(namespace) {
            self.accounts.with(&application, |account, now| account.note_user(namespace, now));
        }
        self.accounts.holds_back(&application)
    }

    /// How things stand at the providers.
    pub fn load(&self) -> Vec<Load> {
        self.accounts.load()
    }

    /// Waits for a place at the provider, to carry out this order. Thousands may wait at once, so what
    /// waits holds nothing of the case.
    pub fn queue(
        &self,
        case: &Case,
        order: &FetchOrder,
    ) -> impl Future<Output = Entry> + Send + use<'_, E> {
        let good = order.held.as_ref().filter(|_| !order.without_target);
        let urgency = good.map_or(Urgency::First, |held| Urgency::Refresh(held.expires_at));
        let materials = case.materials.as_ref();
        let credentials = materials.and_then(renewed_of).cloned();
        let application = materials
            .and_then(|materials| self.application(&case.snapshot.token, materials, urgency));
        let (application, news) = (application.map(Arc::new), case.news.clone());
        let enter = async move {
            let alone = match credentials {
                Some(credentials) => self.gates.alone_with(&credentials).await,
                None => None,
            };
            let Some(application) = application else {
                return Entry::Open(Place { alone, pass: None });
            };
            Box::pin(self.accounts.remember(&self.edge)).await;
            match self.accounts.enter(application).await {
                Ok(pass) => Entry::Open(Place { alone, pass: Some(pass) }),
                Err(_) => Entry::HeldBack,
            }
        };
        async move {
            let entry = enter.instrument(step("queue"));
            select! {
                biased;
                () = self.over.cancelled() => Entry::Over,
                () = news.cancelled() => Entry::Over,
                entry = entry => entry,
            }
        }
    }

    /// Counts a request that is about to be made.
    pub(super) async fn charge(&self, pass: Option<&Pass>) -> Result<(), Refusal> {
        match pass {
            Some(pass) => self.accounts.spend(&self.edge, pass).await,
            None => Ok(()),
        }
    }

    /// Whether the same place may be used to ask once more, with something else.
    pub(super) async fn may_ask_again(&self, pass: Option<&Pass>) -> bool {
        match pass {
            Some(pass) => pass.begin_again() && self.accounts.spend(&self.edge, pass).await.is_ok(),
            None => true,
        }
    }

    /// Tells all that share the account what came of a request.
    pub(super) async fn tell_account(&self, pass: Option<&Pass>, asked: &Asked) {
        let Some(pass) = pass else { return };
        let error = asked.issued.as_ref().and_then(|issued| issued.as_ref().err());
        if let Some(until) = pass.answered(asked.health, error.and_then(silence)) {
            self.accounts.keep_silence(&self.edge, (&pass.application, until)).await;
        }
    }

    /// `None` where nobody is asked.
    fn application(
        &self,
        token: &OAuthClientToken,
        materials: &Materials,
        urgency: Urgency,
    ) -> Option<Application> {
        let origin = materials.endpoint.origin()?.origin().ascii_serialization();
        let namespace = token.metadata.namespace.clone().unwrap_or_default();
        let whose = match (&materials.credentials, &materials.service_account) {
            (Some(source), _) => format!("Secret {}", source.secret),
            (None, Some(account)) => format!("ServiceAccount {namespace}/{}", account.name),
            (None, None) => format!("namespace {namespace}"),
        };
        let account = self.digester.account(&origin, &whose);
        let caller = Caller {
            token: token.metadata.uid.clone().unwrap_or_default(),
            namespace: namespace.clone(),
            urgency,
            quotas: quotas(materials),
        };
        Some(Application { origin, lane: Lane { account, namespace }, caller })
    }
}

/// What the document says, and what is usual.
fn quotas(materials: &Materials) -> Vec<Quota> {
    let said = materials.endpoint.requests_per();
    let own = said.iter().filter_map(|(length, requests)| {
        Some(Quota { window: TimeDelta::from_std(*length).ok()?, requests: *requests })
    });
    let mut quotas: Vec<Quota> = own.collect();
    if !quotas.iter().any(|quota| quota.window == DEFAULT_QUOTA.window) {
        quotas.push(DEFAULT_QUOTA);
    }
    quotas.retain(|quota| quota.requests > 0);
    quotas
}

impl Materials {
    /// Whether others may ask with the same credentials: the platform's.
    fn is_shared(&self, namespace: &str) -> bool {
        self.credentials.as_ref().is_some_and(|source| source.secret.namespace != namespace)
    }
}
