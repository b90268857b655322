//! The control API. It is for tests and demos: it tells secrets and tokens to everyone who can
//! reach the listener, which is why the listener is on loopback only.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::System;
use crate::behaviour::Behaviour;
use crate::credentials::Client;
use crate::incoming::Incoming;
use crate::reply::Reply;
use crate::state::State;
use crate::systems::decode_form;

/// What all paths of the control API begin with.
pub(crate) const PREFIX: &str = "/_simulator/";
/// The target of redirects; the only one of these paths that the log records.
pub(crate) const REDIRECTED: &str = "/_simulator/redirected";

type Failure = (StatusCode, String);

pub(crate) fn answer(state: &State, request: &Incoming) -> Reply {
    dispatch(state, request)
        .unwrap_or_else(|(status, reason)| Reply::json(status, &json!({ "error": reason })))
}

fn dispatch(state: &State, request: &Incoming) -> Result<Reply, Failure> {
    let path = request.path.strip_prefix(PREFIX).unwrap_or_default();
    let (place, system) =
        path.split_once('/').map_or((path, None), |(place, name)| (place, Some(name)));
    match (&request.method, place, system) {
        (&Method::GET, "healthz", None) => Ok(Reply::text(StatusCode::OK, "text/plain", "ok\n")),
        (&Method::GET, "ca", None) => ca(state),
        (&Method::GET, "requests", None) => requests(state, request),
        (&Method::DELETE, "requests", None) => {
            state.log.clear();
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        (&Method::GET | &Method::POST, "introspect", None) => introspect(state, request),
        (&Method::GET, "behaviour", Some(name)) => {
            Ok(value(&json!(state.behaviour(system_of(name)?))))
        }
        (&Method::PUT, "behaviour", Some(name)) => {
            let behaviour: Behaviour = read(request)?;
            state.set_behaviour(system_of(name)?, behaviour);
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        (&Method::PUT, "credentials", Some(name)) => {
            let clients: Vec<Client> = read(request)?;
            state.set_clients(system_of(name)?, clients);
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        _ => Err((StatusCode::NOT_FOUND, "no such path and method in the control API".to_owned())),
    }
}

fn value(value: &Value) -> Reply {
    Reply::json(StatusCode::OK, value)
}

fn read<T: serde::de::DeserializeOwned>(request: &Incoming) -> Result<T, Failure> {
    serde_json::from_slice(&request.body)
        .map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn system_of(name: &str) -> Result<System, Failure> {
    name.parse()
        .map_err(|error: crate::systems::UnknownSystem| (StatusCode::NOT_FOUND, error.to_string()))
}

fn ca(state: &State) -> Result<Reply, Failure> {
    match &state.ca_pem {
        Some(pem) => Ok(Reply::text(StatusCode::OK, "application/x-pem-file", pem.clone())),
        None => Err((StatusCode::NOT_FOUND, "this listener does not speak TLS".to_owned())),
    }
}

/// The value of a parameter of the query.
fn query(request: &Incoming, name: &str) -> Result<Option<String>, Failure> {
    let parameters = decode_form(request.query.as_deref().unwrap_or_default())
        .map_err(|reason| (StatusCode::BAD_REQUEST, reason))?;
    Ok(parameters.into_iter().find(|(given, _)| given == name).map(|(_, value)| value))
}

fn requests(state: &State, request: &Incoming) -> Result<Reply, Failure> {
    let only = query(request, "system")?.map(|name| system_of(&name)).transpose()?;
    let entries = state.log.select(|entry| only.is_none() || entry.system == only);
    Ok(value(&json!(entries)))
}

/// RFC 7662 in shape; the token may also be the whole body, so that a shell can pipe it in.
fn introspect(state: &State, request: &Incoming) -> Result<Reply, Failure> {
    let token = if request.method == Method::GET {
        query(request, "token")?
    } else {
        let body = String::from_utf8_lossy(&request.body);
        let form = body.strip_prefix("token=").and_then(|_| decode_form(&body).ok());
        Some(
            form.and_then(|form| form.into_iter().next())
                .map_or_else(|| body.trim().to_owned(), |(_, token)| token),
        )
    };
    let token =
        token.ok_or((StatusCode::BAD_REQUEST, "the parameter `token` is missing".to_owned()))?;
    let Some(record) = state.introspect(&token) else {
        return Ok(value(&json!({"active": false})));
    };
    let exp = serde_json::from_str::<Value>(&format!(
        "{}.{:03}",
        record.expires_at.timestamp(),
        record.expires_at.timestamp_subsec_millis()
    ));
    Ok(value(&json!({
        "active": record.active_at(state.clock.now()),
        "exp": exp.unwrap_or_default(),
        "system": record.system,
        "client_id": record.client_id,
        "scope": record.scope,
    })))
}
