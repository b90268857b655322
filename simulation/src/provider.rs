//! Token endpoints, behind the transport of token requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::{Request, Response};
use serde_json::{Value, json};
use tokenward::error::{Error, Reason};
use tokenward::oauth::Carrier;
use tokio::time::{sleep, timeout};

use crate::process::{Process, REQUEST_TIMEOUT};
use crate::sabotage::Sabotage;
use crate::weather::Fate;
use crate::world::World;

/// How a provider behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new token each time.
    Plain,
    /// The same token until it expires.
    Same,
    /// The same token, whose life begins anew.
    Sliding,
    /// A new refresh token each time; whoever uses one twice loses all that came of it.
    Rotating,
    /// So many requests in a minute, and `Retry-After` for the others.
    Limited(usize),
    /// So many requests of a client in any hour, as its document says.
    Budgeted(usize),
    /// Takes up to so many seconds.
    Slow(u64),
    /// One request in so many fails.
    Flaky(u64),
}

/// A token endpoint.
#[derive(Clone, Debug)]
pub struct Provider {
    /// How it behaves.
    pub kind: Kind,
    /// How long its tokens live.
    pub life: Duration,
    recent: Vec<Duration>,
    grants: BTreeMap<String, Grant>,
    issued: u64,
}

/// What a client has been given.
#[derive(Clone, Debug, Default)]
struct Grant {
    /// The last token and its end.
    token: Option<(String, Duration)>,
    /// The refresh token that is good now.
    current: String,
    used: BTreeSet<String>,
    revoked: bool,
}

/// What a provider says.
#[derive(Clone, Debug)]
pub struct Saying {
    /// HTTP's.
    pub status: u16,
    /// `Retry-After`, where there is one.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Value,
    /// What it means.
    pub meant: Meant,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq)]
pub enum Meant {
    /// A token and its end, and the refresh token that goes on from here.
    Token {
        /// The token.
        token: String,
        /// When it expires.
        expires: Duration,
        /// How long it lives from now on, as it is told: in whole seconds.
        life: Duration,
        /// A new refresh token.
        refresh: Option<String>,
    },
    /// Silence is asked for.
    Throttled(Duration),
    /// A refresh token was used twice: the family is gone.
    Reused,
    /// Anything else.
    Failed,
}

impl Provider {
    /// One that nobody has asked yet.
    pub fn new(kind: Kind, life: Duration) -> Self {
        Self { kind, life, recent: Vec::new(), grants: BTreeMap::new(), issued: 0 }
    }

    /// A person consents: this refresh token is good from now on.
    pub fn consent(&mut self, client: &str, refresh_token: &str) {
        let grant = Grant { current: refresh_token.to_owned(), ..Grant::default() };
        self.grants.insert(client.to_owned(), grant);
    }

    /// Answers a request.
    pub fn answer(&mut self, form: &BTreeMap<String, String>, now: Duration) -> Saying {
        let client = form.get("client_id").cloned().unwrap_or_default();
        if let Kind::Limited(most) = self.kind {
            let minute = Duration::from_mins(1);
            self.recent.retain(|at| now < *at + minute);
            if self.recent.len() >= most {
                return Saying::throttled(self.recent[0] + minute - now);
            }
            self.recent.push(now);
        }
        self.issued += 1;
        let fresh = (format!("{client}-token-{}", self.issued), now + self.life);
        let grant = self.grants.entry(client.clone()).or_default();
        let mut refresh = None;
        if self.kind == Kind::Rotating {
            let shown = form.get("refresh_token").cloned().unwrap_or_default();
            if shown != grant.current || grant.revoked {
                let again = grant.used.contains(&shown) && !grant.revoked;
                grant.revoked |= again;
                return Saying::refused(if again { Meant::Reused } else { Meant::Failed });
            }
            grant.used.insert(shown);
            grant.current = format!("{client}-refresh-{}", self.issued);
            refresh = Some(grant.current.clone());
        }
        let (token, expires) = match (self.kind, grant.token.take()) {
            (Kind::Same, Some(former)) if former.1 > now + Duration::from_secs(1) => former,
            (Kind::Sliding, Some(former)) if former.1 > now => (former.0, now + self.life),
            _ => fresh,
        };
        grant.token = Some((token.clone(), expires));
        Saying::token((token, expires), refresh, now)
    }
}

impl Saying {
    fn token((token, expires): (String, Duration), refresh: Option<String>, now: Duration) -> Self {
        let life = Duration::from_secs((expires - now).as_secs());
        let mut body = json!({
            "access_token": token, "token_type": "Bearer", "expires_in": life.as_secs(),
        });
        if let Some(refresh) = &refresh {
            body["refresh_token"] = json!(refresh);
        }
        let meant = Meant::Token { token, expires, life, refresh };
        Self { status: 200, retry_after: None, body, meant }
    }

    fn throttled(wait: Duration) -> Self {
        let wait = Duration::from_secs(wait.as_secs() + 1);
        let body = json!({"error": "temporarily_unavailable"});
        Self { status: 429, retry_after: Some(wait), body, meant: Meant::Throttled(wait) }
    }

    fn refused(meant: Meant) -> Self {
        Self { status: 400, retry_after: None, body: json!({"error": "invalid_grant"}), meant }
    }

    fn failed(status: u16) -> Self {
        Self { status, retry_after: None, body: json!({}), meant: Meant::Failed }
    }

    fn response(&self) -> Response {
        let mut response = http::Response::builder()
            .status(self.status)
            .header("content-type", "application/json");
        if let Some(wait) = self.retry_after {
            response = response.header("retry-after", wait.as_secs());
        }
        response.body(self.body.to_string()).expect("an answer").into()
    }
}

/// The way from one process to the providers and back.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where it leads.
    pub world: Arc<World>,
    /// Whose it is.
    pub process: Arc<Process>,
}

impl Carrier for Link {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Response, Error>> {
        self.carry_in_time(request).boxed()
    }
}

impl Link {
    async fn carry_in_time(&self, request: Request) -> Result<Response, Error> {
        let _line = match self.world.plan.sabotage {
            Some(Sabotage::OneLine) => self.world.line.acquire().await.ok(),
            _ => None,
        };
        let answered = match timeout(REQUEST_TIMEOUT, self.exchange(&request)).await {
            Ok(answered) => answered,
            Err(_) => Err(Error::new(Reason::ProviderTimeout, "no answer in time")),
        };
        if answered.is_err() {
            let client = form(&request).remove("client_id").unwrap_or_default();
            let (process, nothing) = (&self.process, (&*client, &Meant::Failed));
            self.world.judge(|judge, now| judge.heard(process, nothing, now));
        }
        answered
    }

    async fn exchange(&self, request: &Request) -> Result<Response, Error> {
        let (world, process) = (&self.world, &self.process);
        let reset = || Error::new(Reason::ProviderUnreachable, "the connection was reset");
        let index = index(request);
        let form = form(request);
        let client = form.get("client_id").cloned().unwrap_or_default();
        world.judge(|judge, now| judge.asked(process, &client, now));
        let longest = match world.plan.providers[index].kind {
            Kind::Slow(seconds) => Duration::from_secs(seconds) / 2,
            _ => Duration::from_millis(60),
        };
        process.pass(world, "asks a provider").await;
        sleep(process.provider_leg(longest)).await;
        process.pass(world, "is heard by a provider").await;
        world.judge(|judge, now| judge.arrived(&client, now));
        let fate = self.fate(index);
        if let Some(fate) = fate {
            world.note(&format!("{} asks {index} for {client}: {fate:?}", process.number));
        }
        let saying = match fate {
            Some(Fate::Lost) => return Err(reset()),
            Some(Fate::Silent) => std::future::pending().await,
            Some(Fate::Refused(429)) => Saying::throttled(self.patience(index)),
            Some(Fate::Refused(status)) => Saying::failed(status),
            None | Some(Fate::Unheard) => world.provide(index, &form),
        };
        world.note(&format!("{} asks {index} for {client}: {}", process.number, saying.status));
        world.judge(|judge, now| judge.answered(process, (&client, &saying.meant), now));
        sleep(process.provider_leg(longest)).await;
        process.pass(world, "hears a provider").await;
        if fate == Some(Fate::Unheard) {
            return Err(reset());
        }
        world.judge(|judge, now| judge.heard(process, (&client, &saying.meant), now));
        Ok(saying.response())
    }

    /// What a provider that throttles asks for: the longer that goes on, the more.
    fn patience(&self, index: usize) -> Duration {
        let now = self.world.now();
        let left = self.world.plan.weather[index].at(now).map(|spell| spell.to - now);
        (left.unwrap_or_default() / 4).clamp(Duration::from_secs(7), Duration::from_mins(2))
    }

    fn fate(&self, index: usize) -> Option<Fate> {
        let (plan, now) = (&self.world.plan, self.world.now());
        let weather = &plan.weather[index];
        let mut fate = None;
        self.process.draw(|dice| {
            fate = weather.fate(now, dice);
            if let (None, Kind::Flaky(times)) = (fate, plan.providers[index].kind) {
                let fates = [Fate::Lost, Fate::Unheard, Fate::Refused(502)];
                fate = dice.once_in(times).then(|| *dice.pick(&fates));
            }
            true
        });
        fate
    }
}

/// Which provider is meant: the first label of the host says.
fn index(request: &Request) -> usize {
    let host = request.url().host_str().unwrap_or_default();
    let label = host.split('.').next().unwrap_or_default();
    label.trim_start_matches('p').parse().expect("a simulated provider")
}

fn form(request: &Request) -> BTreeMap<String, String> {
    let body = request.body().and_then(|body| body.as_bytes()).unwrap_or_default();
    url::form_urlencoded::parse(body).into_owned().collect()
}
