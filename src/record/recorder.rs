//! Status and events of tokens, written to the API server.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, HeaderValue};
use kube::api::{Patch, PatchParams, Request};
use kube::{Client, Resource};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;
use tracing::debug;

use super::Written;
use super::events::notices;
use super::herald::Herald;
use super::status::Transition;
use crate::api::{
    ClusterOAuthClientToken, ClusterOAuthClientTokenStatus, MANAGER, OAuthClientToken,
};
use crate::error::{Error, Reason};
use crate::runtime::{Access, ApiError, Lead, in_time, names_uid};

/// Statuses under way at once that tell of no new token. They have places of their own: thousands
/// that say that they wait hold up no token, and are not held up by them.
const REMARKS: usize = 16;

/// What an answer to a status is to consist of: we know the rest.
const METADATA: HeaderValue =
    HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");

/// Such an answer, as far as it is of interest.
#[derive(Deserialize)]
struct Answer {
    metadata: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    resource_version: Option<String>,
}

/// Writes status and events.
pub struct Recorder {
    client: Client,
    deliveries: Arc<Semaphore>,
    remarks: Semaphore,
    herald: Herald,
    lead: Lead,
}

impl Recorder {
    /// A recorder that reports as tokenward, as long as this process leads: after that, how a token
    /// stands is for another one to tell.
    pub fn new(access: &Access, lead: Lead) -> Self {
        let client = access.client.clone();
        let herald = Herald::new(&client, lead.clone());
        let deliveries = Arc::clone(&access.places);
        Self { client, deliveries, remarks: Semaphore::new(REMARKS), herald, lead }
    }

    /// Writes a token's status, and events for what changed.
    pub async fn record(
        &self,
        token: &OAuthClientToken,
        Transition { before, after }: Transition<'_>,
    ) -> Result<Written, Error> {
        let places = if before.token == after.token { &self.remarks } else { &self.deliveries };
        let written = self.write(places, (token, after)).await?;
        if written != Written::Not && self.lead.holds() {
            for notice in notices(&before.conditions, &after.conditions) {
                self.herald.tell(token, notice);
            }
        }
        Ok(written)
    }

    /// Writes a cluster token's status, and events for what changed.
    pub async fn record_cluster(
        &self,
        token: &ClusterOAuthClientToken,
        (before, after): (&ClusterOAuthClientTokenStatus, &ClusterOAuthClientTokenStatus),
    ) -> Result<(), Error> {
        if self.write(&self.remarks, (token, after)).await? == Written::Not {
            return Ok(());
        }
        if self.lead.holds() {
            for notice in notices(&before.grant.conditions, &after.grant.conditions) {
                self.herald.tell(token, notice);
            }
        }
        Ok(())
    }

    /// Writes while this process leads: what is still under way when another may is given up.
    async fn write<K: Resource<DynamicType = ()>>(
        &self,
        places: &Semaphore,
        (token, status): (&K, &impl Serialize),
    ) -> Result<Written, Error> {
        if !self.lead.holds() {
            return Ok(Written::Not);
        }
        let written = async {
            let _place = places.acquire().await;
            // In a box of its own: whoever waits for a place takes no room for what comes then.
            Box::pin(write(&self.client, token, status)).await
        };
        tokio::select! {
            written = written => written,
            () = self.lead.ended() => Ok(Written::Not),
        }
    }

    /// Waits until all events are filed, no longer than this.
    pub async fn file_events(&self, patience: Duration) {
        self.herald.file_all(patience).await;
    }

    /// Forgets what was told of a token that is gone.
    pub fn forget<K: Resource<DynamicType = ()>>(&self, token: &K) {
        self.herald.forget(token);
    }
}

async fn write<K>(client: &Client, token: &K, status: &impl Serialize) -> Result<Written, Error>
where
    K: Resource<DynamicType = ()>,
{
    let meta = token.meta();
    let name = meta.name.as_deref().unwrap_or_default();
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name, "uid": meta.uid},
        "status": status,
    });
    let all = Request::new(K::url_path(&(), meta.namespace.as_deref()));
    // Applied, so that a field that is left out goes.
    let parameters = PatchParams::apply(MANAGER).force();
    let patch = all.patch_subresource("status", name, &parameters, &Patch::Apply(&body));
    let written = async {
        let mut patch = patch.map_err(kube::Error::BuildRequest)?;
        patch.headers_mut().insert(ACCEPT, METADATA);
        client.request::<Answer>(patch).await
    };
    match in_time(written).await {
        Ok(Answer { metadata: Version { resource_version } }) => {
            Ok(Written::Watched(resource_version.and_then(|version| version.parse().ok())))
        }
        // Deleted meanwhile, or deleted and made again: its successor has its own status.
        Err(ApiError::Refused(status))
            if status.is_not_found() || status.is_conflict() || names_uid(&status) =>
        {
            debug!(name, code = status.code, "the token is gone, its status is not written");
            Ok(Written::Not)
        }
        Err(error) => {
            let message = format!("the status could not be written: {error}");
            Err(Error::new(Reason::WriteFailed, message))
        }
    }
}
