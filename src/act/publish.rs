//! Writing a token to its target: a new one, the same again, and none once it has expired.

use std::collections::BTreeMap;

use tracing::{Instrument, info};

use super::{Case, Edge, Engine, Otherwise, TargetWrite};
use crate::api::CreationPolicy;
use crate::api::annotations::{
    CHANGED_AT, EXPIRES_AT, INPUTS, ISSUED_AT, OUTPUTS, OWNER, REFRESH_AT, SHAPE, format_due,
    format_time, milliseconds, whole_seconds,
};
use crate::decide::{FetchOrder, HeldToken, Outcome, Renewal, Snapshot};
use crate::error::Error;
use crate::oauth::{Issued, Life};
use crate::render::{Data, Place, Rendered, Shape, Shown, Times, read_back};
use crate::spans::step;

/// A token that is to be written.
pub(super) struct Fetched<'a> {
    pub(super) issued: Issued,
    pub(super) fingerprint: String,
    pub(super) renewal: Renewal,
    pub(super) order: &'a FetchOrder,
    pub(super) inputs: &'a str,
}

impl<E: Edge> Engine<E> {
    /// Writes a token that the provider just issued.
    pub(super) async fn publish(
        &self,
        case: &Case,
        fetched: Fetched<'_>,
    ) -> Result<(HeldToken, Option<String>), Error> {
        let Fetched { issued, fingerprint, renewal, order, inputs } = fetched;
        let Life { issued_at, expires_at } = issued.life;
        let held = HeldToken {
            issued_at: whole_seconds(issued_at),
            expires_at: whole_seconds(expires_at),
            refresh_at: milliseconds(order.refresh_at(renewal, issued_at, expires_at)),
            token_type: issued.token_type.clone(),
            scopes: issued.scopes,
            outputs: issued.outputs.keys().cloned().collect(),
            secret_name: case.snapshot.secret_name().to_owned(),
            fingerprint: Some(fingerprint),
            repeated: renewal == Renewal::Same,
            changed_at: self.changed_at(case, order, renewal),
        };
        let shown = Shown {
            access_token: issued.access_token,
            token_type: issued.token_type,
            times: times(&held),
            outputs: issued.outputs,
        };
        let rendered = (rendered(case, &shown)?, inputs.to_owned(), Otherwise::LookAgain);
        self.write(case, &held, rendered).await?;
        let hindered = self.nudge(case).await;
        info!(
            namespace = case.snapshot.namespace(),
            name = case.snapshot.owner().name,
            expires_at = format_time(held.expires_at),
            refresh_at = format_time(held.refresh_at),
            "token written"
        );
        Ok((held, hindered))
    }

    async fn write(
        &self,
        case: &Case,
        held: &HeldToken,
        (rendered, inputs, otherwise): (Rendered, String, Otherwise),
    ) -> Result<(), Error> {
        let write = target_write(case, held, (rendered, inputs, otherwise));
        self.edge.write(write).instrument(step("write target")).await
    }

    /// Writes the token that is there again.
    pub(super) async fn write_again(&self, case: &Case, from: &str, held: HeldToken) -> Outcome {
        let owner = case.snapshot.owner();
        let old = case.secret_key(from);
        let data = match self.edge.read(&old, &owner).await {
            Ok(data) => data,
            Err(error) => return Outcome::Failed { error, attempt: self.attempt(case) },
        };
        let data = data.unwrap_or_default();
        let Some(shown) = read_back(&data, times(&held), &held.outputs) else {
            return already_there(case, from, &data).unwrap_or(Outcome::NothingToWriteAgain);
        };
        let held = HeldToken { secret_name: case.snapshot.secret_name().to_owned(), ..held };
        let inputs = case.snapshot.facts.attempted.clone().unwrap_or_default();
        let Ok(rendered) = rendered(case, &shown) else {
            return Outcome::NotRendered { shape: shape_of(case) };
        };
        match self.write(case, &held, (rendered, inputs, Otherwise::LookAgain)).await {
            Ok(()) => {
                self.nudge(case).await;
                Outcome::WrittenAgain { held }
            }
            Err(error) => Outcome::Failed { error, attempt: self.attempt(case) },
        }
    }

    /// Takes the keys of an expired token out of its target; whose it is and since when stays told.
    pub(super) async fn withdraw(&self, case: &Case, held: HeldToken) -> Outcome {
        let inputs = case.snapshot.facts.attempted.clone().unwrap_or_default();
        let rendered = (without_token(case, &held), inputs, Otherwise::LetBe);
        match self.write(case, &held, rendered).await {
            Ok(()) => {
                self.nudge(case).await;
                Outcome::Withdrawn
            }
            Err(error) => Outcome::Failed { error, attempt: self.attempt(case) },
        }
    }
}

/// A case's target as it ought to be, with a token in it.
pub(super) fn target_write(
    case: &Case,
    held: &HeldToken,
    (rendered, inputs, otherwise): (Rendered, String, Otherwise),
) -> TargetWrite {
    let Rendered { type_, labels, annotations, data } = rendered;
    let owner = case.snapshot.owner();
    let target = &case.snapshot.token.spec.target;
    let is_owner = target.creation_policy == CreationPolicy::Owner;
    let changed_at = held.changed_at.map(format_time).unwrap_or_default();
    let own = [
        (ISSUED_AT, format_time(held.issued_at)),
        (EXPIRES_AT, format_time(held.expires_at)),
        (REFRESH_AT, format_due(held.refresh_at)),
        (INPUTS, inputs),
        (OWNER, if is_owner { owner.to_string() } else { String::new() }),
        (SHAPE, shape_of(case)),
        (OUTPUTS, held.outputs.join(",")),
        (CHANGED_AT, changed_at),
    ];
    let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
    // What is empty says nothing.
    let own = own.filter(|(key, value)| !(value.is_empty() && key != INPUTS));
    let annotations: BTreeMap<_, _> = annotations.into_iter().chain(own).collect();
    let policies = (target.creation_policy, target.deletion_policy);
    let key = case.secret_key(&held.secret_name);
    let seen = case.snapshot.target.clone();
    TargetWrite { key, owner, policies, type_, labels, annotations, data, seen, otherwise }
}

/// A token in the shape that its target declares.
pub(super) fn rendered(case: &Case, shown: &Shown) -> Result<Rendered, Error> {
    let shape = case.shape.as_ref().map_err(Clone::clone)?;
    shape.render(shown, place(case, case.snapshot.secret_name()))
}

/// The same without a token, once that has expired.
pub(super) fn without_token(case: &Case, held: &HeldToken) -> Rendered {
    let bare = Shape::default();
    let shape = case.shape.as_ref().unwrap_or(&bare);
    shape.without_token(times(held), place(case, &held.secret_name))
}

fn place<'a>(case: &'a Case, secret_name: &'a str) -> Place<'a> {
    let Snapshot { owner, .. } = &case.snapshot;
    Place { namespace: case.snapshot.namespace(), name: &owner.name, secret_name }
}

pub(super) fn times(held: &HeldToken) -> Times {
    let HeldToken { issued_at, expires_at, refresh_at, .. } = *held;
    Times { issued_at, expires_at, refresh_at }
}

/// The digest of the shape that a case's target declares.
pub(super) fn shape_of(case: &Case) -> String {
    case.shape.as_ref().map(|shape| shape.digest().to_owned()).unwrap_or_default()
}

/// A later token than the one that is remembered: a write whose answer was lost had its effect.
fn already_there(case: &Case, name: &str, data: &Data) -> Option<Outcome> {
    let target = case.snapshot.target.as_ref().filter(|_| name == case.snapshot.secret_name())?;
    let found = HeldToken::of_target(target, name)?;
    let held = case.snapshot.facts.held.as_ref()?;
    (found.issued_at > held.issued_at).then(|| read_back(data, times(&found), &[])).flatten()?;
    Some(Outcome::WrittenAgain { held: found })
}
