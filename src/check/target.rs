//! Whether a token fits the target that it is for.

use crate::api::OAuthClientToken;
use crate::error::Error;
use crate::oauth::{Endpoint, Issued};
use crate::render::{Place, Shown, Times};
use crate::watch::shape;

/// Shows a token in its target's shape, and forgets what came of it.
pub(super) fn fits(
    token: &OAuthClientToken,
    endpoint: &Endpoint,
    issued: &Issued,
) -> Result<(), Error> {
    let life = issued.life;
    let shown = Shown {
        access_token: issued.access_token.clone(),
        token_type: issued.token_type.clone(),
        times: Times {
            issued_at: life.issued_at,
            expires_at: life.expires_at,
            refresh_at: life.expires_at,
        },
        outputs: issued.outputs.clone(),
    };
    let owner = token.owner();
    let place =
        Place { namespace: &owner.namespace, name: &owner.name, secret_name: token.secret_name() };
    shape(&token.spec, Some(endpoint))?.render(&shown, place).map(drop)
}
