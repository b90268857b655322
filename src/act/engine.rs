//! Carrying out a plan: read, ask, write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::gates::Gates;
use super::{Case, Edge, TargetWrite};
use crate::api::annotations::{
    EXPIRES_AT, INPUTS, ISSUED_AT, OWNER, REFRESH_AT, format_time, whole_seconds,
};
use crate::clock::Clock;
use crate::decide::{Attempt, FetchOrder, HeldToken, Outcome, Plan, SecretKey, ownership};
use crate::error::{Class, Error, Reason};
use crate::oauth::{Credentials, Digester, Issued, TokenRequest, Transport};
use crate::render::{Data, Shown, read_back, render};
use crate::watch::Materials;

/// Once the engine is stopping, how long an answer is still waited for. What is left of the
/// 30 s that a pod has by default is for writing it.
const GRACE: Duration = Duration::from_secs(10);

/// Carries out plans.
pub struct Engine<E> {
    /// Where tokens go and credentials come from.
    pub edge: E,
    transport: Arc<Transport>,
    digester: Arc<Digester>,
    clock: Clock,
    gates: Gates,
    stopping: CancellationToken,
}

/// What has been read and built before a request is sent.
struct Prepared {
    credentials: Credentials,
    inputs: String,
    request: TokenRequest,
    /// What a person should know of the inputs.
    remark: Option<String>,
}

impl<E: Edge> Engine<E> {
    /// An engine. Once `stopping` is cancelled it starts no more token requests, and waits for the
    /// answers to those under way for at most 10 s.
    pub fn new(edge: E, tools: Tools) -> Self {
        let Tools { transport, digester, clock, stopping } = tools;
        Self { edge, transport, digester, clock, gates: Gates::default(), stopping }
    }

    /// Does what a plan says. `None` where there is nothing to do: the plan is to wait, or the
    /// engine is stopping.
    pub async fn carry_out(&self, case: &Case, plan: Plan) -> Option<Outcome> {
        match (plan, &case.materials) {
            (Plan::VerifyInputs, Some(materials)) => Some(self.verify(case, materials).await),
            (Plan::Fetch(order), Some(materials)) => self.fetch(case, materials, order).await,
            (Plan::WriteAgain { from, held }, _) => Some(self.write_again(case, &from, held).await),
            (Plan::Wait { .. } | Plan::VerifyInputs | Plan::Fetch(_), _) => None,
        }
    }

    /// Reads the credentials and computes the inputs' digest.
    async fn verify(&self, case: &Case, materials: &Materials) -> Outcome {
        let seen = seen(case);
        match self.edge.credentials(&materials.credentials).await {
            Ok(credentials) => {
                Outcome::Verified { seen, found: self.inputs(materials, &credentials) }
            }
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
        let _place = self.gates.enter(materials.endpoint.origin()).await;
        if let Err(error) = self.may_adopt(case).await {
            return Some(Outcome::Failed { error, attempt: self.attempt(case) });
        }
        let prepared = match self.prepare(materials).await {
            Ok(prepared) => prepared,
            // Nothing was asked, and nothing will be until an input changes.
            Err(error) if is_unusable(&error) => {
                return Some(Outcome::Verified { seen: seen(case), found: Err(error) });
            }
            Err(error) => return Some(Outcome::Failed { error, attempt: self.attempt(case) }),
        };
        let Prepared { credentials, inputs, request, remark } = prepared;
        if self.stopping.is_cancelled() {
            return None;
        }
        let attempt = Attempt {
            at: self.clock.now(),
            seen: seen(case),
            inputs: Some(inputs.clone()),
            refresh_request: order.refresh_request.clone(),
            without_target: order.without_target,
            remark: remark.clone(),
        };
        let answer = tokio::select! {
            answer = self.transport.send(request) => answer,
            () = self.grace_is_over() => {
                warn!(token = %case.snapshot.owner(), "ending without the provider's answer");
                return None;
            }
        };
        let issued = match answer {
            Ok(answer) => materials.endpoint.read(&answer, &credentials),
            Err(error) => Err(error),
        };
        let issued = issued.map_err(|error| match remark {
            // The likeliest cause of a wrong secret.
            Some(remark) if error.class() == Class::Permanent => error.with_remark(&remark),
            _ => error,
        });
        drop(credentials);
        let written = match issued {
            Ok(issued) => self.publish(case, issued, (&order, &inputs)).await,
            Err(error) => Err(error),
        };
        Some(match written {
            Ok(held) => Outcome::Published { held, attempt },
            Err(error) => Outcome::Failed { error, attempt },
        })
    }

    async fn grace_is_over(&self) {
        self.stopping.cancelled().await;
        tokio::time::sleep(GRACE).await;
    }

    /// Writes the token that is there again.
    async fn write_again(&self, case: &Case, from: &str, held: HeldToken) -> Outcome {
        let owner = case.snapshot.owner();
        let old = SecretKey { namespace: owner.namespace.clone(), name: from.to_owned() };
        let data = match self.edge.read(&old, &owner).await {
            Ok(data) => data,
            Err(error) => return Outcome::Failed { error, attempt: self.attempt(case) },
        };
        let data = data.unwrap_or_default();
        let Some(shown) = read_back(&data, held.expires_at) else {
            return already_there(case, from, &data).unwrap_or(Outcome::NothingToWriteAgain);
        };
        let held = HeldToken { secret_name: case.snapshot.secret_name().to_owned(), ..held };
        let inputs = case.snapshot.facts.attempted.clone().unwrap_or_default();
        match self.write(case, &held, (shown, inputs)).await {
            Ok(()) => {
                self.leave(case, from).await;
                Outcome::WrittenAgain { held }
            }
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

    async fn prepare(&self, materials: &Materials) -> Result<Prepared, Error> {
        let credentials = self.edge.credentials(&materials.credentials).await?;
        let inputs = self.inputs(materials, &credentials)?;
        let newlines = credentials.ending_in_newline(materials.endpoint.credential_keys());
        let remark = (!newlines.is_empty()).then(|| {
            let (source, keys) = (credentials.source(), newlines.join(", "));
            format!("Secret {source}: {keys} ends in a newline, which is seldom meant")
        });
        let request = materials.endpoint.request(&materials.asking, &credentials)?;
        Ok(Prepared { credentials, inputs, request, remark })
    }

    fn inputs(&self, materials: &Materials, credentials: &Credentials) -> Result<String, Error> {
        self.digester.inputs(&materials.endpoint, &materials.asking, credentials)
    }

    async fn publish(
        &self,
        case: &Case,
        issued: Issued,
        (order, inputs): (&FetchOrder, &str),
    ) -> Result<HeldToken, Error> {
        let fingerprint = self.digester.token(&issued.access_token);
        let held = HeldToken {
            issued_at: whole_seconds(issued.life.issued_at),
            expires_at: whole_seconds(issued.life.expires_at),
            refresh_at: whole_seconds(order.refresh_at(
                &fingerprint,
                issued.life.issued_at,
                issued.life.expires_at,
            )),
            token_type: issued.token_type.clone(),
            scopes: issued.scopes,
            secret_name: case.snapshot.secret_name().to_owned(),
            fingerprint: Some(fingerprint),
        };
        let shown = Shown {
            access_token: issued.access_token,
            token_type: issued.token_type,
            expires_at: held.expires_at,
        };
        self.write(case, &held, (shown, inputs.to_owned())).await?;
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
        (shown, inputs): (Shown, String),
    ) -> Result<(), Error> {
        let owner = case.snapshot.owner();
        let annotations = BTreeMap::from([
            (ISSUED_AT, format_time(held.issued_at)),
            (EXPIRES_AT, format_time(held.expires_at)),
            (REFRESH_AT, format_time(held.refresh_at)),
            (INPUTS, inputs),
            (OWNER, owner.to_string()),
        ]);
        let key = SecretKey { namespace: owner.namespace.clone(), name: held.secret_name.clone() };
        let seen = case.snapshot.target.clone();
        self.edge.write(TargetWrite { key, owner, annotations, data: render(&shown), seen }).await
    }

    /// Removes the Secret that was the target before, if the target was renamed.
    async fn leave(&self, case: &Case, old_name: &str) {
        if old_name == case.snapshot.secret_name() {
            return;
        }
        let owner = case.snapshot.owner();
        let old = SecretKey { namespace: owner.namespace.clone(), name: old_name.to_owned() };
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

fn seen(case: &Case) -> String {
    case.snapshot.means.as_ref().map(|means| means.seen.clone()).unwrap_or_default()
}

/// A later token than the one that is remembered: a write whose answer was lost had its effect.
fn already_there(case: &Case, name: &str, data: &Data) -> Option<Outcome> {
    let target = case.snapshot.target.as_ref().filter(|_| name == case.snapshot.secret_name())?;
    let found = HeldToken::of_target(target, name)?;
    let held = case.snapshot.facts.held.as_ref()?;
    (found.issued_at > held.issued_at).then(|| read_back(data, found.expires_at)).flatten()?;
    Some(Outcome::WrittenAgain { held: found })
}

/// Whether an error lies in the inputs, so that another try makes sense only when they change.
fn is_unusable(error: &Error) -> bool {
    matches!(
        error.reason(),
        Reason::CredentialsNotFound
            | Reason::CredentialsKeyMissing
            | Reason::InvalidCredentials
            | Reason::SecretTypeNotAllowed
            | Reason::InvalidProvider
            | Reason::InvalidSpec
    )
}
