//! What is to be looked at again, and where that is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::api::{ClusterOAuthClientToken, OAuthClientToken};

/// Something that is to be looked at again. Small, for each reference to a Secret holds one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trigger {
    /// A token.
    Token {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The grant of a cluster token, by name.
    Grant(String),
    /// The copies of a cluster token, by name.
    Copies(String),
}

impl Trigger {
    /// A token.
    pub fn of(token: &OAuthClientToken) -> Self {
        Self::Token { namespace: token.namespace().unwrap_or_default(), name: token.name_any() }
    }
}

/// Where what is to be looked at again is told. While nobody listens, nothing is kept of it.
#[derive(Clone, Debug, Default)]
pub struct Triggers {
    told: Arc<Mutex<Option<Told>>>,
    attended: Attended,
}

#[derive(Clone, Debug)]
struct Told {
    tokens: UnboundedSender<ObjectRef<OAuthClientToken>>,
    grants: UnboundedSender<ObjectRef<ClusterOAuthClientToken>>,
    copies: UnboundedSender<ObjectRef<ClusterOAuthClientToken>>,
}

/// What is worked on, and what tells those who work on it that there is news.
type Attended = Arc<Mutex<HashMap<Trigger, CancellationToken>>>;

/// Something is worked on until this is dropped.
#[derive(Debug)]
pub struct Attention {
    attended: Attended,
    trigger: Trigger,
}

impl Drop for Attention {
    fn drop(&mut self) {
        hold(&self.attended).remove(&self.trigger);
    }
}

fn hold<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where it comes out.
#[derive(Debug)]
pub struct Triggered {
    /// Tokens.
    pub tokens: UnboundedReceiver<ObjectRef<OAuthClientToken>>,
    /// Cluster tokens whose grant is to be looked at.
    pub grants: UnboundedReceiver<ObjectRef<ClusterOAuthClientToken>>,
    /// Cluster tokens whose copies are to be looked at.
    pub copies: UnboundedReceiver<ObjectRef<ClusterOAuthClientToken>>,
}

impl Triggers {
    /// From now on it is told here, and nowhere else.
    pub fn listen(&self) -> Triggered {
        let (tokens, tokens_out) = unbounded_channel();
        let (grants, grants_out) = unbounded_channel();
        let (copies, copies_out) = unbounded_channel();
        *hold(&self.told) = Some(Told { tokens, grants, copies });
        Triggered { tokens: tokens_out, grants: grants_out, copies: copies_out }
    }

    /// Work on something begins. From then on news of it can be heard of.
    pub fn attend(&self, trigger: Trigger) -> Attention {
        hold(&self.attended).insert(trigger.clone(), CancellationToken::new());
        Attention { attended: Arc::clone(&self.attended), trigger }
    }

    /// What tells of news of something that is worked on: whoever waits for its sake need not any
    /// longer, for it is looked at again.
    pub fn news(&self, trigger: &Trigger) -> CancellationToken {
        hold(&self.attended).get(trigger).cloned().unwrap_or_default()
    }

    /// Tells of one that is not what it was: nobody waits for what it was any longer.
    pub fn send(&self, trigger: Trigger) {
        if let Some(news) = hold(&self.attended).get(&trigger) {
            news.cancel();
        }
        self.look_again(trigger);
    }

    /// Has the grant of a cluster token looked at, and its copies.
    pub fn send_both(&self, token: &ClusterOAuthClientToken) {
        self.send(Trigger::Grant(token.name_any()));
        self.send(Trigger::Copies(token.name_any()));
    }

    /// Tells of one of which something is to be looked at that is read when it is needed, after any
    /// wait: a Secret.
    pub fn look_again(&self, trigger: Trigger) {
        let told = hold(&self.told);
        let Some(told) = told.as_ref() else { return };
        // Whoever listened may have ended.
        match trigger {
            Trigger::Token { namespace, name } => {
                let _ = told.tokens.send(ObjectRef::new(&name).within(&namespace));
            }
            Trigger::Grant(name) => drop(told.grants.send(ObjectRef::new(&name))),
            Trigger::Copies(name) => drop(told.copies.send(ObjectRef::new(&name))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_heard_while_something_is_worked_on() {
        let triggers = Triggers::default();
        let grant = || Trigger::Grant("g".to_owned());
        let attention = triggers.attend(grant());
        let news = triggers.news(&grant());
        triggers.send(Trigger::Copies("g".to_owned()));
        triggers.look_again(grant());
        assert!(!news.is_cancelled());
        triggers.send(grant());
        assert!(news.is_cancelled());
        drop(attention);
        // The next work knows them already.
        let _attention = triggers.attend(grant());
        assert!(!triggers.news(&grant()).is_cancelled());
    }
}
