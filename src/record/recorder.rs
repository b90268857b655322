//! Status and events of tokens, written to the API server.

use k8s_controller::events::{Event, EventRecorder};
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{EventType, Reporter};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use super::events::{Notice, notices};
use super::status::Transition;
use crate::api::{
    ClusterOAuthClientToken, ClusterOAuthClientTokenStatus, MANAGER, OAuthClientToken,
};
use crate::error::{Error, Reason};
use crate::runtime::{ApiError, Lead, in_time, names_uid};

/// Requests under way at once. They have places of their own: what is told of tokens holds up no
/// token, and is not held up by them.
const IN_FLIGHT: usize = 16;

/// Writes status and events.
pub struct Recorder {
    client: Client,
    in_flight: Semaphore,
    events: EventRecorder,
    lead: Lead,
}

impl Recorder {
    /// A recorder that reports as tokenward, as long as this process leads: after that, how a token
    /// stands is for another one to tell.
    pub fn new(client: Client, lead: Lead) -> Self {
        let reporter = Reporter { controller: MANAGER.to_owned(), instance: None };
        let events = EventRecorder::new(client.clone(), reporter);
        Self { client, in_flight: Semaphore::new(IN_FLIGHT), events, lead }
    }

    /// Writes a token's status, and events for what changed.
    pub async fn record(
        &self,
        token: &OAuthClientToken,
        Transition { before, after }: Transition<'_>,
    ) -> Result<(), Error> {
        let namespace = token.metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::namespaced(self.client.clone(), namespace);
        if !self.leads_after(write(&api, token, after)).await? {
            return Ok(());
        }
        for notice in notices(&before.conditions, &after.conditions) {
            self.tell(token, notice).await;
        }
        Ok(())
    }

    /// Writes a cluster token's status, and events for what changed.
    pub async fn record_cluster(
        &self,
        token: &ClusterOAuthClientToken,
        (before, after): (&ClusterOAuthClientTokenStatus, &ClusterOAuthClientTokenStatus),
    ) -> Result<(), Error> {
        let api = Api::all(self.client.clone());
        if !self.leads_after(write(&api, token, after)).await? {
            return Ok(());
        }
        for notice in notices(&before.grant.conditions, &after.grant.conditions) {
            self.tell(token, notice).await;
        }
        Ok(())
    }

    /// Writes while this process leads: what is still under way when another may is given up. Tells
    /// whether it was written, and there is still something to tell.
    async fn leads_after(
        &self,
        written: impl Future<Output = Result<(), Error>>,
    ) -> Result<bool, Error> {
        if !self.lead.holds() {
            return Ok(false);
        }
        let written = async {
            let _place = self.in_flight.acquire().await;
            written.await
        };
        tokio::select! {
            written = written => written.map(|()| self.lead.holds()),
            () = self.lead.ended() => Ok(false),
        }
    }

    /// Forgets what was told of a token that is gone.
    pub fn forget<K: Resource<DynamicType = ()>>(&self, token: &K) {
        self.events.forget(token);
    }

    /// An event that cannot be filed changes nothing.
    async fn tell<K: Resource<DynamicType = ()>>(&self, token: &K, notice: Notice) {
        let event = Event {
            type_: if notice.trouble { EventType::Warning } else { EventType::Normal },
            reason: notice.reason,
            action: "Refresh".to_owned(),
            note: Some(notice.note),
            related: None,
        };
        let _place = self.in_flight.acquire().await;
        if let Err(error) = self.events.publish(token, &event).await {
            warn!(%error, "an event could not be filed");
        }
    }
}

async fn write<K>(api: &Api<K>, token: &K, status: &impl Serialize) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let meta = token.meta();
    let name = meta.name.as_deref().unwrap_or_default();
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name, "uid": meta.uid},
        "status": status,
    });
    // Applied, so that a field that is left out goes.
    let parameters = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(&body);
    let written = api.patch_status(name, &parameters, &patch);
    match in_time(written).await {
        Ok(_) => Ok(()),
        // Deleted meanwhile, or deleted and made again: its successor has its own status.
        Err(ApiError::Refused(status))
            if status.is_not_found() || status.is_conflict() || names_uid(&status) =>
        {
            debug!(name, code = status.code, "the token is gone, its status is not written");
            Ok(())
        }
        Err(error) => {
            let message = format!("the status could not be written: {error}");
            Err(Error::new(Reason::WriteFailed, message))
        }
    }
}
