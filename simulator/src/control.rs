//! The control API. It is for tests and demos: it tells secrets and tokens to everyone who can
//! reach the listener, which is why the listener is on loopback only.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::System;
use crate::credentials::Client;
use crate::endpoint::Endpoint;
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
            Ok(done())
        }
        (&Method::GET | &Method::POST, "introspect", None) => introspect(state, request),
        (method, "behaviour", Some(name)) => behaviour(state, request, (method, name)),
        (method, "credentials", Some(name)) => {
            credentials(state, request, (method, system_of(name)?))
        }
        (&Method::GET, "policy", None) => Ok(value(&json!(*state.policy()))),
        (&Method::PUT, "policy", None) => {
            state.set_policy(read(request)?);
            Ok(done())
        }
        (method, "tokens", serial) => tokens(state, request, (method, serial)),
        (&Method::GET, "refresh-tokens", None) => Ok(value(&json!(state.tokens().refresh.all()))),
        (&Method::GET, "revocations", None) => Ok(value(&json!(state.tokens().revocations()))),
        _ => Err(nothing()),
    }
}

fn nothing() -> Failure {
    (StatusCode::NOT_FOUND, "no such path and method in the control API".to_owned())
}

fn done() -> Reply {
    Reply::empty(StatusCode::NO_CONTENT)
}

fn behaviour(
    state: &State,
    request: &Incoming,
    (method, name): (&Method, &str),
) -> Result<Reply, Failure> {
    let endpoint: Option<Endpoint> = name.parse().ok();
    match (method, endpoint) {
        (&Method::GET, Some(endpoint)) => Ok(value(&json!(state.behaviour_beside(endpoint)))),
        (&Method::GET, None) => Ok(value(&json!(state.behaviour(system_of(name)?)))),
        (&Method::PUT, Some(endpoint)) => {
            state.set_behaviour_beside(endpoint, read(request)?);
            Ok(done())
        }
        (&Method::PUT, None) => {
            let behaviour = read(request)?;
            state.set_behaviour(system_of(name)?, behaviour);
            Ok(done())
        }
        _ => Err(nothing()),
    }
}

/// `PUT` replaces all, `POST` adds one, `DELETE` takes one away.
fn credentials(
    state: &State,
    request: &Incoming,
    (method, system): (&Method, System),
) -> Result<Reply, Failure> {
    match *method {
        Method::PUT => state.set_clients(system, read(request)?),
        Method::POST => state.add_client(system, read(request)?),
        Method::DELETE => {
            let client: Client = read(request)?;
            if !state.remove_client(system, &client) {
                return Err((StatusCode::NOT_FOUND, "no such identifier and secret".to_owned()));
            }
        }
        _ => return Err(nothing()),
    }
    Ok(done())
}

/// What a test wants to have from the start.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    client_id: String,
    lifetime: i64,
}

fn tokens(
    state: &State,
    request: &Incoming,
    (method, serial): (&Method, Option<&str>),
) -> Result<Reply, Failure> {
    match (method, serial.map(str::parse::<u64>)) {
        (&Method::GET, None) => Ok(value(&json!(state.tokens().all()))),
        (&Method::POST, None) => {
            let Wanted { client_id, lifetime } = read(request)?;
            let issued = state.give(&client_id, lifetime);
            let (token, record) =
                issued.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
            Ok(value(&json!({"token": token, "serial": record.serial})))
        }
        (&Method::DELETE, Some(Ok(serial))) => match state.revoke(serial) {
            true => Ok(done()),
            false => Err((StatusCode::NOT_FOUND, "no token has this serial".to_owned())),
        },
        _ => Err(nothing()),
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
    let after = query(request, "after")?.map(|text| text.parse::<u64>()).transpose();
    let after = after.map_err(|error| (StatusCode::BAD_REQUEST, format!("`after`: {error}")))?;
    let entries = state.log.select(|entry| {
        (only.is_none() || entry.system == only) && after.is_none_or(|number| entry.seq > number)
    });
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
        "serial": record.serial,
        "standing": record.standing_at(state.clock.now()),
        "revokedAt": record.revoked_at,
        "grant": record.grant,
        "subject": record.subject,
        "parent": record.parent,
    })))
}
