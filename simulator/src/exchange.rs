//! One token request from its bytes to its answer, without I/O.

use aws_lc_rs::error::Unspecified;
use hyper::StatusCode;

use crate::answer;
use crate::behaviour::Fault;
use crate::faults::{Delivery, Manner, Plan, Reach, Scene};
use crate::incoming::Incoming;
use crate::log::{Outcome, Recorded};
use crate::reply::Reply;
use crate::state::State;
use crate::systems::{self, Grant, Refusal, Route};
use crate::tokens::Terms;

/// An answer and how it goes over the wire.
pub(crate) struct Exchange {
    pub(crate) reply: Reply,
    pub(crate) delivery: Delivery,
}

/// Answers a request to any path but the control API's, and records it.
pub(crate) fn answer(state: &State, request: &Incoming) -> Result<Exchange, Unspecified> {
    match systems::route(&request.path) {
        Some(route) => token_request(state, request, &route),
        None => Ok(refuse_unrouted(state, request, &Refusal::no_such_path())),
    }
}

/// Refuses, and records, a request that belongs to no system.
pub(crate) fn refuse_unrouted(state: &State, request: &Incoming, refusal: &Refusal) -> Exchange {
    let exchange = Exchange { reply: refusal.oauth(), delivery: Delivery::default() };
    let mut entry = recorded(state, request);
    entry.system = systems::route(&request.path).map(|route| route.system);
    entry.status = Some(exchange.reply.status.as_u16());
    entry.refusal = Some(refusal.reason.clone());
    state.log.push(entry);
    exchange
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
    state.log.push(entry);
    Exchange { reply, delivery: Delivery::default() }
}

fn token_request(
    state: &State,
    request: &Incoming,
    route: &Route,
) -> Result<Exchange, Unspecified> {
    let profile = route.system.profile();
    let turn = state.turn(route.system);
    let scene = Scene { answer: profile.answer, now: state.clock.now() };
    let plan = Plan::new(&turn.behaviour.faults, scene);
    let verdict = systems::examine(profile, request, &route.segment, &turn.clients);

    let mut entry = recorded(state, request);
    entry.system = Some(route.system);
    entry.faults =
        turn.behaviour.faults.iter().map(|fault| Fault::name(fault).to_owned()).collect();
    entry.refusal = verdict.as_ref().err().map(|refusal| refusal.reason.clone());
    entry.outcome = outcome(&plan, &verdict);

    let reply = match (&plan.instead, verdict) {
        (Some(instead), Ok(_)) => instead.reply.clone(),
        (Some(instead), _) if instead.reach == Reach::EveryRequest => instead.reply.clone(),
        (_, Err(refusal)) => refusal.reply(profile.answer),
        (None, Ok(_)) if no_answer(plan.delivery.manner) => Reply::empty(StatusCode::OK),
        (None, Ok(grant)) => {
            let terms = Terms {
                system: route.system,
                now: scene.now,
                lifetime: turn.behaviour.lifetime.unwrap_or(profile.lifetime),
                same_until: plan.same_until,
            };
            let issue = state.tokens().issue(&terms, &grant)?;
            let reply = answer::success(profile.answer, &issue, &turn.behaviour.expires_in);
            entry.same_token = issue.same;
            entry.token = Some(issue.token);
            padded(reply, plan.padding)
        }
    };
    entry.status = (!no_answer(plan.delivery.manner)).then(|| reply.status.as_u16());
    state.log.push(entry);
    Ok(Exchange { reply, delivery: plan.delivery })
}

const fn no_answer(manner: Manner) -> bool {
    matches!(manner, Manner::Hang | Manner::Drop)
}

fn outcome(plan: &Plan, verdict: &Result<Grant, Refusal>) -> Outcome {
    let hides_refusal = no_answer(plan.delivery.manner)
        || plan.instead.as_ref().is_some_and(|instead| instead.reach == Reach::EveryRequest);
    match (plan.spoiler, verdict) {
        (Some(name), Ok(_)) => Outcome::Fault(name.to_owned()),
        (Some(name), Err(_)) if hides_refusal => Outcome::Fault(name.to_owned()),
        (None, Ok(_)) => Outcome::Issued,
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
        method: request.method.to_string(),
        path: request.path.clone(),
        query: request.query.clone(),
        headers: request.header_pairs(),
        body: String::from_utf8_lossy(&request.body).into_owned(),
        status: None,
        outcome: Outcome::Refused,
        faults: Vec::new(),
        refusal: None,
        token: None,
        same_token: false,
    }
}
