//! What happened to objects, for those who watch: from a version on, or "too old".

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::ask::Place;
use super::view;

/// Events that are remembered for those who come back.
const REMEMBERED: usize = 2000;

/// Versions and events.
#[derive(Debug, Default)]
pub struct History {
    version: u64,
    /// Nothing before this is remembered.
    compacted: u64,
    events: VecDeque<Event>,
    watchers: Vec<Watcher>,
}

#[derive(Clone, Debug)]
struct Event {
    version: u64,
    at: Place,
    kind: &'static str,
    object: Arc<Value>,
}

#[derive(Debug)]
struct Watcher {
    at: Place,
    metadata_only: bool,
    lines: UnboundedSender<Vec<u8>>,
}

impl History {
    /// The version of now.
    pub fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn next(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    pub(super) fn note(&mut self, at: &Place, kind: &'static str, object: Arc<Value>) {
        let event = Event { version: self.version, at: at.clone(), kind, object };
        self.watchers.retain(|watcher| {
            !watcher.at.covers(at) || watcher.lines.send(event.line(watcher.metadata_only)).is_ok()
        });
        self.events.push_back(event);
        if self.events.len() > REMEMBERED {
            self.compacted = self.events.pop_front().map_or(0, |event| event.version);
        }
    }

    /// A stream of lines from a version on.
    pub fn watch(
        &mut self,
        at: &Place,
        since: u64,
        metadata_only: bool,
    ) -> UnboundedReceiver<Vec<u8>> {
        let (lines, receiver) = unbounded_channel();
        if since < self.compacted {
            let gone = json!({"type": "ERROR", "object": {
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "reason": "Expired", "code": 410, "message": "too old resource version",
            }});
            // The receiver is at hand.
            let _ = lines.send(line(&gone));
            return receiver;
        }
        let known = self.events.partition_point(|event| event.version <= since);
        for event in self.events.range(known..).filter(|event| at.covers(&event.at)) {
            let _ = lines.send(event.line(metadata_only));
        }
        self.watchers.push(Watcher { at: at.clone(), metadata_only, lines });
        receiver
    }

    /// Tells those who watch how far they have got.
    pub fn bookmark(&mut self) {
        let version = self.version.to_string();
        self.watchers.retain(|watcher| {
            let object = json!({
                "kind": view::kind(&watcher.at), "apiVersion": watcher.at.api_version,
                "metadata": {"resourceVersion": version},
                // What cannot be left out of a kind of ours.
                "spec": {"providerRef": {"name": ""}},
            });
            let event = Event {
                version: self.version,
                at: watcher.at.clone(),
                kind: "BOOKMARK",
                object: Arc::new(object),
            };
            watcher.lines.send(event.line(watcher.metadata_only)).is_ok()
        });
    }

    /// Ends every stream.
    pub fn cut(&mut self) {
        self.watchers.clear();
    }

    /// Forgets what happened: whoever comes back is too late.
    pub fn compact(&mut self) {
        self.events.clear();
        self.compacted = self.version;
        self.cut();
    }
}

impl Event {
    fn line(&self, metadata_only: bool) -> Vec<u8> {
        let object = view::text(&self.object, metadata_only);
        format!("{{\"type\":\"{}\",\"object\":{object}}}\n", self.kind).into_bytes()
    }
}

fn line(value: &Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

impl Place {
    fn covers(&self, other: &Self) -> bool {
        self.resource == other.resource
            && self.api_version == other.api_version
            && (self.namespace.is_empty() || self.namespace == other.namespace)
    }
}
