//! Who is asking.

use hyper::header::AUTHORIZATION;

use super::assertion::{self, Signer};
use super::{ClientName, Desk, Lists};
use crate::credentials::fingerprint;
use crate::incoming::Incoming;
use crate::judged::Authentication;
use crate::keys::Jwt;
use crate::policy::{self, Federation};
use crate::systems::rules::{self, Presented};
use crate::systems::{Basic, Kind, Parameters, Refusal};
use crate::tokens::Standing;

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How a client sets about it, before any of it is checked.
pub(super) struct Way {
    pub(super) authentication: Authentication,
    /// How it is refused when it fails.
    pub(super) challenge: Kind,
}

impl Way {
    pub(super) fn of(request: &Incoming, parameters: &Parameters) -> Self {
        let has = |name| rules::value(parameters, name).is_some();
        let (authentication, challenge) = if bears_token(request) {
            (Authentication::Bearer, Kind::InvalidClientByBearer)
        } else if request.headers.contains_key(AUTHORIZATION) {
            (Authentication::ClientSecretBasic, Kind::InvalidClientByBasic)
        } else if has("client_assertion") || has("client_assertion_type") {
            // Which of the three kinds it is, the assertion tells.
            (Authentication::PrivateKeyJwt, Kind::InvalidClient)
        } else if has("client_secret") {
            (Authentication::ClientSecretPost, Kind::InvalidClient)
        } else {
            (Authentication::None, Kind::InvalidClient)
        };
        Self { authentication, challenge }
    }

    /// The parameters that go with it, required and optional.
    pub(super) fn names(&self, client: ClientName) -> Lists {
        match self.authentication {
            Authentication::ClientSecretBasic | Authentication::Bearer => (&[], &[]),
            Authentication::ClientSecretPost => (&["client_id", "client_secret"], &[]),
            Authentication::None if client == ClientName::Implied => (&[], &["client_id"]),
            Authentication::None => (&["client_id"], &[]),
            Authentication::ClientSecretJwt
            | Authentication::PrivateKeyJwt
            | Authentication::FederatedJwt => {
                (&["client_assertion_type", "client_assertion"], &["client_id"])
            }
        }
    }
}

pub(super) fn bears_token(request: &Incoming) -> bool {
    bearer(request).is_some()
}

fn bearer(request: &Incoming) -> Option<&str> {
    let (scheme, token) = request.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

/// The client, or nothing where nobody claims to be one.
pub(super) fn authenticate(
    desk: &mut Desk<'_>,
    request: &Incoming,
    (way, parameters): (&Way, &Parameters),
) -> Result<Option<String>, Refusal> {
    let text = |name| rules::value(parameters, name).unwrap_or_default();
    let refuse = |reason| Refusal::new(way.challenge, reason);
    let client = match way.authentication {
        Authentication::ClientSecretBasic => {
            by_secret(desk, rules::in_header(Basic::FormEncoded, request)?)?
        }
        Authentication::ClientSecretPost => {
            let (id, secret) = (text("client_id").to_owned(), text("client_secret").to_owned());
            by_secret(desk, Presented { id, secret, kind: way.challenge, basic: Basic::Forbidden })?
        }
        Authentication::Bearer => {
            request.single(&AUTHORIZATION).map_err(rules::invalid)?;
            by_token(desk, bearer(request).unwrap_or_default()).map_err(refuse)?
        }
        Authentication::None => return public(desk, rules::value(parameters, "client_id")),
        _ if text("client_assertion_type") != ASSERTION_TYPE => {
            return Err(refuse(format!("client_assertion_type is not {ASSERTION_TYPE}")));
        }
        _ => by_assertion(desk, text("client_assertion"), rules::value(parameters, "client_id"))
            .map_err(refuse)?,
    };
    desk.judged.client_id = Some(client.clone());
    Ok(Some(client))
}

fn by_secret(desk: &mut Desk<'_>, presented: Presented) -> Result<String, Refusal> {
    desk.judged.client_id = Some(presented.id.clone());
    rules::authenticate(&presented, desk.clients)?;
    desk.judged.secret = Some(fingerprint(&presented.secret));
    Ok(presented.id)
}

fn public(desk: &mut Desk<'_>, client_id: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(id) = client_id else { return Ok(None) };
    desk.judged.client_id = Some(id.to_owned());
    match desk.policy.public_clients.iter().any(|public| public == id) {
        true => Ok(Some(id.to_owned())),
        false => Err(Refusal::new(
            Kind::InvalidClient,
            "the client has not authenticated and is not a public one",
        )),
    }
}

/// RFC 7523 §3, for a JWT of the client's own or of an issuer that vouches for it.
fn by_assertion(
    desk: &mut Desk<'_>,
    text: &str,
    client_id: Option<&str>,
) -> Result<String, String> {
    let jwt = Jwt::read(text)?;
    desk.judged.client_assertion = Some(jwt.seen());
    desk.judged.client_id = client_id.map(str::to_owned);
    desk.judged.authentication = Some(match jwt.has_mac() {
        true => Authentication::ClientSecretJwt,
        false => Authentication::PrivateKeyJwt,
    });
    let id = match assertion::signer(desk, &jwt)? {
        Signer::Issuer(issuer) => {
            desk.judged.authentication = Some(Authentication::FederatedJwt);
            let federation = federation(desk, &jwt, (&issuer, client_id))?;
            assertion::audience(&jwt, std::slice::from_ref(&federation.audience))?;
            assertion::times(&jwt, desk.now)?;
            return Ok(federation.client_id.clone());
        }
        Signer::Client { id, secret } => {
            desk.judged.secret = secret;
            id
        }
    };
    desk.judged.client_id = Some(id.clone());
    if jwt.text("sub") != Some(id.as_str()) {
        return Err("sub of the assertion is not the client, as iss is".to_owned());
    }
    if client_id.is_some_and(|given| given != id) {
        return Err("client_id is not iss of the assertion".to_owned());
    }
    assertion::audience(&jwt, &desk.audiences)?;
    assertion::times(&jwt, desk.now)?;
    assertion::once(desk, &jwt, &id)?;
    Ok(id)
}

fn federation<'a>(
    desk: &Desk<'a>,
    jwt: &Jwt<'_>,
    (issuer, client_id): (&str, Option<&str>),
) -> Result<&'a Federation, String> {
    let of_issuer: Vec<_> = desk
        .policy
        .federations
        .iter()
        .filter(|known| known.issuer == issuer)
        .filter(|known| client_id.is_none_or(|id| known.client_id == id))
        .collect();
    if of_issuer.is_empty() {
        return Err("the issuer of the assertion vouches for no such client".to_owned());
    }
    of_issuer
        .into_iter()
        .find(|known| jwt.text("sub") == Some(known.subject.as_str()))
        .ok_or_else(|| "sub of the assertion stands for no such client".to_owned())
}

/// An access token of this simulator, or a JWT that could be the assertion of a grant.
fn by_token(desk: &mut Desk<'_>, token: &str) -> Result<String, String> {
    let Some(record) = desk.tokens.find(token).cloned() else {
        return by_bearer_jwt(desk, token);
    };
    desk.judged.parent = Some(record.serial);
    desk.judged.client_id = Some(record.client_id.clone());
    match record.standing_at(desk.now) {
        Standing::Active => {}
        Standing::Expired => return Err("the bearer token has expired".to_owned()),
        Standing::Revoked => return Err("the bearer token was revoked".to_owned()),
    }
    if desk.policy.bearer == policy::Bearer::Latest && !desk.tokens.is_latest(&record) {
        return Err("the bearer token is not the last one of its client".to_owned());
    }
    desk.judged.subject.clone_from(&record.subject);
    Ok(record.client_id)
}

fn by_bearer_jwt(desk: &mut Desk<'_>, token: &str) -> Result<String, String> {
    let unknown = |_| "the bearer token is neither one of this simulator nor a JWT".to_owned();
    let jwt = Jwt::read(token).map_err(unknown)?;
    let vouched = assertion::vouched(desk, &jwt)?;
    Ok(vouched.client_id)
}
