//! What an object is found by: of tens of thousands each has several.

use std::fmt;

use kube::Resource;
use kube::runtime::reflector::{Lookup, ObjectRef};

/// An object's namespace and name in one: neither may hold a slash.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name(Box<str>);

impl Name {
    /// By its parts; what is in no namespace has an empty one.
    pub(super) fn new(namespace: &str, name: &str) -> Self {
        Self([namespace, "/", name].concat().into())
    }

    pub(super) fn of<K: Resource>(object: &K) -> Self {
        let meta = object.meta();
        let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
        Self::new(namespace.unwrap_or_default(), name.unwrap_or_default())
    }

    /// The same for kube's stores.
    pub(super) fn reference<K: Lookup<DynamicType = ()>>(&self) -> ObjectRef<K> {
        match self.0.split_once('/') {
            Some(("", name)) => ObjectRef::new(name),
            Some((namespace, name)) => ObjectRef::new(name).within(namespace),
            None => ObjectRef::new(&self.0),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
