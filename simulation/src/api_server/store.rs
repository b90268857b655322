//! What is stored, and what each request does to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::ask::{Ask, Place, Reply};
use super::history::History;
use super::{patch, view};

/// Objects by place, and what happened to them.
#[derive(Debug, Default)]
pub struct Store {
    objects: BTreeMap<Place, Arc<Value>>,
    /// What happened, for those who watch.
    pub history: History,
    /// Of the objects that are there.
    uids: BTreeSet<String>,
    made: u64,
    /// Events up to this version are forgotten next.
    fading: u64,
    /// What time it is, as objects have it.
    pub now: String,
}

/// What a write did to an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Which.
    pub at: Place,
    /// As it was, where it was there.
    pub before: Option<Arc<Value>>,
    /// As it is, where it is there.
    pub after: Option<Arc<Value>>,
}

impl Store {
    /// An object.
    pub fn get(&self, at: &Place) -> Option<&Arc<Value>> {
        self.objects.get(at)
    }

    /// The objects of a kind, in one namespace or all.
    pub fn list<'a>(&'a self, at: &'a Place) -> impl Iterator<Item = (&'a Place, &'a Arc<Value>)> {
        let first = Place { name: String::new(), ..at.clone() };
        self.objects
            .range(first..)
            .take_while(|(place, _)| {
                place.api_version == at.api_version && place.resource == at.resource
            })
            .filter(|(place, _)| at.namespace.is_empty() || place.namespace == at.namespace)
    }

    /// Does what is asked.
    pub fn handle(&mut self, ask: &Ask) -> (Reply, Option<Written>) {
        if ask.parameter("dryRun").is_some() {
            return (self.rehearsal(ask).handle(&ask.in_earnest()).0, None);
        }
        let done = match (&ask.method, ask.at.name.is_empty()) {
            (&Method::GET, false) => return (self.read(ask), None),
            (&Method::GET, true) => return (view::page(self, ask), None),
            (&Method::POST, true) => self.create(ask),
            (&Method::PATCH, false) => self.patch(ask),
            (&Method::DELETE, false) => self.delete(ask),
            _ => Err(Reply::refused(405, "MethodNotAllowed", "not simulated")),
        };
        match done {
            Ok((reply, written)) => (Reply { metadata_only: ask.metadata_only, ..reply }, written),
            Err(refused) => (refused, None),
        }
    }

    /// A store that has nothing but the object that is meant.
    fn rehearsal(&self, ask: &Ask) -> Self {
        let named = ask.body["metadata"]["name"].as_str().filter(|_| ask.at.name.is_empty());
        let name = named.unwrap_or(&ask.at.name).to_owned();
        let at = Place { name, ..ask.at.clone() };
        let objects = self.objects.get(&at).map(|object| (at, object.clone()));
        Self { objects: objects.into_iter().collect(), now: self.now.clone(), ..Self::default() }
    }

    fn uid(&mut self) -> String {
        self.made += 1;
        format!("uid-{}", self.made)
    }

    fn read(&self, ask: &Ask) -> Reply {
        match self.get(&ask.at) {
            Some(object) => {
                Reply { metadata_only: ask.metadata_only, ..Reply::ok(Arc::clone(object)) }
            }
            None => not_found(&ask.at),
        }
    }

    fn create(&mut self, ask: &Ask) -> Done {
        let mut object = ask.body.clone();
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let at = Place { name, ..ask.at.clone() };
        if self.objects.contains_key(&at) {
            let message = format!("{} {:?} already exists", at.resource, at.name);
            return Err(Reply::refused(409, "AlreadyExists", &message));
        }
        patch::defaults(&mut object, &at);
        object["metadata"]["uid"] = json!(self.uid());
        object["metadata"]["creationTimestamp"] = json!(self.now);
        if at.api_version.contains('.') {
            object["metadata"]["generation"] = json!(1);
            object.as_object_mut().and_then(|object| object.remove("status"));
        }
        patch::own_as_update(&Value::Null, &mut object, (&ask.manager(), &self.now));
        patch::judge(&object)?;
        let written = self.put(&at, Some(object));
        Ok((Reply { status: 201, ..Reply::ok(self.objects[&at].clone()) }, Some(written)))
    }

    fn patch(&mut self, ask: &Ask) -> Done {
        let Some(before) = self.objects.get(&ask.at).cloned() else {
            return self.patch_nothing(ask);
        };
        let after = patch::patched(ask, &before, &self.now)?;
        if !differs(&after, &before) {
            return Ok((Reply::ok(before), None));
        }
        let written = self.put(&ask.at, Some(after));
        // What held it may be gone from it.
        let held = patch::is_held(&self.objects[&ask.at]);
        let deleted = self.objects[&ask.at]["metadata"]["deletionTimestamp"].is_string();
        let body = self.objects[&ask.at].clone();
        if deleted && !held {
            self.put(&ask.at, None);
        }
        Ok((Reply::ok(body), Some(written)))
    }

    /// An apply makes what is not there, unless it means a certain object.
    fn patch_nothing(&mut self, ask: &Ask) -> Done {
        let apply = ask.content_type.contains("apply-patch") && ask.subresource.is_none();
        match ask.body["metadata"]["uid"].as_str() {
            _ if !apply => Err(not_found(&ask.at)),
            Some(_) => Err(Reply::conflict("uid mismatch: no such object is there")),
            None => {
                let mut object = json!({
                    "metadata": {"name": ask.at.name, "namespace": ask.at.namespace},
                });
                object["metadata"]["uid"] = json!(self.uid());
                object["metadata"]["creationTimestamp"] = json!(self.now);
                let mut made = patch::patched(ask, &object, &self.now)?;
                patch::defaults(&mut made, &ask.at);
                let written = self.put(&ask.at, Some(made));
                Ok((
                    Reply { status: 201, ..Reply::ok(self.objects[&ask.at].clone()) },
                    Some(written),
                ))
            }
        }
    }

    fn delete(&mut self, ask: &Ask) -> Done {
        let Some(before) = self.objects.get(&ask.at).cloned() else {
            return Err(not_found(&ask.at));
        };
        for (asked, is) in [("uid", "uid"), ("resourceVersion", "resourceVersion")] {
            let asked = &ask.body["preconditions"][asked];
            if !asked.is_null() && *asked != before["metadata"][is] {
                return Err(Reply::conflict(&format!("Precondition failed: {is}")));
            }
        }
        if patch::is_held(&before) {
            let mut held = (*before).clone();
            held["metadata"]["deletionTimestamp"] = json!(self.now);
            let written = self.put(&ask.at, Some(held));
            return Ok((Reply::ok(self.objects[&ask.at].clone()), Some(written)));
        }
        let written = self.put(&ask.at, None);
        Ok((
            Reply::ok(json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})),
            Some(written),
        ))
    }

    /// Stores an object, or takes it away, and tells who watches.
    pub fn put(&mut self, at: &Place, after: Option<Value>) -> Written {
        let version = self.history.next();
        let before = self.objects.remove(at);
        let what = match (&before, &after) {
            (_, None) => "DELETED",
            (Some(_), _) => "MODIFIED",
            (None, _) => "ADDED",
        };
        let gone = after.is_none();
        let mut object = after.or_else(|| before.as_deref().cloned()).unwrap_or_default();
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let object = Arc::new(object);
        self.history.note(at, what, Arc::clone(&object));
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        if gone {
            self.uids.remove(uid);
        } else {
            if before.is_none() {
                self.uids.insert(uid.to_owned());
            }
            self.objects.insert(at.clone(), object);
        }
        Written { at: at.clone(), before, after: self.objects.get(at).cloned() }
    }

    /// Forgets the events that were not written since this was called last.
    pub fn forget_events(&mut self) {
        let Self { objects, uids, fading, history, .. } = self;
        objects.retain(|at, object| {
            let metadata = &object["metadata"];
            let version = metadata["resourceVersion"].as_str().and_then(|text| text.parse().ok());
            let stays =
                at.resource != "events" || version.is_none_or(|version: u64| version > *fading);
            if !stays {
                uids.remove(metadata["uid"].as_str().unwrap_or_default());
            }
            stays
        });
        *fading = history.version();
    }

    /// What was made for owners of which none is there any more: Secrets, for nothing else has any.
    pub fn orphans(&self) -> Vec<Place> {
        let is_gone =
            |owner: &Value| !self.uids.contains(owner["uid"].as_str().unwrap_or_default());
        let orphaned = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| !owners.is_empty() && owners.iter().all(is_gone))
        };
        let secrets = Place {
            api_version: "v1".to_owned(),
            resource: "secrets".to_owned(),
            ..Place::default()
        };
        let orphans = self.list(&secrets).filter(|(_, object)| orphaned(object));
        orphans.map(|(at, _)| at.clone()).collect()
    }
}

type Done = Result<(Reply, Option<Written>), Reply>;

fn not_found(at: &Place) -> Reply {
    Reply::refused(404, "NotFound", &format!("{} {:?} not found", at.resource, at.name))
}

/// Whether something was changed at all: versions and times of writing are no change.
fn differs(after: &Value, before: &Value) -> bool {
    const LATER: &[&str] = &["resourceVersion", "managedFields"];
    let (was, is) = (&before["metadata"], &after["metadata"]);
    without(before, &["metadata"]) != without(after, &["metadata"])
        || without(was, LATER) != without(is, LATER)
        || entries(was) != entries(is)
}

fn without<'a>(object: &'a Value, names: &[&str]) -> Vec<(&'a String, &'a Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(name, _)| !names.contains(&name.as_str())).collect()
}

fn entries(meta: &Value) -> Vec<Vec<(&String, &Value)>> {
    let entries = meta["managedFields"].as_array().into_iter().flatten();
    entries.map(|entry| without(entry, &["time"])).collect()
}
