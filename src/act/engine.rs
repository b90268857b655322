//! Carrying out a plan: read, ask, write.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, warn};

use super::accounts::{Accounts, Pass};
use super::book::Refusal;
use super::copies::Lanes;
use super::discovery::Discovery;
use super::gates::Gates;
use super::publish::{Fetched, shape_of};
use super::renewal::Renewals;
use super::retired::RetiredTokens;
use super::revocation::{KEPT_ALIVE, is_kept_alive};
use super::spend::Spender;
use super::supply::{Supplied, credentials, renewed_of};
use super::turn::Place;
use super::witness::Witness;
use super::{Case, Edge};
use crate::api::DeletionPolicy;
use crate::clock::Clock;
use crate::decide::{Attempt, FetchOrder, Inspected, Outcome, Plan, Renewal};
use crate::error::{Class, Error, Reason};
use crate::oauth::{CANNOT_REVOKE, Digester, Life, Transport};
use crate::runtime::{Chance, Lead};
use crate::spans::step;
use crate::watch::Materials;

/// Carries out plans.
pub struct Engine<E> {
    /// Where tokens go and credentials come from.
    pub edge: E,
    pub(super) transport: Arc<Transport>,
    pub(super) digester: Arc<Digester>,
    pub(super) clock: Clock,
    /// Where chance comes from.
    pub chance: Chance,
    pub(super) discovery: Discovery,
    pub(super) renewals: Arc<Renewals>,
    pub(super) retired: RetiredTokens,
    /// The process is asked to end.
    pub(super) stopping: CancellationToken,
    /// Nothing new is to be begun.
    pub(super) over: CancellationToken,
    pub(super) lead: Lead,
    pub(super) witness: Option<Arc<dyn Witness>>,
    pub(super) accounts: Arc<Accounts>,
    pub(super) lanes: Lanes,
    pub(super) gates: Gates,
}

/// What is said of a token that ends with the one before it.
const NO_LONGER: &str = "the new token ends no later than the former one: all tokens of the \
                         session that it comes from end together";

impl<E: Edge> Engine<E> {
    /// An engine. Once `stopping` is cancelled it starts no more token requests, and waits for the
    /// answers to those under way for at most 10 s.
    pub fn new(edge: E, tools: Tools) -> Self {
        let Tools { transport, digester, clock, chance, stopping, lead } = tools;
        Self {
            edge,
            discovery: Discovery::new(Arc::clone(&transport), clock.clone()),
            accounts: Arc::new(Accounts::new(clock.clone())),
            transport,
            digester,
            clock,
            renewals: Arc::new(Renewals::new(&chance)),
            chance,
            retired: RetiredTokens::default(),
            lanes: Lanes::default(),
            gates: Gates::default(),
            witness: None,
            over: stopping.clone(),
            stopping,
            lead,
        }
    }

    /// The same with somebody who sees what is asked and answered.
    #[must_use]
    pub fn watched_by(self, witness: Arc<dyn Witness>) -> Self {
        Self { witness: Some(witness), ..self }
    }

    /// The same for one term of several: it begins nothing new once `over` is cancelled, and goes on
    /// from what could not be kept before.
    #[must_use]
    pub fn for_a_term(self, over: CancellationToken, renewals: Arc<Renewals>) -> Self {
        Self { renewals, over, ..self }
    }

    /// Whether anything new may be begun.
    pub fn may_begin(&self) -> bool {
        !self.over.is_cancelled() && self.leads()
    }

    /// Whether no other process acts: what is written down is still for us to write.
    pub fn leads(&self) -> bool {
        self.lead.holds()
    }

    /// Does what a plan says, other than to fetch. `None` where there is nothing to do: the plan is to wait, there is news
    /// that is looked at next, the engine is stopping, or another process acts.
    pub async fn carry_out(&self, case: &Case, plan: Plan) -> Option<Outcome> {
        if !self.leads() {
            return None;
        }
        match (plan, &case.materials) {
            (Plan::VerifyInputs, Some(materials)) => {
                Some(Box::pin(self.verify(case, materials)).await)
            }
            (Plan::Revoke, _) => Some(Box::pin(self.revoke_due(case)).await),
            (Plan::Withdraw(held), _) => Some(Box::pin(self.withdraw(case, held)).await),
            (Plan::Restart { changed_at }, _) => {
                Some(Box::pin(self.restart(case, changed_at)).await)
            }
            (Plan::Part, _) => {
                Box::pin(self.part(case)).await;
                Some(Outcome::Parted)
            }
            (Plan::Inspect, _) => Box::pin(self.inspect(case)).await,
            (Plan::Leave { secret_name, fate }, _) => {
                Some(Box::pin(self.leave(case, (secret_name, fate))).await)
            }
            (Plan::Finalizer(change), _) => Box::pin(self.change_finalizer(case, change)).await,
            (Plan::WriteAgain { from, held }, _) => {
                Some(Box::pin(self.write_again(case, &from, held)).await)
            }
            (Plan::Wait { .. } | Plan::VerifyInputs | Plan::Fetch(_), _) => None,
        }
    }

    /// Reads the credentials and computes the inputs' digest.
    async fn verify(&self, case: &Case, materials: &Materials) -> Outcome {
        let seen = seen(case);
        match credentials(&self.edge, materials, &self.digester).await {
            Ok((_, inputs)) => Outcome::Verified { seen, found: Ok(inputs) },
            Err(error) if is_unusable(&error) => Outcome::Verified { seen, found: Err(error) },
            Err(error) => Outcome::Failed { error, attempt: self.attempt(case) },
        }
    }

    /// Asks the provider for a token and writes it. `None` once the engine is stopping, or where
    /// another process acts.
    pub async fn fetch(&self, case: &Case, order: FetchOrder, place: Place) -> Option<Outcome> {
        let materials = case.materials.as_ref().filter(|_| self.leads())?;
        let Place { alone: _alone, pass } = place;
        let supplied = Box::pin(self.supply(materials, case.snapshot.namespace()));
        let supplied = match supplied.instrument(step("read credentials")).await {
            Ok(supplied) => supplied,
            // Nothing was asked, and nothing will be until an input changes.
            Err(error) if is_unusable(&error) => {
                return Some(Outcome::Verified { seen: seen(case), found: Err(error) });
            }
            Err(error) => return Some(Outcome::Failed { error, attempt: self.attempt(case) }),
        };
        if !self.may_begin() {
            return None;
        }
        match Box::pin(self.charge(pass.as_ref())).await {
            Ok(()) => {}
            Err(Refusal::HeldBack) => return Some(Outcome::HeldBack),
            Err(Refusal::Failed(error)) => {
                return Some(Outcome::Failed { error, attempt: self.attempt(case) });
            }
        }
        if !self.may_begin() {
            return None;
        }
        Box::pin(self.ask_and_publish(case, (materials, supplied, pass), order)).await
    }

    async fn ask_and_publish(
        &self,
        case: &Case,
        (materials, mut supplied, pass): (&Materials, Supplied, Option<Pass>),
        order: FetchOrder,
    ) -> Option<Outcome> {
        let (inputs, remark) = (supplied.inputs.clone(), supplied.remark.clone());
        let mut attempt = Attempt {
            at: self.clock.now(),
            seen: seen(case),
            inputs: Some(inputs.clone()),
            shape: shape_of(case),
            refresh_request: order.refresh_request.clone(),
            without_target: order.without_target,
            remark: remark.clone(),
            ..Attempt::default()
        };
        let last = case.snapshot.facts.secret_key.as_deref();
        let owner = case.snapshot.owner();
        let token = format!("{}/{}", owner.namespace, owner.name);
        let (credentials, pass_of) = (renewed_of(materials), pass.as_ref());
        let spender = Spender { token: &token, materials, credentials, pass: pass_of };
        let asked = match Box::pin(self.spend(spender, &mut supplied, last)).await {
            Ok(asked) => asked,
            // Nothing was asked.
            Err(error) => {
                pass.iter().for_each(Pass::give_back);
                return Some(Outcome::Failed { error, attempt: self.attempt(case) });
            }
        };
        self.tell_account(pass.as_ref(), &asked).await;
        // Writing is the API server's matter: the next may ask meanwhile.
        drop(pass);
        let remark: Vec<String> = remark.into_iter().chain(asked.clock_remark()).collect();
        attempt.at = asked.at.unwrap_or(attempt.at);
        attempt.secret_key = asked.secret_key;
        let mut issued = match asked.issued? {
            Ok(issued) => issued,
            Err(error) if is_of_inputs(&error) => {
                return Some(Outcome::Verified { seen: seen(case), found: Err(error) });
            }
            // The likeliest cause of a wrong secret.
            Err(error) if error.class() == Class::Permanent => {
                let error = remark.iter().fold(error, |error, remark| error.with_remark(remark));
                return Some(Outcome::Failed { error, attempt });
            }
            Err(error) => return Some(Outcome::Failed { error, attempt }),
        };
        drop(supplied);
        let fingerprint = self.digester.token(&issued.access_token);
        let order = self.recognise(case, order).await;
        let Life { issued_at, expires_at } = issued.life;
        let renewal = order.renewal(&fingerprint, issued_at, expires_at);
        let told = remark.into_iter().chain(issued.warnings.drain(..));
        let remarks: Vec<String> = told.chain(remarks(case, materials, renewal)).collect();
        attempt.remark = (!remarks.is_empty()).then(|| remarks.join("; "));
        let former = self.former(case, (materials, &inputs), &order).await;
        let fetched = Fetched { issued, fingerprint, renewal, order: &order, inputs: &inputs };
        Some(match self.publish(case, fetched).await {
            Ok((held, hindered)) => {
                attempt.nudge = hindered;
                attempt.revoke_at = self.retire(case, (&order, &held), former);
                self.retired.note_published(case, (materials, &held));
                Outcome::Published { held, attempt }
            }
            Err(error) => Outcome::Failed { error, attempt },
        })
    }

    /// Looks at the target before anything is asked for it.
    async fn inspect(&self, case: &Case) -> Option<Outcome> {
        let version = case.snapshot.target.as_ref()?.version();
        Some(match self.edge.inspect(&case.target_key()).await {
            Err(error) if error.reason() == Reason::ReadFailed => {
                Outcome::Failed { error, attempt: self.attempt(case) }
            }
            found => Outcome::Inspected(Inspected { version, found }),
        })
    }

    /// Clears a former target.
    async fn leave(&self, case: &Case, (name, fate): (String, DeletionPolicy)) -> Outcome {
        let owner = case.snapshot.owner();
        let old = case.secret_key(&name);
        let left = match fate {
            DeletionPolicy::Retain => Ok(()),
            DeletionPolicy::Delete => self.edge.leave(&old, &owner).await,
        };
        let error = left.err();
        if let Some(error) = &error {
            warn!(secret = %old, %error, "a former target could not be cleared");
        } else {
            info!(secret = %old, "a former target is left");
        }
        Outcome::Left { secret_name: name, error }
    }

    /// An attempt that ended before anything was asked.
    pub(super) fn attempt(&self, case: &Case) -> Attempt {
        Attempt { at: self.clock.now(), seen: seen(case), ..Attempt::default() }
    }
}

/// What an engine works with.
#[derive(Clone)]
pub struct Tools {
    /// Sends token requests.
    pub transport: Arc<Transport>,
    /// Tells whether inputs changed.
    pub digester: Arc<Digester>,
    /// Tells the time.
    pub clock: Clock,
    /// Where chance comes from.
    pub chance: Chance,
    /// Cancelled when the process is asked to end.
    pub stopping: CancellationToken,
    /// Whether this process leads.
    pub lead: Lead,
}

fn seen(case: &Case) -> String {
    case.snapshot.means.as_ref().map(|means| means.seen.clone()).unwrap_or_default()
}

/// What a person should know of how a token fits what is asked of it.
fn remarks(case: &Case, materials: &Materials, renewal: Renewal) -> Vec<String> {
    let revoke = !case.snapshot.token.spec.revoke.is_empty();
    let deaf = revoke && !materials.endpoint.can_revoke();
    [
        (deaf, CANNOT_REVOKE),
        (is_kept_alive(case, materials), KEPT_ALIVE),
        (renewal == Renewal::NoLonger, NO_LONGER),
    ]
    .into_iter()
    .filter(|(holds, _)| *holds)
    .map(|(_, remark)| remark.to_owned())
    .collect()
}

/// Whether an error lies in the inputs, so that another try makes sense only when they change.
fn is_unusable(error: &Error) -> bool {
    matches!(
        error.reason(),
        Reason::CredentialsNotFound
            | Reason::CredentialsKeyMissing
            | Reason::CredentialsNotSpecified
            | Reason::SecretTypeNotAllowed
    ) || is_of_inputs(error)
}

/// Whether no request could be built from the inputs.
fn is_of_inputs(error: &Error) -> bool {
    let reason = error.reason();
    matches!(reason, Reason::InvalidCredentials | Reason::InvalidProvider | Reason::InvalidSpec)
        && error.class() == Class::Permanent
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
