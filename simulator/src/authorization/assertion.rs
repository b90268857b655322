//! JWTs as assertions (RFC 7523 §3): who signed it, for whom, and for how long.

use chrono::{DateTime, Utc};

use super::Desk;
use crate::credentials::fingerprint;
use crate::keys::Jwt;

/// A JWT may be ahead of the simulator's clock by this many seconds.
const SKEW: i64 = 5;
/// The longest life that servers commonly allow.
const LONGEST: i64 = 3600;

/// Whose signature it is.
pub(super) enum Signer {
    /// A trusted issuer.
    Issuer(String),
    /// A client; with its secret, of which this is the fingerprint, or with its key.
    Client { id: String, secret: Option<String> },
}

/// Finds the signer by `iss` and checks the signature.
pub(super) fn signer(desk: &Desk<'_>, jwt: &Jwt<'_>) -> Result<Signer, String> {
    let issuer = jwt.text("iss").ok_or("iss is missing")?.to_owned();
    if let Some(trusted) = desk.policy.issuer(&issuer) {
        return trusted.jwks.verify(jwt).map(|()| Signer::Issuer(issuer));
    }
    if jwt.has_mac() {
        let mut secrets = desk.clients.iter().filter(|client| client.id == issuer).peekable();
        if secrets.peek().is_none() {
            return Err("iss is neither a client nor a trusted issuer".to_owned());
        }
        let fitting = secrets.find(|client| jwt.made_with(&client.secret));
        let secret = fitting.map(|client| fingerprint(&client.secret));
        return match secret {
            Some(_) => Ok(Signer::Client { id: issuer, secret }),
            None => Err("no secret of the client made the signature".to_owned()),
        };
    }
    let keys = desk.policy.keys.get(&issuer);
    let keys = keys.ok_or("iss is neither a client with keys nor a trusted issuer")?;
    keys.verify(jwt).map(|()| Signer::Client { id: issuer, secret: None })
}

pub(super) fn audience(jwt: &Jwt<'_>, audiences: &[String]) -> Result<(), String> {
    match jwt.is_for(audiences) {
        true => Ok(()),
        false => Err(format!("aud holds none of {}", audiences.join(", "))),
    }
}

pub(super) fn times(jwt: &Jwt<'_>, now: DateTime<Utc>) -> Result<(), String> {
    let now = now.timestamp();
    let expires = jwt.seconds("exp")?.ok_or("exp is missing")?;
    let issued = jwt.seconds("iat")?;
    if expires <= now {
        return Err("the JWT has expired".to_owned());
    }
    for (claim, time) in [("iat", issued), ("nbf", jwt.seconds("nbf")?)] {
        if time.is_some_and(|time| time > now.saturating_add(SKEW)) {
            return Err(format!("{claim} of the JWT lies ahead"));
        }
    }
    Ok(())
}

/// What a client makes for one request lives shortly and is taken once.
pub(super) fn once(desk: &mut Desk<'_>, jwt: &Jwt<'_>, client_id: &str) -> Result<(), String> {
    let begin = jwt.seconds("iat")?.unwrap_or(desk.now.timestamp());
    if jwt.seconds("exp")?.is_none_or(|expires| expires.saturating_sub(begin) > LONGEST) {
        return Err(format!("the JWT lives longer than {LONGEST} s"));
    }
    let jti = jwt.text("jti").ok_or("jti is missing")?;
    match desk.tokens.first_use(client_id, jti) {
        true => Ok(()),
        false => Err("the jti was used before".to_owned()),
    }
}

/// Whom a JWT stands for that is not a client's own authentication.
pub(super) struct Vouched {
    pub(super) client_id: String,
    /// Whether the client itself signed it.
    pub(super) own: bool,
}

/// Checks a JWT of a trusted issuer or of a client, and puts it into the log.
pub(super) fn vouched(desk: &mut Desk<'_>, jwt: &Jwt<'_>) -> Result<Vouched, String> {
    desk.judged.assertion = Some(jwt.seen());
    let subject = jwt.text("sub").map(str::to_owned);
    let vouched = match signer(desk, jwt)? {
        Signer::Issuer(name) => {
            let trusted = desk.policy.issuer(&name);
            let audience = trusted.map(|trusted| trusted.audience.clone());
            self::audience(jwt, audience.as_slice())?;
            times(jwt, desk.now)?;
            let client_id = subject.clone().ok_or("sub is missing")?;
            Vouched { client_id, own: false }
        }
        Signer::Client { id, secret } => {
            desk.judged.secret = secret.or(desk.judged.secret.take());
            audience(jwt, &desk.audiences)?;
            times(jwt, desk.now)?;
            once(desk, jwt, &id)?;
            Vouched { client_id: id, own: true }
        }
    };
    desk.judged.subject = subject;
    Ok(vouched)
}
