//! Asking once, as a plan to fetch would, for a person who tries things out. Nothing is written.

use super::ask::Terms;
use super::{Edge, Engine};
use crate::error::{Error, Reason};
use crate::oauth::Issued;
use crate::watch::Materials;

/// What came of it.
#[derive(Debug)]
pub struct Rehearsal {
    /// The token, or why there is none.
    pub issued: Result<Issued, Error>,
    /// What a person should know of the credentials.
    pub remark: Option<String>,
}

impl<E: Edge> Engine<E> {
    /// Asks for a token of a namespace. What the answer renews is in it, and is kept nowhere else.
    pub async fn rehearse(&self, materials: &Materials, namespace: &str) -> Rehearsal {
        let read = match self.supply(materials, namespace).await {
            Ok(read) => read,
            Err(error) => return Rehearsal { issued: Err(error), remark: None },
        };
        let mut supplies = read.supplies;
        let asked = self.ask(materials, &mut supplies, Terms::default()).await;
        let stopped = || Error::new(Reason::ProviderTimeout, "ended before the provider answered");
        Rehearsal { issued: asked.issued.unwrap_or_else(|| Err(stopped())), remark: read.remark }
    }
}
