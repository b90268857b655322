//! Which of several processes acts: the one that holds the Lease. The others are ready to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use k8s_controller::LeaderElection;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use tokio::select;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{ApiError, Chance, Lead, LeaseTimes, Readiness};
use crate::clock::steady;

/// The Lease.
const LEASE: &str = "tokenward";
/// The gate that is closed while it is refused to us.
const GATE: &str = "lease";

/// Where a Lease is, and how it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseSettings {
    /// Its namespace.
    pub namespace: String,
    /// How long it holds.
    pub times: LeaseTimes,
}

/// How a process comes to act.
#[derive(Clone)]
pub enum Candidacy {
    /// Nobody else does.
    Unopposed,
    /// It holds a Lease.
    Elected(Box<Election>),
}

/// An election by a Lease.
#[derive(Clone)]
pub struct Election {
    lease: LeaderElection,
    lead: Lead,
    times: LeaseTimes,
}

impl Election {
    /// A process that is not elected yet. It is not ready while the API server refuses it the
    /// Lease.
    pub fn new(
        client: &Client,
        settings: &LeaseSettings,
        (chance, readiness): (&Chance, &Readiness),
    ) -> Self {
        let LeaseSettings { namespace, times } = settings;
        let lead = Lead::by_lease(*times);
        let access = Arc::new(LeaseAccess::new(readiness.clone(), times.duration));
        let client = observed(client.clone(), (lead.clone(), *times), access);
        let lease = LeaderElection::new(client, namespace, LEASE, &identity(chance))
            .with_lease_duration(times.duration)
            .with_renew_deadline(times.renew_deadline)
            .with_retry_period(times.retry_period);
        Self { lease, lead, times: *times }
    }

    /// One term: waits for the Lease, acts, and gives it back once all that was begun has ended.
    async fn stand<F>(
        &self,
        stopping: &CancellationToken,
        term: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = ()>,
    {
        let (elected, done) = (CancellationToken::new(), CancellationToken::new());
        let over = stopping.child_token();
        let holding = self.lease.with_lease(async {
            elected.cancel();
            done.cancelled().await;
        });
        let acting = async {
            elected.cancelled().await;
            self.lead.set_in_office(true);
            term(over.clone()).await;
            self.lead.set_in_office(false);
            done.cancel();
        };
        let (mut holding, mut acting) = (Box::pin(holding), Box::pin(acting));
        let candidate = stopping.cancelled();
        let standing_down = async {
            candidate.await;
            // Who leads ends in good order.
            if elected.is_cancelled() {
                std::future::pending::<()>().await;
            }
        };
        select! {
            biased;
            held = &mut holding => if held.is_none() {
                self.lead.set_in_office(false);
                warn!("this process does not lead any more: what it began is ended, then it stands by");
                over.cancel();
                acting.await;
            },
            // Only the Lease is still to be given back.
            () = &mut acting => self.give_back(holding).await,
            () = standing_down => {
                drop(holding);
                // It may have been taken at this very moment.
                self.give_back(self.lease.release()).await;
            }
        }
    }

    async fn give_back<T>(&self, release: impl Future<Output = T>) {
        if tokio::time::timeout(self.times.retry_period, release).await.is_err() {
            warn!("the Lease could not be given back: others wait until it has run out");
        }
    }
}

impl Candidacy {
    /// Whether this process leads.
    pub fn lead(&self) -> Lead {
        match self {
            Self::Unopposed => Lead::unopposed(),
            Self::Elected(election) => election.lead.clone(),
        }
    }

    /// Lets `term` run whenever this process leads, until it is asked to end. What a term is given
    /// is cancelled when nothing new is to be begun; the next one waits for its end.
    pub async fn serve<F>(
        &self,
        stopping: &CancellationToken,
        term: impl Fn(CancellationToken) -> F,
    ) where
        F: Future<Output = ()>,
    {
        match self {
            Self::Unopposed => term(stopping.clone()).await,
            Self::Elected(election) => {
                info!(lease = LEASE, "standing by");
                while !stopping.is_cancelled() {
                    election.stand(stopping, &term).await;
                }
            }
        }
    }
}

/// A name that no other process has. In a pod it begins with the pod's.
pub(crate) fn identity(chance: &Chance) -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "tokenward".to_owned());
    format!("{host}/{:016x}", chance.number().to_bits())
}

/// Whether the API server lets us have the Lease, told on a page.
struct LeaseAccess {
    readiness: Readiness,
    /// When it last did not. What may be read may still not be written: a read that is good says
    /// little while that is not long ago.
    refused: Mutex<Option<Instant>>,
    recent: Duration,
}

impl LeaseAccess {
    fn new(readiness: Readiness, recent: Duration) -> Self {
        Self { readiness, refused: Mutex::default(), recent }
    }

    /// Looks at an answer, and hands it on.
    async fn note(&self, method: &Method, answer: Response<Body>) -> kube::Result<Response<Body>> {
        let status = answer.status();
        let refused = |now| *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = now;
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {}
            // The namespace; a Lease that is not there yet is made.
            StatusCode::NOT_FOUND if method == Method::POST => {}
            _ if status.is_success() && self.is_settled(method) => {
                self.readiness.open(GATE);
                refused(None);
                return Ok(answer);
            }
            _ => return Ok(answer),
        }
        let (head, body) = answer.into_parts();
        let body = body.collect_bytes().await?;
        let told = match serde_json::from_slice::<Status>(&body) {
            Ok(status) => ApiError::Refused(Box::new(status)).to_string(),
            Err(_) => format!("HTTP {}", status.as_u16()),
        };
        self.readiness.close(GATE, format!("nobody can be elected by it: {told}"));
        refused(Some(steady()));
        Ok(Response::from_parts(head, Body::from(body)))
    }

    /// Whether a success ends what there was of refusals.
    fn is_settled(&self, method: &Method) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.is_some_and(|at| method != Method::GET || at + self.recent <= steady())
    }
}

/// A client for the Lease and nothing else: `lead` is told of each write, and no request outlasts
/// the deadline for renewals, however silent the other side is.
fn observed(client: Client, (lead, times): (Lead, LeaseTimes), access: Arc<LeaseAccess>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, lead, access) = (client.clone(), lead.clone(), Arc::clone(&access));
        async move {
            let (sent, method) = (steady(), request.method().clone());
            let answer = async { access.note(&method, client.send(request).await?).await };
            let answer = tokio::time::timeout(times.renew_deadline, answer).await;
            let answer = answer.map_err(|_| kube::Error::Service("no answer in time".into()))??;
            if method != Method::GET && answer.status().is_success() {
                lead.note_renewed(sent);
            }
            Ok::<_, kube::Error>(answer)
        }
    });
    Client::new(service, "default")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECENT: Duration = Duration::from_secs(15);

    fn answer(status: u16, message: &str) -> Response<Body> {
        let body = serde_json::json!({
            "status": "Failure", "code": status, "reason": "Forbidden", "message": message
        });
        let body = Body::from(body.to_string().into_bytes());
        Response::builder().status(status).body(body).unwrap()
    }

    #[tokio::test]
    async fn a_lease_that_is_refused_is_told_until_it_is_had() {
        let readiness = Readiness::default();
        let access = LeaseAccess::new(readiness.clone(), RECENT);
        access.note(&Method::GET, answer(404, "")).await.unwrap();
        access.note(&Method::POST, answer(409, "")).await.unwrap();
        access.note(&Method::POST, answer(201, "")).await.unwrap();
        assert_eq!(readiness.told(), "", "it is made, or another one was faster");
        let message = "leases.coordination.k8s.io \"tokenward\" is forbidden: User \"a\" cannot update \
                       resource \"leases\" in API group \"coordination.k8s.io\" in the namespace \"b\"";
        let refusal = access.note(&Method::PUT, answer(403, message)).await.unwrap();
        let refusal: Status =
            serde_json::from_slice(&refusal.into_body().collect_bytes().await.unwrap()).unwrap();
        assert_eq!(refusal.message, message, "it is handed on as it came");
        let told = "[-] lease: nobody can be elected by it: RBAC does not let tokenward update leases \
                    (403)\n";
        assert_eq!(readiness.told(), told);
        access.note(&Method::GET, answer(200, "")).await.unwrap();
        assert_eq!(readiness.told(), told, "it may be read, and was before");
        access.note(&Method::PUT, answer(200, "")).await.unwrap();
        assert_eq!(readiness.told(), "[+] lease\n");
    }

    #[tokio::test]
    async fn one_that_stands_by_is_ready_again_without_a_write() {
        let readiness = Readiness::default();
        let access = LeaseAccess::new(readiness.clone(), Duration::ZERO);
        access.note(&Method::POST, answer(404, "")).await.unwrap();
        assert!(!readiness.is_ready(), "there is no such namespace");
        access.note(&Method::GET, answer(200, "")).await.unwrap();
        assert!(readiness.is_ready());
    }
}
