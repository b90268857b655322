//! One request from its bytes to its answer, without I/O.

use aws_lc_rs::error::Unspecified;
use chrono::{DateTime, Utc};
use hyper::StatusCode;
use hyper::header::HOST;

use crate::answer;
use crate::authorization::{self, Desk, Target};
use crate::behaviour::Behaviour;
use crate::discovery::{Document, REVOCATION};
use crate::endpoint::Endpoint;
use crate::faults::{Delivery, Manner, Plan, Reach, Scene};
use crate::incoming::Incoming;
use crate::judged::Judged;
use crate::log::{Outcome, Recorded};
use crate::reply::Reply;
use crate::resource::{self, PATH};
use crate::state::{State, Turn};
use crate::systems::{self, Answer, Refusal, Route, System};
use crate::tokens::{Terms, Tokens};

/// An answer and how it goes over the wire.
pub(crate) struct Exchange {
    pub(crate) reply: Reply,
    pub(crate) delivery: Delivery,
    /// Its number in the log; `None` for one that is not recorded.
    pub(crate) number: Option<u64>,
}

/// Answers a request to any path but the control API's, and records it.
pub(crate) fn answer(state: &State, request: &Incoming) -> Result<Exchange, Unspecified> {
    match place(state, &request.path) {
        Some(Place::Token(route)) => token_request(state, request, &route),
        Some(Place::Revocation) => revocation(state, request),
        Some(Place::Discovery(document)) => discovery(state, request, document),
        Some(Place::Resource) => resource(state, request),
        None => Ok(refuse_unrouted(state, request, &Refusal::no_such_path())),
    }
}

enum Place {
    Token(Route),
    Revocation,
    Discovery(Document),
    Resource,
}

fn place(state: &State, path: &str) -> Option<Place> {
    let policy = state.policy();
    if let Some(document) = policy.discovery.document_at(path) {
        return Some(Place::Discovery(document));
    }
    if path == REVOCATION {
        return Some(Place::Revocation);
    }
    if path == PATH {
        return Some(Place::Resource);
    }
    if path == policy.discovery.token_path {
        return Some(Place::Token(Route { system: System::Oauth2, segment: String::new() }));
    }
    // What was moved is no longer where it was.
    systems::route(path).filter(|route| route.system != System::Oauth2).map(Place::Token)
}

/// Refuses, and records, a request that belongs to no system.
pub(crate) fn refuse_unrouted(state: &State, request: &Incoming, refusal: &Refusal) -> Exchange {
    let reply = refusal.oauth();
    let mut entry = recorded(state, request);
    match place(state, &request.path) {
        Some(Place::Token(route)) => entry.system = Some(route.system),
        Some(Place::Revocation) => entry.endpoint = Some(Endpoint::Revocation),
        Some(Place::Discovery(_)) => entry.endpoint = Some(Endpoint::Discovery),
        Some(Place::Resource) => entry.endpoint = Some(Endpoint::Resource),
        None => {}
    }
    entry.status = Some(reply.status.as_u16());
    entry.refusal = Some(refusal.reason.clone());
    let number = Some(state.log.push(entry));
    Exchange { reply, delivery: Delivery::default(), number }
}

/// Records that a redirect was followed. The answer holds a token, so that a client that follows is
/// found out twice.
pub(crate) fn redirected(state: &State, request: &Incoming) -> Exchange {
    let token = "followed-a-redirect-that-must-not-be-followed";
    let body = serde_json::json!({"access_token": token, "token": token, "token_type": "Bearer", "expires_in": 3600});
    let reply = Reply::json(StatusCode::OK, &body);
    let mut entry = recorded(state, request);
    entry.status = Some(reply.status.as_u16());
    entry.outcome = Outcome::Redirected;
    let number = Some(state.log.push(entry));
    Exchange { reply, delivery: Delivery::default(), number }
}

fn token_request(
    state: &State,
    request: &Incoming,
    route: &Route,
) -> Result<Exchange, Unspecified> {
    let profile = route.system.profile();
    let turn = state.turn(route.system);
    let mut hearing = Hearing::new(state, request, &turn.behaviour, profile.answer);
    hearing.entry.system = Some(route.system);
    // Held until the token is given, so that nothing is used twice at once.
    let mut tokens = state.tokens();
    let verdict = match route.system {
        System::Oauth2 => {
            let mut desk = desk(state, request, (&turn, &mut tokens));
            let verdict = authorization::examine(&mut desk, request);
            hearing.entry.judged = desk.judged;
            verdict
        }
        _ => systems::examine(profile, request, &route.segment, &turn.clients),
    };
    let terms = Terms {
        system: route.system,
        now: hearing.now,
        lifetime: turn.behaviour.lifetime.unwrap_or(profile.lifetime),
        same_until: hearing.plan.same_until,
    };
    let reply = hearing.settle(verdict, Outcome::Issued, |hearing, grant| {
        let issue = tokens.issue(&terms, &grant)?;
        hearing.entry.judged.client_id = Some(grant.client_id);
        let reply = answer::success(profile.answer, &issue, &turn.behaviour.expires_in);
        hearing.entry.same_token = issue.same;
        hearing.entry.judged.issued = Some(issue.record.serial);
        hearing.entry.judged.issued_refresh_token = issue.refresh_token.map(|(_, serial)| serial);
        hearing.entry.token = Some(issue.token);
        Ok(padded(reply, hearing.plan.padding))
    })?;
    drop(tokens);
    Ok(hearing.finish(state, reply))
}

fn revocation(state: &State, request: &Incoming) -> Result<Exchange, Unspecified> {
    let turn = state.turn_beside(Endpoint::Revocation);
    let answer = System::Oauth2.profile().answer;
    let mut hearing = Hearing::new(state, request, &turn.behaviour, answer);
    hearing.entry.endpoint = Some(Endpoint::Revocation);
    let mut tokens = state.tokens();
    let mut desk = desk(state, request, (&turn, &mut tokens));
    let verdict = authorization::examine_revocation(&mut desk, request);
    hearing.entry.judged = desk.judged;
    let reply = hearing.settle(verdict, Outcome::Revoked, |hearing, target| {
        if let Target::Token(serial) = target {
            tokens.revoke(serial, hearing.now);
            hearing.entry.judged.revoked = Some(serial);
        }
        Ok(Reply::empty(StatusCode::OK))
    })?;
    drop(tokens);
    Ok(hearing.finish(state, reply))
}

fn discovery(
    state: &State,
    request: &Incoming,
    document: Document,
) -> Result<Exchange, Unspecified> {
    let turn = state.turn_beside(Endpoint::Discovery);
    let answer = System::Oauth2.profile().answer;
    let mut hearing = Hearing::new(state, request, &turn.behaviour, answer);
    hearing.entry.endpoint = Some(Endpoint::Discovery);
    let discovery = &turn.policy.discovery;
    let verdict = discovery.examine(document, &request.method);
    let reply = hearing.settle(verdict, Outcome::Described, |hearing, ()| {
        Ok(padded(discovery.reply(&base(state, request)), hearing.plan.padding))
    })?;
    Ok(hearing.finish(state, reply))
}

fn resource(state: &State, request: &Incoming) -> Result<Exchange, Unspecified> {
    let turn = state.turn_beside(Endpoint::Resource);
    let answer = System::Oauth2.profile().answer;
    let mut hearing = Hearing::new(state, request, &turn.behaviour, answer);
    hearing.entry.endpoint = Some(Endpoint::Resource);
    let presented = resource::presented(request, &state.tokens());
    hearing.entry.judged.used = presented.as_ref().ok().map(|record| record.serial);
    let verdict = presented.and_then(|record| resource::examine(&record, hearing.now));
    let reply = hearing.settle(verdict, Outcome::Admitted, |hearing, ()| {
        Ok(padded(Reply::text(StatusCode::OK, "text/plain", "ok\n"), hearing.plan.padding))
    })?;
    Ok(hearing.finish(state, reply))
}

/// The scheme and authority that the client asked.
fn base(state: &State, request: &Incoming) -> String {
    let host = request.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    format!("{}://{host}", if state.ca_pem.is_some() { "https" } else { "http" })
}

fn desk<'a>(
    state: &State,
    request: &Incoming,
    (turn, tokens): (&'a Turn, &'a mut Tokens),
) -> Desk<'a> {
    let base = base(state, request);
    let discovery = &turn.policy.discovery;
    let audiences = vec![
        format!("{base}{}", discovery.token_path),
        format!("{base}{}", request.path),
        discovery.right_issuer(&base),
    ];
    Desk {
        policy: &turn.policy,
        clients: &turn.clients,
        tokens,
        now: state.clock.now(),
        audiences,
        judged: Judged::default(),
    }
}

/// One request between its examination and its answer.
struct Hearing {
    entry: Recorded,
    plan: Plan,
    answer: Answer,
    now: DateTime<Utc>,
}

impl Hearing {
    fn new(state: &State, request: &Incoming, behaviour: &Behaviour, answer: Answer) -> Self {
        let now = state.clock.now();
        let mut entry = recorded(state, request);
        entry.faults = behaviour.faults.iter().map(|fault| fault.name().to_owned()).collect();
        Self { entry, plan: Plan::new(&behaviour.faults, Scene { answer, now }), answer, now }
    }

    /// The answer, in which a fault goes before the verdict or behind it.
    fn settle<T>(
        &mut self,
        verdict: Result<T, Refusal>,
        success: Outcome,
        succeed: impl FnOnce(&mut Self, T) -> Result<Reply, Unspecified>,
    ) -> Result<Reply, Unspecified> {
        self.entry.refusal = verdict.as_ref().err().map(|refusal| refusal.reason.clone());
        self.entry.outcome = outcome(&self.plan, &verdict, success);
        match (&self.plan.instead, verdict) {
            (Some(instead), Ok(_)) => Ok(instead.reply.clone()),
            (Some(instead), _) if instead.reach == Reach::EveryRequest => Ok(instead.reply.clone()),
            (_, Err(refusal)) => Ok(refusal.reply(self.answer)),
            (None, Ok(_)) if no_answer(self.plan.delivery.manner) => {
                Ok(Reply::empty(StatusCode::OK))
            }
            (None, Ok(right)) => succeed(self, right),
        }
    }

    fn finish(mut self, state: &State, reply: Reply) -> Exchange {
        let delivery = self.plan.delivery;
        self.entry.status = (!no_answer(delivery.manner)).then(|| reply.status.as_u16());
        let number = Some(state.log.push(self.entry));
        Exchange { reply, delivery, number }
    }
}

const fn no_answer(manner: Manner) -> bool {
    matches!(manner, Manner::Hang | Manner::Drop)
}

fn outcome<T>(plan: &Plan, verdict: &Result<T, Refusal>, success: Outcome) -> Outcome {
    let hides_refusal = no_answer(plan.delivery.manner)
        || plan.instead.as_ref().is_some_and(|instead| instead.reach == Reach::EveryRequest);
    match (plan.spoiler, verdict) {
        (Some(name), Ok(_)) => Outcome::Fault(name.to_owned()),
        (Some(name), Err(_)) if hides_refusal => Outcome::Fault(name.to_owned()),
        (None, Ok(_)) => success,
        (_, Err(_)) => Outcome::Refused,
    }
}

/// Puts a member of this size in front of the others: a client without a limit reads it all and
/// then finds a token.
fn padded(reply: Reply, bytes: usize) -> Reply {
    match reply.body.strip_prefix(b"{") {
        Some(rest) if bytes > 0 => {
            let mut body = b"{\"padding\":\"".to_vec();
            body.resize(body.len() + bytes, b'x');
            body.extend_from_slice(b"\",");
            body.extend_from_slice(rest);
            Reply { body: body.into(), ..reply }
        }
        _ => reply,
    }
}

/// An entry with what the request says; the rest is what a refusal without a system has.
fn recorded(state: &State, request: &Incoming) -> Recorded {
    Recorded {
        seq: 0,
        time: state.clock.now(),
        system: None,
        endpoint: None,
        method: request.method.to_string(),
        path: request.path.clone(),
        query: request.query.clone(),
        headers: request.header_pairs(),
        body: String::from_utf8_lossy(&request.body).into_owned(),
        status: None,
        outcome: Outcome::Refused,
        faults: Vec::new(),
        refusal: None,
        judged: Judged::default(),
        token: None,
        same_token: false,
        ended: None,
        abandoned: false,
    }
}
