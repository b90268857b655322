//! What is to be looked at again, and where that is told.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

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
    (Triggers { tokens, grants, copies }, triggered)
}

impl Triggers {
    /// Tells of one.
    pub fn send(&self, trigger: Trigger) {
        match trigger {
            Trigger::Token { namespace, name } => {
                let _ = self.tokens.send(ObjectRef::new(&name).within(&namespace));
            }
            Trigger::Grant(name) => drop(self.grants.send(ObjectRef::new(&name))),
            Trigger::Copies(name) => drop(self.copies.send(ObjectRef::new(&name))),
        }
    }
}
