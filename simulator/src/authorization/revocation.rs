//! Revocation (RFC 7009).

use super::{ClientName, Desk, client, form, names};
use crate::incoming::Incoming;
use crate::systems::rules;
use crate::systems::{Kind, Refusal};

/// What is to be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The token of this serial.
    Token(u64),
    /// A token that was never given out, which is no error (§2.2).
    Unknown,
}

/// Holds a request against the RFC; the client has to authenticate as for a token.
pub(crate) fn examine(desk: &mut Desk<'_>, request: &Incoming) -> Result<Target, Refusal> {
    let parameters = form(request)?;
    let way = client::Way::of(request, &parameters);
    desk.judged.authentication = Some(way.authentication);
    let lists: super::Lists = (&["token"], &["token_type_hint"]);
    names(&way, lists, ClientName::Needed).check(&parameters)?;
    let client = client::authenticate(desk, request, (&way, &parameters))?;
    let token = rules::value(&parameters, "token").unwrap_or_default();
    // The hint is one: a wrong one does no harm (§2.1).
    let access = desk.tokens.find(token).map(|record| (record.serial, record.client_id.clone()));
    let found = access.or_else(|| {
        let record = desk.tokens.refresh_token(token, &desk.policy.refresh.seeds, desk.now)?;
        Some((record.serial, record.client_id))
    });
    match found {
        None => Ok(Target::Unknown),
        Some((_, owner)) if client != Some(owner.clone()) => {
            Err(Refusal::new(Kind::InvalidGrant, "the token belongs to another client"))
        }
        Some((serial, _)) => Ok(Target::Token(serial)),
    }
}
