//! What a token is asked for with, and whether it is good.

use super::assertion::{self, Vouched};
use super::{ClientName, Desk, Lists};
use crate::judged::GrantType;
use crate::keys::Jwt;
use crate::policy::Reuse;
use crate::refresh::{Redemption, Unfit};
use crate::systems::rules::{self, invalid};
use crate::systems::{Kind, Parameters, Refusal};
use crate::tokens::Standing;

/// RFC 8693 §3.
pub(crate) const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

/// What goes with a grant, required and optional.
pub(super) const fn names(grant: GrantType) -> Lists {
    const COMMON: &[&str] = &["scope", "resource", "audience"];
    match grant {
        GrantType::ClientCredentials => (&["grant_type"], COMMON),
        GrantType::RefreshToken => (&["grant_type", "refresh_token"], COMMON),
        GrantType::Password => (&["grant_type", "username", "password"], COMMON),
        GrantType::JwtBearer => (&["grant_type", "assertion"], COMMON),
        GrantType::TokenExchange => (
            &["grant_type", "subject_token", "subject_token_type"],
            &["scope", "resource", "audience", "requested_token_type"],
        ),
        GrantType::Renewal => (&[], &["scope"]),
    }
}

/// An assertion and a subject token say themselves whom they stand for.
pub(super) const fn needs_client(grant: GrantType) -> ClientName {
    match grant {
        GrantType::JwtBearer | GrantType::TokenExchange => ClientName::Implied,
        _ => ClientName::Needed,
    }
}

/// A grant that was found good.
pub(super) struct Given {
    pub(super) client_id: String,
    pub(super) refresh: Option<Redemption>,
}

pub(super) fn examine(
    desk: &mut Desk<'_>,
    grant: GrantType,
    (parameters, client): (&Parameters, Option<String>),
) -> Result<Given, Refusal> {
    let mut refresh = None;
    let client_id = match grant {
        GrantType::JwtBearer => jwt_bearer(desk, parameters, client)?,
        GrantType::TokenExchange => token_exchange(desk, parameters, client)?,
        GrantType::ClientCredentials
        | GrantType::Renewal
        | GrantType::Password
        | GrantType::RefreshToken => client.ok_or_else(|| invalid("nobody says who is asking"))?,
    };
    match grant {
        GrantType::Password => password(desk, parameters)?,
        GrantType::RefreshToken => refresh = Some(refresh_token(desk, parameters, &client_id)?),
        _ => {}
    }
    desk.judged.client_id = Some(client_id.clone());
    Ok(Given { client_id, refresh })
}

fn bad(reason: impl Into<String>) -> Refusal {
    Refusal::new(Kind::InvalidGrant, reason)
}

fn text<'a>(parameters: &'a Parameters, name: &str) -> &'a str {
    rules::value(parameters, name).unwrap_or_default()
}

fn password(desk: &mut Desk<'_>, parameters: &Parameters) -> Result<(), Refusal> {
    let (name, given) = (text(parameters, "username"), text(parameters, "password"));
    desk.judged.subject = Some(name.to_owned());
    let user = desk.policy.users.iter().find(|user| user.name == name);
    match user.ok_or_else(|| bad("no user has this name"))?.password == given {
        true => Ok(()),
        false => Err(bad("the password is wrong")),
    }
}

fn refresh_token(
    desk: &mut Desk<'_>,
    parameters: &Parameters,
    client_id: &str,
) -> Result<Redemption, Refusal> {
    let (policy, token) = (&desk.policy.refresh, text(parameters, "refresh_token"));
    let record = desk
        .tokens
        .refresh_token(token, &policy.seeds, desk.now)
        .ok_or_else(|| bad("the refresh token was never given out"))?;
    desk.judged.refresh_token = Some(record.serial);
    if record.client_id != client_id {
        return Err(bad("the refresh token belongs to another client"));
    }
    record.fit(policy.rotation, desk.now).map_err(|unfit| match unfit {
        Unfit::Revoked => bad("the refresh token was revoked"),
        Unfit::Used(Reuse::Refuse) => bad("the refresh token was used before"),
        Unfit::Used(Reuse::RevokeFamily) => {
            desk.tokens.revoke(record.serial, desk.now);
            bad("the refresh token was used before: everything that came of it is revoked")
        }
    })
}

fn jwt_bearer(
    desk: &mut Desk<'_>,
    parameters: &Parameters,
    client: Option<String>,
) -> Result<String, Refusal> {
    let jwt = Jwt::read(text(parameters, "assertion")).map_err(bad)?;
    let Vouched { client_id, own } = assertion::vouched(desk, &jwt).map_err(bad)?;
    match client {
        Some(client) if own && client != client_id => {
            Err(bad("another client than the one that authenticated signed the assertion"))
        }
        Some(client) => Ok(client),
        None => Ok(client_id),
    }
}

/// RFC 8693 §2.1, without actors.
fn token_exchange(
    desk: &mut Desk<'_>,
    parameters: &Parameters,
    client: Option<String>,
) -> Result<String, Refusal> {
    let (token, kind) = (text(parameters, "subject_token"), text(parameters, "subject_token_type"));
    if ![ACCESS_TOKEN, JWT, ID_TOKEN].contains(&kind) {
        return Err(invalid("subject_token_type is none that is known here"));
    }
    if rules::value(parameters, "requested_token_type").is_some_and(|wanted| wanted != ACCESS_TOKEN)
    {
        return Err(invalid("requested_token_type is not that of an access token"));
    }
    let Some(record) = desk.tokens.find(token).cloned() else {
        let unknown = |_| bad("the subject token is neither one of this simulator nor a JWT");
        let jwt = Jwt::read(token).map_err(unknown)?;
        let vouched = assertion::vouched(desk, &jwt).map_err(bad)?;
        return match vouched.own {
            true => Err(bad("the issuer of the subject token is not trusted")),
            false => Ok(client.unwrap_or(vouched.client_id)),
        };
    };
    desk.judged.parent = Some(record.serial);
    desk.judged.subject = Some(record.subject.clone().unwrap_or(record.client_id.clone()));
    if kind != ACCESS_TOKEN {
        return Err(invalid("subject_token_type is not that of an access token"));
    }
    match record.standing_at(desk.now) {
        Standing::Active => Ok(client.unwrap_or(record.client_id)),
        Standing::Expired => Err(bad("the subject token has expired")),
        Standing::Revoked => Err(bad("the subject token was revoked")),
    }
}
