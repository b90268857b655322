//! The system `oauth2`: grants (`grants`), client authentication (`client`, `assertion`) and
//! revocation (`revocation`), examined to the letter like every other system.

mod assertion;
mod client;
mod grants;
mod revocation;

pub(crate) use grants::ACCESS_TOKEN;
pub(crate) use revocation::{Target, examine as examine_revocation};

use chrono::{DateTime, Utc};

use crate::credentials::Client;
use crate::incoming::Incoming;
use crate::judged::{GrantType, Judged};
use crate::policy::Policy;
use crate::systems::rules::{self, Names};
use crate::systems::{Encoding, Grant, Kind, Origin, Parameters, Refusal};
use crate::tokens::Tokens;

/// What a request is examined with.
pub(crate) struct Desk<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) clients: &'a [Client],
    pub(crate) tokens: &'a mut Tokens,
    pub(crate) now: DateTime<Utc>,
    /// What the `aud` of an assertion may say.
    pub(crate) audiences: Vec<String>,
    /// Filled in as far as the examination gets.
    pub(crate) judged: Judged,
}

/// What a right request asked for.
pub(crate) fn examine(desk: &mut Desk<'_>, request: &Incoming) -> Result<Grant, Refusal> {
    let parameters = form(request)?;
    let grant = grant_type(&parameters, request)?;
    desk.judged.grant = Some(grant);
    let way = client::Way::of(request, &parameters);
    desk.judged.authentication = Some(way.authentication);
    let (required, optional) = grants::names(grant);
    names(&way, (required, optional), grants::needs_client(grant)).check(&parameters)?;
    rules::scope_words(&parameters)?;
    let client = client::authenticate(desk, request, (&way, &parameters))?;
    let given = grants::examine(desk, grant, (&parameters, client))?;
    let (subject, parent) = (desk.judged.subject.clone(), desk.judged.parent);
    let asked = rules::key(&given.client_id, &parameters);
    Ok(Grant {
        scope: rules::value(&parameters, "scope").map(str::to_owned),
        key: format!("{asked}\n{subject:?} {parent:?}"),
        client_id: given.client_id,
        origin: Origin { grant: Some(grant), subject, parent, refresh: given.refresh },
    })
}

/// The parameters of a form, which is all that this system reads.
fn form(request: &Incoming) -> Result<Parameters, Refusal> {
    rules::posted(request)?;
    match rules::content_type(request)? {
        Encoding::Form => rules::parameters(Encoding::Form, request),
        other @ Encoding::Json => {
            Err(rules::invalid(format!("Content-Type {} is not read here", other.media_type())))
        }
    }
}

fn grant_type(parameters: &Parameters, request: &Incoming) -> Result<GrantType, Refusal> {
    match rules::value(parameters, "grant_type") {
        None if client::bears_token(request) => Ok(GrantType::Renewal),
        None => Err(rules::invalid("the parameter `grant_type` is missing")),
        Some(name) => {
            GrantType::NAMED.into_iter().find(|grant| grant.name() == name).ok_or_else(|| {
                Refusal::new(Kind::UnsupportedGrantType, "grant_type is none that is known here")
            })
        }
    }
}

type Lists = (&'static [&'static str], &'static [&'static str]);

/// All that a request may hold.
struct Allowed {
    required: Vec<&'static str>,
    optional: Vec<&'static str>,
    unauthenticated: Kind,
}

impl Allowed {
    fn check(&self, parameters: &Parameters) -> Result<(), Refusal> {
        let names = Names {
            required: &self.required,
            optional: &self.optional,
            unauthenticated: self.unauthenticated,
        };
        rules::allowed(&names, parameters)
    }
}

/// Whether somebody who does not authenticate has to say who they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientName {
    Needed,
    Implied,
}

fn names(way: &client::Way, (required, optional): Lists, client: ClientName) -> Allowed {
    let (by_way, or_by_way) = way.names(client);
    Allowed {
        required: [required, by_way].concat(),
        optional: [optional, or_by_way].concat(),
        unauthenticated: way.challenge,
    }
}
