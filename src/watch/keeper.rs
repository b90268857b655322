//! Where what is watched is kept: tokens on a shelf of ours, all else in kube's stores.

use std::sync::Arc;

use kube::runtime::reflector::Lookup;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;

use super::name::Name;
use super::{Listener, Shelf};
use crate::api::OAuthClientToken;

/// Keeps what is watched.
pub(super) trait Keeper<K>: Send + 'static {
    /// Finds what is kept.
    fn reader(&self) -> impl Fn(&Name) -> Option<Arc<K>> + Clone + Send + 'static;
    /// Takes in what happened.
    fn take(&mut self, event: &mut Event<K>);
}

impl<K> Keeper<K> for Writer<K>
where
    K: Lookup<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    fn reader(&self) -> impl Fn(&Name) -> Option<Arc<K>> + Clone + Send + 'static {
        let store = self.as_reader();
        move |name| store.get(&name.reference())
    }

    fn take(&mut self, event: &mut Event<K>) {
        self.apply_watcher_event(event);
    }
}

/// Puts tokens on a shelf. Their statuses are for whoever listens to keep: he knows newer ones.
pub(super) struct Shelving {
    shelf: Shelf,
    listener: Arc<dyn Listener>,
}

impl Shelving {
    pub(super) fn on(shelf: Shelf, listener: Arc<dyn Listener>) -> Self {
        Self { shelf, listener }
    }
}

impl Keeper<OAuthClientToken> for Shelving {
    fn reader(&self) -> impl Fn(&Name) -> Option<Arc<OAuthClientToken>> + Clone + Send + 'static {
        let tokens = self.shelf.clone();
        move |name| tokens.find(name)
    }

    fn take(&mut self, event: &mut Event<OAuthClientToken>) {
        match event {
            Event::Init => {}
            Event::InitDone => self.shelf.fill(),
            Event::Apply(token) | Event::InitApply(token) => {
                self.listener.token_status(token);
                token.status = None;
                self.shelf.put(token);
            }
            Event::Delete(token) => self.shelf.remove(token),
        }
    }
}
