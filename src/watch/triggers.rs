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

/// Where what is to be looked at again is told. The receivers are gone only when the process ends.
#[derive(Clone, Debug)]
pub struct Triggers {
    tokens: UnboundedSender<ObjectRef<OAuthClientToken>>,
    grants: UnboundedSender<ObjectRef<ClusterOAuthClientToken>>,
    copies: UnboundedSender<ObjectRef<ClusterOAuthClientToken>>,
    attended: Attended,
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
        lock(&self.attended).remove(&self.trigger);
    }
}

fn lock(attended: &Attended) -> MutexGuard<'_, HashMap<Trigger, CancellationToken>> {
    attended.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Both ends.
pub fn triggers() -> (Triggers, Triggered) {
    let (tokens, tokens_out) = unbounded_channel();
    let (grants, grants_out) = unbounded_channel();
    let (copies, copies_out) = unbounded_channel();
    let triggered = Triggered { tokens: tokens_out, grants: grants_out, copies: copies_out };
    (Triggers { tokens, grants, copies, attended: Attended::default() }, triggered)
}

impl Triggers {
    /// Work on something begins. From then on news of it can be heard of.
    pub fn attend(&self, trigger: Trigger) -> Attention {
        lock(&self.attended).insert(trigger.clone(), CancellationToken::new());
        Attention { attended: Arc::clone(&self.attended), trigger }
    }

    /// What tells of news of something that is worked on: whoever waits for its sake need not any
    /// longer, for it is looked at again.
    pub fn news(&self, trigger: &Trigger) -> CancellationToken {
        lock(&self.attended).get(trigger).cloned().unwrap_or_default()
    }

    /// Tells of one that is not what it was: nobody waits for what it was any longer.
    pub fn send(&self, trigger: Trigger) {
        if let Some(news) = lock(&self.attended).get(&trigger) {
            news.cancel();
        }
        self.look_again(trigger);
    }

    /// Tells of one of which something is to be looked at that is read when it is needed, after any
    /// wait: a Secret.
    pub fn look_again(&self, trigger: Trigger) {
        match trigger {
            Trigger::Token { namespace, name } => {
                let _ = self.tokens.send(ObjectRef::new(&name).within(&namespace));
            }
            Trigger::Grant(name) => drop(self.grants.send(ObjectRef::new(&name))),
            Trigger::Copies(name) => drop(self.copies.send(ObjectRef::new(&name))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_heard_while_something_is_worked_on() {
        let (triggers, _triggered) = triggers();
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
