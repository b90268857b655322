//! What is to be looked at again, and where that is told.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::ResourceExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::api::{ClusterOAuthClientToken, OAuthClientToken};

/// Something that is to be looked at again. Its clones share its names: each reference to a Secret
/// holds one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trigger {
    /// A token.
    Token {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
    /// The grant of a cluster token, by name.
    Grant(Arc<str>),
    /// The copies of a cluster token, by name.
    Copies(Arc<str>),
}

impl Trigger {
    /// A token.
    pub fn of(token: &OAuthClientToken) -> Self {
        let meta = &token.metadata;
        Self::Token {
            namespace: meta.namespace.as_deref().unwrap_or_default().into(),
            name: meta.name.as_deref().unwrap_or_default().into(),
        }
    }

    /// The grant of a cluster token.
    pub fn grant_of(token: &ClusterOAuthClientToken) -> Self {
        Self::Grant(token.name_any().into())
    }

    /// The copies of a cluster token.
    pub fn copies_of(token: &ClusterOAuthClientToken) -> Self {
        Self::Copies(token.name_any().into())
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { namespace, name } => write!(f, "OAuthClientToken {namespace}/{name}"),
            Self::Grant(name) => write!(f, "ClusterOAuthClientToken {name}"),
            Self::Copies(name) => write!(f, "the copies of ClusterOAuthClientToken {name}"),
        }
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
    tokens: UnboundedSender<Trigger>,
    copies: UnboundedSender<Trigger>,
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
    /// Tokens, and grants of cluster tokens.
    pub tokens: UnboundedReceiver<Trigger>,
    /// Copies of cluster tokens: of those there may be many at once.
    pub copies: UnboundedReceiver<Trigger>,
}

impl Triggers {
    /// From now on it is told here, and nowhere else.
    pub fn listen(&self) -> Triggered {
        let (tokens, tokens_out) = unbounded_channel();
        let (copies, copies_out) = unbounded_channel();
        *hold(&self.told) = Some(Told { tokens, copies });
        Triggered { tokens: tokens_out, copies: copies_out }
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
        self.send(Trigger::grant_of(token));
        self.send(Trigger::copies_of(token));
    }

    /// Tells of one of which something is to be looked at that is read when it is needed, after any
    /// wait: a Secret.
    pub fn look_again(&self, trigger: Trigger) {
        let told = hold(&self.told);
        let Some(told) = told.as_ref() else { return };
        // Whoever listened may have ended.
        let _ = match trigger {
            Trigger::Token { .. } | Trigger::Grant(_) => told.tokens.send(trigger),
            Trigger::Copies(_) => told.copies.send(trigger),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_are_heard_while_something_is_worked_on() {
        let triggers = Triggers::default();
        let grant = || Trigger::Grant("g".into());
        let attention = triggers.attend(grant());
        let news = triggers.news(&grant());
        triggers.send(Trigger::Copies("g".into()));
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
