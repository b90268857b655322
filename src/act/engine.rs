//! Carrying out a plan: read, ask, write.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::accounts::{Accounts, Pass};
use super::book::Refusal;
use super::discovery::Discovery;
use super::gates::Gates;
use super::renewal::Renewals;
use super::retired::RetiredTokens;
use super::revocation::{KEPT_ALIVE, is_kept_alive};
use super::spend::Spender;
use super::supply::{Supplied, credentials, renewed_of};
use super::turn::Entry;
use super::witness::Witness;
use super::{Case, Edge, Otherwise, TargetWrite};
use crate::api::annotations::{
    CHANGED_AT, EXPIRES_AT, INPUTS, ISSUED_AT, OUTPUTS, OWNER, REFRESH_AT, SHAPE, format_time,
    whole_seconds,
};
use crate::api::{CreationPolicy, DeletionPolicy};
use crate::clock::Clock;
use crate::decide::{Attempt, FetchOrder, HeldToken, Inspected, Outcome, Plan, Renewal, Snapshot};
use crate::error::{Class, Error, Reason};
use crate::oauth::{CANNOT_REVOKE, Digester, Issued, Life, Transport};
use crate::render::{Data, Place, Rendered, Shape, Shown, Times, read_back};
use crate::watch::Materials;

/// Carries out plans.
pub struct Engine<E> {
    /// Where tokens go and credentials come from.
    pub edge: E,
    pub(super) transport: Arc<Transport>,
    pub(super) digester: Arc<Digester>,
    pub(super) clock: Clock,
    pub(super) discovery: Discovery,
    pub(super) renewals: Renewals,
    pub(super) retired: RetiredTokens,
    pub(super) stopping: CancellationToken,
    pub(super) witness: Option<Arc<dyn Witness>>,
    pub(super) accounts: Arc<Accounts>,
    gates: Gates,
}

/// What is said of a token that ends with the one before it.
const NO_LONGER: &str = "the new token ends no later than the former one: all tokens of the \
                         session that it comes from end together";

/// A token that is to be written.
struct Fetched<'a> {
    issued: Issued,
    fingerprint: String,
    renewal: Renewal,
    order: &'a FetchOrder,
    inputs: &'a str,
}

impl<E: Edge> Engine<E> {
    /// An engine. Once `stopping` is cancelled it starts no more token requests, and waits for the
    /// answers to those under way for at most 10 s.
    pub fn new(edge: E, tools: Tools) -> Self {
        let Tools { transport, digester, clock, stopping } = tools;
        Self {
            edge,
            discovery: Discovery::new(Arc::clone(&transport), clock.clone()),
            accounts: Arc::new(Accounts::new(clock.clone())),
            transport,
            digester,
            clock,
            renewals: Renewals::new(),
            retired: RetiredTokens::default(),
            gates: Gates::default(),
            witness: None,
            stopping,
        }
    }

    /// The same with somebody who sees what is asked and answered.
    #[must_use]
    pub fn watched_by(self, witness: Arc<dyn Witness>) -> Self {
        Self { witness: Some(witness), ..self }
    }

    /// Whether nothing new is to be begun.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Does what a plan says. `None` where there is nothing to do: the plan is to wait, or the
    /// engine is stopping.
    pub async fn carry_out(&self, case: &Case, plan: Plan) -> Option<Outcome> {
        match (plan, &case.materials) {
            (Plan::VerifyInputs, Some(materials)) => Some(self.verify(case, materials).await),
            (Plan::Fetch(order), Some(materials)) => self.fetch(case, materials, order).await,
            (Plan::Revoke, _) => Some(self.revoke_due(case).await),
            (Plan::Withdraw(held), _) => Some(self.withdraw(case, held).await),
            (Plan::Restart { changed_at }, _) => Some(self.restart(case, changed_at).await),
            (Plan::Part, _) => {
                self.part(case).await;
                Some(Outcome::Parted)
            }
            (Plan::Inspect, _) => self.inspect(case).await,
            (Plan::Leave { secret_name, fate }, _) => {
                Some(self.leave(case, (secret_name, fate)).await)
            }
            (Plan::Finalizer(change), _) => self.change_finalizer(case, change).await,
            (Plan::WriteAgain { from, held }, _) => Some(self.write_again(case, &from, held).await),
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

    /// Asks the provider for a token and writes it. `None` once the engine is stopping.
    async fn fetch(
        &self,
        case: &Case,
        materials: &Materials,
        order: FetchOrder,
    ) -> Option<Outcome> {
        let _alone = match renewed_of(materials) {
            Some(credentials) => self.gates.alone_with(credentials).await,
            None => None,
        };
        // Behind a provider that hangs time passes: what is read is read after that.
        let pass = match self.enter(case, materials, &order).await {
            Entry::Open(pass) => pass,
            Entry::HeldBack => return Some(Outcome::HeldBack),
            Entry::Stopping => return None,
        };
        let supplied = match self.supply(materials, case.snapshot.namespace()).await {
            Ok(supplied) => supplied,
            // Nothing was asked, and nothing will be until an input changes.
            Err(error) if is_unusable(&error) => {
                return Some(Outcome::Verified { seen: seen(case), found: Err(error) });
            }
            Err(error) => return Some(Outcome::Failed { error, attempt: self.attempt(case) }),
        };
        if self.stopping.is_cancelled() {
            return None;
        }
        match self.charge(pass.as_ref()).await {
            Ok(()) => {}
            Err(Refusal::HeldBack) => return Some(Outcome::HeldBack),
            Err(Refusal::Failed(error)) => {
                return Some(Outcome::Failed { error, attempt: self.attempt(case) });
            }
        }
        if self.stopping.is_cancelled() {
            return None;
        }
        self.ask_and_publish(case, (materials, supplied, pass), order).await
    }

    async fn ask_and_publish(
        &self,
        case: &Case,
        (materials, supplied, pass): (&Materials, Supplied, Option<Pass>),
        order: FetchOrder,
    ) -> Option<Outcome> {
        let mut supplied = supplied;
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

    /// Writes the token that is there again.
    async fn write_again(&self, case: &Case, from: &str, held: HeldToken) -> Outcome {
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
    async fn withdraw(&self, case: &Case, held: HeldToken) -> Outcome {
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

    async fn publish(
        &self,
        case: &Case,
        fetched: Fetched<'_>,
    ) -> Result<(HeldToken, Option<String>), Error> {
        let Fetched { issued, fingerprint, renewal, order, inputs } = fetched;
        let Life { issued_at, expires_at } = issued.life;
        let held = HeldToken {
            issued_at: whole_seconds(issued_at),
            expires_at: whole_seconds(expires_at),
            refresh_at: whole_seconds(order.refresh_at(renewal, issued_at, expires_at)),
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
        self.edge.write(write).await
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
    fn attempt(&self, case: &Case) -> Attempt {
        Attempt { at: self.clock.now(), seen: seen(case), ..Attempt::default() }
    }
}

/// What an engine works with.
pub struct Tools {
    /// Sends token requests.
    pub transport: Arc<Transport>,
    /// Tells whether inputs changed.
    pub digester: Arc<Digester>,
    /// Tells the time.
    pub clock: Clock,
    /// Cancelled when the process is asked to end.
    pub stopping: CancellationToken,
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
        (REFRESH_AT, format_time(held.refresh_at)),
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

fn shape_of(case: &Case) -> String {
    case.shape.as_ref().map(|shape| shape.digest().to_owned()).unwrap_or_default()
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

/// A later token than the one that is remembered: a write whose answer was lost had its effect.
fn already_there(case: &Case, name: &str, data: &Data) -> Option<Outcome> {
    let target = case.snapshot.target.as_ref().filter(|_| name == case.snapshot.secret_name())?;
    let found = HeldToken::of_target(target, name)?;
    let held = case.snapshot.facts.held.as_ref()?;
    (found.issued_at > held.issued_at).then(|| read_back(data, times(&found), &[])).flatten()?;
    Some(Outcome::WrittenAgain { held: found })
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
