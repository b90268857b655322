//! Which of several processes acts: the one that holds the Lease. The others are ready to.

use http::{Method, Request};
use k8s_controller::LeaderElection;
use kube::Client;
use kube::client::Body;
use tokio::select;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Chance, Lead, LeaseTimes};
use crate::clock::steady;

/// The Lease.
const LEASE: &str = "tokenward";

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
    /// A process that is not elected yet.
    pub fn new(client: &Client, settings: &LeaseSettings, chance: &Chance) -> Self {
        let LeaseSettings { namespace, times } = settings;
        let lead = Lead::by_lease(*times);
        let client = observed(client.clone(), (lead.clone(), *times));
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

/// A client for the Lease and nothing else: `lead` is told of each write, and no request outlasts
/// the deadline for renewals, however silent the other side is.
fn observed(client: Client, (lead, times): (Lead, LeaseTimes)) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, lead) = (client.clone(), lead.clone());
        async move {
            let (sent, is_write) = (steady(), request.method() != Method::GET);
            let answer = tokio::time::timeout(times.renew_deadline, client.send(request)).await;
            let answer = answer.map_err(|_| kube::Error::Service("no answer in time".into()))??;
            if is_write && answer.status().is_success() {
                lead.note_renewed(sent);
            }
            Ok::<_, kube::Error>(answer)
        }
    });
    Client::new(service, "default")
}
