//! A resource server: where tokens are used (RFC 6750 §2.1).

use chrono::{DateTime, Utc};
use hyper::Method;
use hyper::header::AUTHORIZATION;

use crate::incoming::Incoming;
use crate::systems::{Kind, Refusal};
use crate::tokens::{Standing, TokenRecord, Tokens};

/// Where it is.
pub(crate) const PATH: &str = "/resource";

/// The token that a request presents, if it was ever given out.
pub(crate) fn presented(request: &Incoming, tokens: &Tokens) -> Result<TokenRecord, Refusal> {
    if request.method != Method::GET {
        return Err(Refusal::new(Kind::NotGet, format!("the method is {}", request.method)));
    }
    let header = request.single(AUTHORIZATION).map_err(refused)?;
    let header = header.ok_or_else(|| refused("the header authorization is missing"))?;
    let token = header
        .split_once(' ')
        .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then_some(token));
    let token = token.ok_or_else(|| refused("the header authorization has no bearer token"))?;
    tokens.find(token).cloned().ok_or_else(|| refused("the token was never given out"))
}

/// Whether that token is let in.
pub(crate) fn examine(record: &TokenRecord, now: DateTime<Utc>) -> Result<(), Refusal> {
    match record.standing_at(now) {
        Standing::Active => Ok(()),
        Standing::Expired => Err(refused(format!("the token expired at {}", record.expires_at))),
        Standing::Revoked => Err(refused("the token was revoked")),
    }
}

fn refused(reason: impl Into<String>) -> Refusal {
    Refusal::new(Kind::InvalidClientByBearer, reason)
}
