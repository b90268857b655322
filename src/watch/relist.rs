//! One stream of events out of the watches of several scopes.
//!
//! Each watch lists again whenever it has to, and its list speaks of its own scope only. Here a
//! repeated list becomes what it means: objects that changed, and objects that are gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::stream::{self, Stream, StreamExt};
use kube::Resource;
use kube::runtime::watcher::{self, Event};

use super::name::Name;

/// What is known of the objects of each scope.
struct Scopes<K, F> {
    of: HashMap<usize, ScopeState>,
    /// Scopes whose first list is not complete.
    waiting: usize,
    /// Changes that came while other scopes were still being listed for the first time.
    held_back: Vec<Event<K>>,
    /// Finds what is gone.
    find: F,
}

#[derive(Default)]
struct ScopeState {
    present: HashSet<Name>,
    unlisted: HashSet<Name>,
    complete: bool,
}

/// Merges watches that fill a cache, in which `find` finds what they told. `InitDone` comes once, when
/// every scope has been listed.
pub(super) fn merge<K, S>(
    watches: Vec<S>,
    find: impl Fn(&Name) -> Option<Arc<K>> + Send,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    S: Stream<Item = Result<Event<K>, watcher::Error>> + Send + Unpin,
{
    let mut scopes =
        Scopes { of: HashMap::new(), waiting: watches.len(), held_back: Vec::new(), find };
    let tagged = watches
        .into_iter()
        .enumerate()
        .map(|(scope, watch)| watch.map(move |event| (scope, event)));
    let merged = stream::select_all(tagged);
    stream::once(async { Ok(Event::Init) }).chain(merged.flat_map(move |(scope, event)| {
        stream::iter(match event {
            Ok(event) => scopes.translate(scope, event).into_iter().map(Ok).collect(),
            Err(error) if closed(&error) => {
                let events = scopes.give_up(scope).into_iter().map(Ok);
                events.chain([Err(error)]).collect()
            }
            Err(error) => vec![Err(error)],
        })
    }))
}

/// Whether a list was refused: a namespace or a right that is gone, or a kind that is not there.
pub(super) fn closed(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status)) => {
            status.is_forbidden() || status.is_not_found()
        }
        _ => false,
    }
}

impl<K, F> Scopes<K, F>
where
    K: Resource<DynamicType = ()> + Clone,
    F: Fn(&Name) -> Option<Arc<K>>,
{
    /// A scope that cannot be listed for the first time keeps no other from its work. What it
    /// holds comes as changes, once it can be listed.
    fn give_up(&mut self, scope: usize) -> Vec<Event<K>> {
        match self.of.entry(scope).or_default().complete {
            true => Vec::new(),
            false => self.translate(scope, Event::InitDone),
        }
    }

    fn translate(&mut self, scope: usize, event: Event<K>) -> Vec<Event<K>> {
        let state = self.of.entry(scope).or_default();
        match event {
            Event::Init => {
                state.unlisted.clone_from(&state.present);
                Vec::new()
            }
            Event::InitApply(object) => {
                let key = Name::of(&object);
                state.unlisted.remove(&key);
                state.present.insert(key);
                match state.complete {
                    false => vec![Event::InitApply(object)],
                    true => self.change(vec![Event::Apply(object)]),
                }
            }
            Event::InitDone => {
                let gone = std::mem::take(&mut state.unlisted);
                state.present.retain(|key| !gone.contains(key));
                if std::mem::replace(&mut state.complete, true) {
                    let gone = gone.iter().filter_map(|key| (self.find)(key));
                    let gone = gone.map(|object| Event::Delete((*object).clone())).collect();
                    return self.change(gone);
                }
                self.waiting = self.waiting.saturating_sub(1);
                let mut events = vec![Event::InitDone];
                events.append(&mut self.held_back);
                if self.waiting == 0 {
                    events
                } else {
                    self.held_back = events.split_off(1);
                    vec![]
                }
            }
            Event::Apply(object) => {
                state.present.insert(Name::of(&object));
                self.change(vec![Event::Apply(object)])
            }
            Event::Delete(object) => {
                state.present.remove(&Name::of(&object));
                self.change(vec![Event::Delete(object)])
            }
        }
    }

    /// Changes wait until the first list of every scope is complete: a store takes a list whole.
    fn change(&mut self, mut events: Vec<Event<K>>) -> Vec<Event<K>> {
        if self.waiting == 0 {
            return events;
        }
        self.held_back.append(&mut events);
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::reflector::store;

    use super::*;

    fn object(name: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.into());
        object.metadata.namespace = Some("web".into());
        object
    }

    async fn run(watches: Vec<Vec<Event<ConfigMap>>>) -> Vec<String> {
        let (reader, mut writer) = store();
        let find = move |name: &Name| reader.get(&name.reference());
        let watches =
            watches.into_iter().map(|events| stream::iter(events.into_iter().map(Ok))).collect();
        let mut merged = Box::pin(merge(watches, find));
        let mut seen = Vec::new();
        while let Some(event) = merged.next().await {
            let event = event.unwrap();
            writer.apply_watcher_event(&event);
            let name = |object: ConfigMap| object.metadata.name.unwrap();
            seen.push(match event {
                Event::Init => "init".to_owned(),
                Event::InitApply(object) => format!("first {}", name(object)),
                Event::InitDone => "done".to_owned(),
                Event::Apply(object) => format!("apply {}", name(object)),
                Event::Delete(object) => format!("delete {}", name(object)),
            });
        }
        seen
    }

    #[tokio::test]
    async fn a_repeated_list_becomes_what_it_means() {
        let events = vec![
            Event::Init,
            Event::InitApply(object("a")),
            Event::InitApply(object("b")),
            Event::InitDone,
            Event::Init,
            Event::InitApply(object("b")),
            Event::InitApply(object("c")),
            Event::InitDone,
        ];
        let seen = run(vec![events]).await;
        assert_eq!(seen, ["init", "first a", "first b", "done", "apply b", "apply c", "delete a"]);
    }

    #[tokio::test]
    async fn a_scope_that_is_closed_keeps_no_other_from_its_work() {
        let refused = || {
            let status: kube::core::Status = serde_json::from_str(
                r#"{"status": "Failure", "code": 403, "reason": "Forbidden"}"#,
            )
            .unwrap();
            watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
        };
        let open = vec![Ok(Event::Init), Ok(Event::InitApply(object("a"))), Ok(Event::InitDone)];
        let closed = vec![
            Err(refused()),
            Err(refused()),
            Ok(Event::Init),
            Ok(Event::InitApply(object("b"))),
            Ok(Event::InitDone),
        ];
        let merged =
            merge::<ConfigMap, _>(vec![stream::iter(open), stream::iter(closed)], |_| None);
        let events: Vec<_> = merged.collect().await;
        let done = events.iter().position(|e| matches!(e, Ok(Event::InitDone))).unwrap();
        let late = events.iter().position(|e| matches!(e, Ok(Event::Apply(_)))).unwrap();
        assert!(done < late);
        assert_eq!(events.iter().filter(|e| matches!(e, Ok(Event::InitDone))).count(), 1);
    }

    #[tokio::test]
    async fn changes_wait_for_the_slowest_scope() {
        let one = vec![Event::Init, Event::InitDone, Event::Apply(object("x"))];
        let two = vec![Event::Init, Event::InitApply(object("y")), Event::InitDone];
        let seen = run(vec![one, two]).await;
        let place = |what: &str| seen.iter().position(|event| event == what).unwrap();
        assert!(place("first y") < place("done") && place("done") < place("apply x"), "{seen:?}");
        assert_eq!(seen.iter().filter(|event| *event == "done").count(), 1);
    }
}
