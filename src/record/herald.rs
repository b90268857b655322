//! Events, filed one after the other behind everybody's back: nobody waits for an event, and thousands
//! that become due at once take nothing from the statuses and targets that people wait for.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_controller::events::{Event, EventRecorder};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{PartialObjectMeta, PartialObjectMetaExt};
use kube::runtime::events::{EventType, Reporter};
use kube::{Client, Resource};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tracing::warn;

use super::events::Notice;
use crate::api::MANAGER;
use crate::runtime::Lead;

/// Files events.
pub(super) struct Herald {
    events: Arc<EventRecorder>,
    told: UnboundedSender<Told>,
}

enum Told {
    Event(BoxFuture<'static, ()>),
    /// Whoever wants to know that all before it are filed.
    Listener(oneshot::Sender<()>),
}

impl Herald {
    /// A herald that files events as long as this process leads.
    pub(super) fn new(client: &Client, lead: Lead) -> Self {
        let reporter = Reporter { controller: MANAGER.to_owned(), instance: None };
        let events = Arc::new(EventRecorder::new(client.clone(), reporter));
        let (told, hears) = unbounded_channel();
        tokio::spawn(file(hears, lead));
        Self { events, told }
    }

    /// Has an event filed.
    pub(super) fn tell<K>(&self, token: &K, notice: Notice)
    where
        K: Resource<DynamicType = ()> + Send + Sync + 'static,
    {
        let event = Event {
            type_: if notice.trouble { EventType::Warning } else { EventType::Normal },
            reason: notice.reason,
            action: "Refresh".to_owned(),
            note: Some(notice.note),
            related: None,
        };
        let filed = publish(Arc::clone(&self.events), identity(token), event);
        // Whoever hears it lives as long as the process.
        let _ = self.told.send(Told::Event(Box::pin(filed)));
    }

    /// Waits until all that was told is filed, no longer than this.
    pub(super) async fn file_all(&self, patience: Duration) {
        let (done, filed) = oneshot::channel();
        let _ = self.told.send(Told::Listener(done));
        let _ = tokio::time::timeout(patience, filed).await;
    }

    /// Forgets what was told of an object that is gone.
    pub(super) fn forget<K: Resource<DynamicType = ()>>(&self, token: &K) {
        self.events.forget(token);
    }
}

/// What an event says of what it is about.
fn identity<K: Resource>(token: &K) -> PartialObjectMeta<K> {
    let meta = token.meta();
    let metadata = ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        ..ObjectMeta::default()
    };
    metadata.into_response_partial()
}

#[expect(clippy::manual_async_fn, reason = "that would hold what it is given twice")]
fn publish<K>(
    events: Arc<EventRecorder>,
    about: PartialObjectMeta<K>,
    event: Event,
) -> impl Future<Output = ()>
where
    K: Resource<DynamicType = ()>,
{
    async move {
        // In a box of its own: whoever waits for his turn takes no room for what comes then.
        if let Err(error) = Box::pin(events.publish(&about, &event)).await {
            // An event that cannot be filed changes nothing.
            warn!(%error, "an event could not be filed");
        }
        // Trouble may come again within minutes and is counted; of what is well nothing need be
        // remembered.
        if matches!(event.type_, EventType::Normal) {
            events.forget(&about);
        }
    }
}

async fn file(mut hears: UnboundedReceiver<Told>, lead: Lead) {
    while let Some(told) = hears.recv().await {
        match told {
            Told::Event(filed) if lead.holds() => filed.await,
            Told::Event(_) => {}
            Told::Listener(listener) => drop(listener.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::OAuthClientToken;

    /// Of many tokens that are new, most have one that waits for its turn.
    #[test]
    fn an_event_that_waits_takes_little() {
        fn size<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
            size_of::<F>()
        }
        let waiting = size(publish::<OAuthClientToken>);
        assert!(waiting <= 1 << 10, "{waiting}");
    }
}
