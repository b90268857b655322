//! Carrying out a plan: read, ask, write.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::discovery::Discovery;
use super::gates::Gates;
use super::renewal::{Kept, Renewals, seed};
use super::retired::RetiredTokens;
use super::revocation::{KEPT_ALIVE, is_kept_alive};
use super::supply::{Supplied, credentials};
use super::witness::Witness;
use super::{Case, Edge, TargetWrite};
use crate::api::annotations::{
    EXPIRES_AT, INPUTS, ISSUED_AT, OWNER, REFRESH_AT, format_time, whole_seconds,
};
use crate::clock::Clock;
use crate::decide::{Attempt, FetchOrder, HeldToken, Outcome, Plan, Renewal, ownership};
use crate::error::{Class, Error, Reason};
use crate::oauth::{CANNOT_REVOKE, Digester, Issued, Life, Renewed, Supplies, Transport};
use crate::render::{Data, Shown, read_back, render};
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
            transport,
            digester,
            clock,
            renewals: Renewals::default(),
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
            (Plan::Part, _) => {
                self.part(case).await;
                Some(Outcome::Parted)
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
        // Behind a provider that hangs time passes: what is read is read after that.
        let _place = match materials.endpoint.origin() {
            Some(origin) => self.gates.enter(origin).await,
            None => None,
        };
        let _alone = match &materials.credentials {
            Some(source) if materials.endpoint.renews() => {
                self.gates.alone_with(&source.secret).await
            }
            _ => None,
        };
        if let Err(error) = self.may_adopt(case).await {
            return Some(Outcome::Failed { error, attempt: self.attempt(case) });
        }
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
        self.ask_and_publish(case, (materials, supplied), order).await
    }

    async fn ask_and_publish(
        &self,
        case: &Case,
        (materials, supplied): (&Materials, Supplied),
        order: FetchOrder,
    ) -> Option<Outcome> {
        let Supplied { mut supplies, inputs, remark } = supplied;
        let mut attempt = Attempt {
            at: self.clock.now(),
            seen: seen(case),
            inputs: Some(inputs.clone()),
            refresh_request: order.refresh_request.clone(),
            without_target: order.without_target,
            remark: remark.clone(),
            ..Attempt::default()
        };
        let last = case.snapshot.facts.secret_key.as_deref();
        let asked = self.ask(materials, &mut supplies, last).await;
        let remark: Vec<String> = remark.into_iter().chain(asked.clock_remark()).collect();
        attempt.secret_key = asked.secret_key;
        if let Err(error) = self.keep_renewed(materials, &supplies, asked.renewed).await {
            return Some(Outcome::Failed { error, attempt });
        }
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
        drop(supplies);
        let fingerprint = self.digester.token(&issued.access_token);
        let Life { issued_at, expires_at } = issued.life;
        let renewal = order.renewal(&fingerprint, issued_at, expires_at);
        let told = remark.into_iter().chain(issued.warnings.drain(..));
        let remarks: Vec<String> = told.chain(remarks(case, materials, renewal)).collect();
        attempt.remark = (!remarks.is_empty()).then(|| remarks.join("; "));
        let former = self.former(case, (materials, &inputs), &order).await;
        let fetched = Fetched { issued, fingerprint, renewal, order: &order, inputs: &inputs };
        Some(match self.publish(case, fetched).await {
            Ok(held) => {
                attempt.revoke_at = self.retire(case, (&order, &held), former);
                self.retired.note_published(case, (materials, &held));
                Outcome::Published { held, attempt }
            }
            Err(error) => Outcome::Failed { error, attempt },
        })
    }

    /// Keeps what the answer renewed, before the token is published, and what could not be kept
    /// before.
    async fn keep_renewed(
        &self,
        materials: &Materials,
        supplies: &Supplies,
        answered: Renewed,
    ) -> Result<(), Error> {
        let Some(source) = materials.credentials.as_ref().filter(|_| materials.endpoint.renews())
        else {
            return Ok(());
        };
        let former = &supplies.renewed;
        let renewed = Renewed {
            refresh_token: answered.refresh_token.or_else(|| former.refresh_token.clone()),
            access_token: answered.access_token.or_else(|| former.access_token.clone()),
        };
        if renewed.same_as(former) && self.renewals.unsaved(&source.secret).is_none() {
            return Ok(());
        }
        let seed = seed(&supplies.credentials, &self.digester);
        self.keep(&source.secret, Kept { seed, renewed }).await
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
        let Some(shown) = read_back(&data, held.expires_at, &held.outputs) else {
            return already_there(case, from, &data).unwrap_or(Outcome::NothingToWriteAgain);
        };
        let held = HeldToken { secret_name: case.snapshot.secret_name().to_owned(), ..held };
        let inputs = case.snapshot.facts.attempted.clone().unwrap_or_default();
        match self.write(case, &held, (render(&shown), inputs)).await {
            Ok(()) => {
                self.leave(case, from).await;
                Outcome::WrittenAgain { held }
            }
            Err(error) => Outcome::Failed { error, attempt: self.attempt(case) },
        }
    }

    /// Takes the keys of an expired token out of its target; whose it is and since when stays told.
    async fn withdraw(&self, case: &Case, held: HeldToken) -> Outcome {
        let inputs = case.snapshot.facts.attempted.clone().unwrap_or_default();
        match self.write(case, &held, (Data::new(), inputs)).await {
            Ok(()) => Outcome::Withdrawn,
            Err(error) => Outcome::Failed { error, attempt: self.attempt(case) },
        }
    }

    /// A target that is to be taken over is looked at before anything is asked for it.
    async fn may_adopt(&self, case: &Case) -> Result<(), Error> {
        let (holder, owner) = (ownership(&case.snapshot), case.snapshot.owner());
        let target = case.snapshot.target.as_ref();
        match target.is_some_and(|target| target.is_new_to(&owner, &holder)) {
            true => self.edge.may_adopt(&case.target_key()).await,
            false => Ok(()),
        }
    }

    async fn publish(&self, case: &Case, fetched: Fetched<'_>) -> Result<HeldToken, Error> {
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
        };
        let shown = Shown {
            access_token: issued.access_token,
            token_type: issued.token_type,
            expires_at: held.expires_at,
            outputs: issued.outputs,
        };
        self.write(case, &held, (render(&shown), inputs.to_owned())).await?;
        if let Some(old) = &order.held {
            self.leave(case, &old.secret_name).await;
        }
        info!(
            namespace = case.snapshot.owner().namespace,
            name = case.snapshot.owner().name,
            expires_at = format_time(held.expires_at),
            refresh_at = format_time(held.refresh_at),
            "token written"
        );
        Ok(held)
    }

    async fn write(
        &self,
        case: &Case,
        held: &HeldToken,
        (data, inputs): (Data, String),
    ) -> Result<(), Error> {
        let write = target_write(case, held, (data, inputs));
        self.edge.write(write).await
    }

    /// Removes the Secret that was the target before, if the target was renamed.
    async fn leave(&self, case: &Case, old_name: &str) {
        if old_name == case.snapshot.secret_name() {
            return;
        }
        let owner = case.snapshot.owner();
        let old = case.secret_key(old_name);
        if let Err(error) = self.edge.remove(&old, &owner).await {
            warn!(secret = %old, %error, "the former target could not be removed");
        }
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
    (data, inputs): (Data, String),
) -> TargetWrite {
    let owner = case.snapshot.owner();
    let annotations = BTreeMap::from([
        (ISSUED_AT, format_time(held.issued_at)),
        (EXPIRES_AT, format_time(held.expires_at)),
        (REFRESH_AT, format_time(held.refresh_at)),
        (INPUTS, inputs),
        (OWNER, owner.to_string()),
    ]);
    let key = case.secret_key(&held.secret_name);
    TargetWrite { key, owner, annotations, data, seen: case.snapshot.target.clone() }
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
    (found.issued_at > held.issued_at).then(|| read_back(data, found.expires_at, &[])).flatten()?;
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
