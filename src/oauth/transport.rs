//! The one place that does HTTP.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Request, Response};
use secrecy::{ExposeSecret, SecretBox};
use tracing::{Instrument, debug};
use url::{Host, Url};

use super::answer::Answer;
use super::endpoint::{Endpoint, Provenance};
use super::guard::AddressPolicy;
use super::identity::Identity;
use super::request::TokenRequest;
use crate::api::Method;
use crate::clock::Clock;
use crate::error::{Error, Reason};
use crate::spans;

/// Largest answer that is read.
const BODY_CAP: usize = 64 * 1024;

/// Clients that are kept: whoever changes a certificate bundle over and over leaves no more.
const MOST_CLIENTS: usize = 64;

/// How long an idle connection is kept: less than servers do, some of which close after 5 s. One
/// that is closed under a request would be a failure that says nothing of the provider.
const IDLE: Duration = Duration::from_secs(4);

/// Idle connections that are kept for each host.
const IDLE_PER_HOST: usize = 4;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Resolving and connecting, TLS included.
    pub connect: Duration,
    /// The whole request, until the last byte of the answer.
    pub total: Duration,
}

/// What a transport is allowed to do.
#[derive(Clone, Debug)]
pub struct TransportSettings {
    /// Plain http token endpoints.
    pub allow_http: bool,
    /// Where connections may go.
    pub addresses: AddressPolicy,
    /// How long they may take.
    pub timeouts: Timeouts,
}

/// Carries a request to its provider and the answer back, once.
pub trait Carrier: Send + Sync {
    /// The answer, whatever its status.
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>>;
}

/// Sends token requests. One pooled client for each TLS setting (and provenance and port, which
/// the address guard needs to know).
pub struct Transport {
    settings: TransportSettings,
    clock: Clock,
    clients: Mutex<HashMap<ClientKey, Client>>,
    carrier: Option<Arc<dyn Carrier>>,
}

#[derive(PartialEq, Eq, Hash)]
struct ClientKey {
    ca_bundle: Option<Vec<u8>>,
    identity: Option<[u8; 32]>,
    provenance: Provenance,
    port: u16,
}

impl Transport {
    /// A transport without any connection yet.
    pub fn new(settings: TransportSettings, clock: Clock) -> Self {
        Self { settings, clock, clients: Mutex::default(), carrier: None }
    }

    /// The same over something else than the network.
    #[must_use]
    pub fn carried_by(self, carrier: Arc<dyn Carrier>) -> Self {
        Self { carrier: Some(carrier), ..self }
    }

    /// The longest that a request takes.
    pub fn longest(&self) -> Duration {
        self.settings.timeouts.total
    }

    /// What can be said of an endpoint before any request: its scheme, and its address where the
    /// URL holds one.
    pub fn admits(&self, endpoint: &Endpoint) -> Result<(), Error> {
        endpoint.origin().map_or(Ok(()), |url| self.admits_url(url, endpoint.provenance()))
    }

    fn admits_url(&self, url: &Url, provenance: Provenance) -> Result<(), Error> {
        if url.scheme() != "https" && !self.settings.allow_http {
            return Err(denied("plain http is refused: use https, or start with --allow-http"));
        }
        let port = url.port_or_known_default().unwrap_or_default();
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        self.settings
            .addresses
            .judge(SocketAddr::new(ip, port), provenance)
            .map_err(|kind| denied_address(kind, &ip.to_string()))
    }

    /// Sends a request once and reads its answer, whatever its status.
    pub async fn send(&self, request: TokenRequest) -> Result<Answer, Error> {
        let span = spans::request(request.method, &request.url);
        let answer = self.exchange(request).instrument(span.clone()).await;
        match &answer {
            Ok(answer) => spans::answered(&span, answer.status),
            Err(error) => spans::failed(&span, error),
        }
        answer
    }

    async fn exchange(&self, request: TokenRequest) -> Result<Answer, Error> {
        // Discovery may have told another address than the one that was judged before.
        self.admits_url(&request.url, request.provenance)?;
        let host = request.url.host_str().unwrap_or_default().to_owned();
        debug!(host, "sending a token request");
        let (sent_at, sent) = if let Some(carrier) = &self.carrier {
            (self.clock.now(), carrier.carry(into_http(request)).await)
        } else {
            let client = self.client(&request)?;
            let sent = (self.clock.now(), client.execute(into_http(request)).await);
            (sent.0, sent.1.map_err(|error| describe(&error, &host)))
        };
        let response = sent?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = read_capped(response, &host).await?;
        debug!(host, status, "answered");
        Ok(Answer { status, headers, body, sent_at, received_at: self.clock.now() })
    }

    fn client(&self, request: &TokenRequest) -> Result<Client, Error> {
        let key = ClientKey {
            ca_bundle: request
                .ca_bundle
                .as_ref()
                .map(|pem| digest::digest(&digest::SHA256, pem.as_bytes()).as_ref().to_vec()),
            identity: request.identity.as_ref().map(|identity| identity.fingerprint),
            provenance: request.provenance,
            port: request.url.port_or_known_default().unwrap_or_default(),
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = self.build(&key, request)?;
        // Those in use live on in their clones.
        if clients.len() >= MOST_CLIENTS {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn build(&self, key: &ClientKey, request: &TokenRequest) -> Result<Client, Error> {
        let guarded = GuardedResolver {
            lookup: Arc::new(|host| async move { system_lookup(&host).await }.boxed()),
            policy: self.settings.addresses.clone(),
            provenance: key.provenance,
            port: key.port,
        };
        let mut builder = Client::builder()
            .user_agent(concat!("tokenward/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .https_only(!self.settings.allow_http)
            .connect_timeout(self.settings.timeouts.connect)
            .timeout(self.settings.timeouts.total)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .pool_idle_timeout(IDLE)
            .dns_resolver(Arc::new(guarded));
        if let Some(pem) = &request.ca_bundle {
            builder = builder.tls_certs_merge(certificates(pem, "spec.caBundle")?);
        }
        if let Some(identity) = &request.identity {
            if let Some(pem) = &identity.ca {
                builder = builder.tls_certs_merge(certificates(pem, "the credential ca.crt")?);
            }
            builder = builder.identity(shown(identity)?);
        }
        builder.build().map_err(|_| match request.identity {
            Some(_) => Error::new(
                Reason::InvalidCredentials,
                "the credentials tls.crt and tls.key do not belong together, or cannot be used",
            ),
            None => {
                Error::new(Reason::InvalidProvider, "spec.caBundle: a certificate cannot be used")
            }
        })
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn certificates(pem: &str, place: &str) -> Result<Vec<Certificate>, Error> {
    let invalid = || {
        Error::new(Reason::InvalidProvider, format!("{place} holds no readable PEM certificate"))
    };
    let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| invalid())?;
    if certificates.is_empty() { Err(invalid()) } else { Ok(certificates) }
}

fn shown(identity: &Identity) -> Result<reqwest::Identity, Error> {
    reqwest::Identity::from_pem(identity.pem.expose_secret().as_bytes()).map_err(|_| {
        Error::new(
            Reason::InvalidCredentials,
            "the credentials tls.crt and tls.key cannot be used together",
        )
    })
}

fn into_http(request: TokenRequest) -> Request {
    let method = match request.method {
        Method::Post => reqwest::Method::POST,
        Method::Get => reqwest::Method::GET,
    };
    let mut http = Request::new(method, request.url);
    *http.headers_mut() = request.headers;
    if let Some(body) = request.body {
        *http.body_mut() = Some(body.expose_secret().clone().into());
    } else if request.method == Method::Post {
        *http.body_mut() = Some(Vec::new().into());
    }
    http
}

async fn read_capped(mut response: Response, host: &str) -> Result<SecretBox<Vec<u8>>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error, host))? {
        if body.len() + chunk.len() > BODY_CAP {
            let message = format!("{host}: the answer is larger than {} KiB", BODY_CAP / 1024);
            return Err(Error::new(Reason::InvalidResponse, message).unanswered());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(SecretBox::new(Box::new(body)))
}

type Lookup = dyn Fn(String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync;

/// Resolves a name once; what it lets through is what gets connected, so a name that changes its
/// answer gains nothing.
struct GuardedResolver {
    lookup: Arc<Lookup>,
    policy: AddressPolicy,
    provenance: Provenance,
    port: u16,
}

#[derive(Debug, thiserror::Error)]
#[error("address refused")]
struct Denied {
    kind: &'static str,
}

#[derive(Debug, thiserror::Error)]
#[error("no address")]
struct Unresolved;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = (self.lookup)(name.as_str().to_owned());
        let (policy, provenance, port) = (self.policy.clone(), self.provenance, self.port);
        Box::pin(async move {
            let mut refused = None;
            let mut admitted = Vec::new();
            for ip in lookup.await.map_err(|_| Unresolved)? {
                match policy.judge(SocketAddr::new(ip, port), provenance) {
                    Ok(()) => admitted.push(SocketAddr::new(ip, port)),
                    Err(kind) => refused = Some(kind),
                }
            }
            match refused {
                Some(kind) if admitted.is_empty() => Err(Denied { kind }.into()),
                _ => Ok(Box::new(admitted.into_iter()) as Addrs),
            }
        })
    }
}

async fn system_lookup(host: &str) -> std::io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
}

/// An error of the client, in words that hold nothing of the request: its URL may be secret.
fn describe(error: &reqwest::Error, host: &str) -> Error {
    if let Some(denied) = cause::<Denied>(error) {
        return denied_address(denied.kind, host);
    }
    let described = match error.is_timeout() {
        true => Error::new(Reason::ProviderTimeout, format!("{host} did not answer in time")),
        false => broken(error, host),
    };
    match error.is_connect() {
        true => described,
        false => described.unanswered(),
    }
}

/// No connection, or it broke.
fn broken(error: &reqwest::Error, host: &str) -> Error {
    let what = if cause::<Unresolved>(error).is_some() {
        "its name leads to no address (DNS)".to_owned()
    } else if let Some(tls) = cause::<rustls::Error>(error) {
        format!("TLS: {tls}")
    } else if let Some(io) = cause::<std::io::Error>(error) {
        io.kind().to_string()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the connection broke".to_owned()
    };
    Error::new(Reason::ProviderUnreachable, format!("{host}: {what}"))
}

fn cause<E: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // io::Error hides what it wraps from source(), be it another io::Error.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn denied(message: impl Into<String>) -> Error {
    Error::new(Reason::EgressDenied, message)
}

fn denied_address(kind: &str, host: &str) -> Error {
    denied(format!(
        "{host} is {kind} address, where token requests may not go; --egress-allow-cidr lifts this \
         (never for the API server's own address)"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn resolver(answers: &'static [&'static str]) -> GuardedResolver {
        let calls = AtomicUsize::new(0);
        GuardedResolver {
            lookup: Arc::new(move |_| {
                let answer = answers[calls.fetch_add(1, Ordering::SeqCst) % answers.len()];
                let ips = answer.split(' ').map(|ip| ip.parse().unwrap()).collect();
                async move { Ok(ips) }.boxed()
            }),
            policy: AddressPolicy::default(),
            provenance: Provenance::Namespaced,
            port: 443,
        }
    }

    async fn resolve(resolver: &GuardedResolver) -> Result<Vec<SocketAddr>, &'static str> {
        match resolver.resolve("a.example".parse().unwrap()).await {
            Ok(addresses) => Ok(addresses.collect()),
            Err(error) => Err(error.downcast_ref::<Denied>().unwrap().kind),
        }
    }

    #[tokio::test]
    async fn a_name_that_changes_its_answer_gains_nothing() {
        let resolver = resolver(&["93.184.216.34", "127.0.0.1"]);
        assert_eq!(resolve(&resolver).await, Ok(vec!["93.184.216.34:443".parse().unwrap()]));
        assert_eq!(resolve(&resolver).await, Err("a loopback"));
    }

    #[tokio::test]
    async fn of_a_mixed_answer_only_what_is_admitted_is_connected() {
        let resolver = resolver(&["10.0.0.1 93.184.216.34 ::ffff:127.0.0.1"]);
        assert_eq!(resolve(&resolver).await, Ok(vec!["93.184.216.34:443".parse().unwrap()]));
    }

    #[tokio::test]
    async fn a_refused_name_says_which_flag_lifts_it() {
        let settings = TransportSettings {
            allow_http: true,
            addresses: AddressPolicy::default(),
            timeouts: Timeouts { connect: Duration::from_secs(5), total: Duration::from_secs(5) },
        };
        let transport = Transport::new(settings, Clock::system());
        let request = TokenRequest {
            method: Method::Post,
            url: "http://localhost:1/t".parse().unwrap(),
            headers: reqwest::header::HeaderMap::new(),
            body: None,
            provenance: Provenance::Cluster,
            ca_bundle: None,
            identity: None,
        };
        let error = transport.send(request).await.unwrap_err();
        assert_eq!(error.reason(), Reason::EgressDenied);
        assert!(error.message().contains("--egress-allow-cidr"), "{error}");
    }
}
