//! Watching one kind in one scope.

use clap::ValueEnum;
use futures::stream::{BoxStream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tracing::warn;

use super::lenient::Lenient;

/// Objects a page of a list.
const PAGE: u32 = 500;

/// The events of one watch.
pub(super) type Watched<K> = BoxStream<'static, Result<Event<K>, watcher::Error>>;

/// How caches are filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Lists {
    /// In pages: any API server has them.
    #[default]
    #[value(name = "Paged")]
    Paged,
    /// By watches that begin with what is there: for API servers that have streamed lists.
    #[value(name = "Streamed")]
    Streamed,
}

/// Watches one kind in one scope. An object that does not parse is reported by name and left out;
/// the others go on.
pub(super) fn events<K>(api: Api<Lenient<K>>, lists: Lists) -> Watched<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + std::fmt::Debug + Send + 'static,
{
    let events = watcher(api, config(lists)).default_backoff();
    events
        .filter_map(|event| async move {
            match event {
                Ok(event) => readable(event).map(Ok),
                Err(error) => Some(Err(error)),
            }
        })
        .boxed()
}

fn readable<K: Resource<DynamicType = ()>>(event: Event<Lenient<K>>) -> Option<Event<K>> {
    let read = |object: Lenient<K>| match object {
        Lenient::Readable(object) => Some(*object),
        Lenient::Unreadable(meta) => {
            warn!(kind = %K::kind(&()), namespace = meta.namespace, name = meta.name, "an object cannot be read and is left out");
            None
        }
    };
    Some(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(object) => Event::InitApply(read(object)?),
        Event::Apply(object) => Event::Apply(read(object)?),
        Event::Delete(object) => Event::Delete(read(object)?),
    })
}

pub(super) fn config(lists: Lists) -> watcher::Config {
    match lists {
        Lists::Paged => watcher::Config::default().page_size(PAGE),
        Lists::Streamed => watcher::Config::default().streaming_lists(),
    }
}
