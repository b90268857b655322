//! The rules by which a request is examined, the same for every system; [`Profile`] holds what
//! differs.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Method;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};

use super::decode::{self, Parameters};
use super::profile::{Basic, BodyCredentials, Encoding, Profile, Way};
use super::refusal::{Kind, Refusal};
use crate::credentials::Client;
use crate::incoming::Incoming;
use crate::judged::GrantType;
use crate::refresh::Redemption;

/// What a request that followed the rules asked for.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    pub(crate) scope: Option<String>,
    /// Everything but the secrets: two requests with the same key may be given the same token.
    pub(crate) key: String,
    pub(crate) origin: Origin,
}

/// What a token rests on; only the system `oauth2` has more than a client and its secret.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    pub(crate) grant: Option<GrantType>,
    pub(crate) subject: Option<String>,
    pub(crate) parent: Option<u64>,
    pub(crate) refresh: Option<Redemption>,
}

/// Holds a request against the profile; `segment` is the variable part of its path.
pub(crate) fn examine(
    profile: &Profile,
    request: &Incoming,
    segment: &str,
    clients: &[Client],
) -> Result<Grant, Refusal> {
    posted(request)?;
    let way = choose(profile, request)?;
    fixed_headers(way, request)?;
    let parameters = parameters(way.encoding, request)?;
    let names =
        Names { required: way.required, optional: way.optional, unauthenticated: challenge(way) };
    allowed(&names, &parameters)?;
    client_credentials(&parameters)?;
    scope_words(&parameters)?;
    let presented = presented(way, request, &parameters, segment)?;
    authenticate(&presented, clients)?;
    Ok(Grant {
        scope: value(&parameters, "scope").map(str::to_owned),
        key: key(&presented.id, &parameters),
        client_id: presented.id,
        origin: Origin::default(),
    })
}

/// A POST without a query, as everything that carries credentials has to be.
pub(crate) fn posted(request: &Incoming) -> Result<(), Refusal> {
    if request.method != Method::POST {
        return Err(Refusal::new(
            Kind::WrongMethod,
            format!("the method is {}, not POST", request.method),
        ));
    }
    match &request.query {
        Some(_) => Err(invalid("a token request has no query; parameters belong in the body")),
        None => Ok(()),
    }
}

pub(crate) fn invalid(reason: impl Into<String>) -> Refusal {
    Refusal::new(Kind::InvalidRequest, reason)
}

/// The documented way that this request follows: by Content-Type first, by Authorization where that
/// leaves two.
fn choose<'a>(profile: &'a Profile, request: &Incoming) -> Result<&'a Way, Refusal> {
    let encoding = content_type(request)?;
    let by_header = request.headers.contains_key(AUTHORIZATION);
    let fitting = || profile.ways.iter().filter(|way| way.encoding == encoding);
    fitting()
        .find(|way| (way.basic != Basic::Forbidden) == by_header)
        .or_else(|| fitting().next())
        .ok_or_else(|| invalid(format!("Content-Type {} is not read here", encoding.media_type())))
}

pub(crate) fn content_type(request: &Incoming) -> Result<Encoding, Refusal> {
    let given = request
        .single(&CONTENT_TYPE)
        .map_err(invalid)?
        .ok_or_else(|| invalid("Content-Type is missing"))?;
    let (essence, parameter) = given.split_once(';').unwrap_or((given, "charset=utf-8"));
    if !parameter.trim().eq_ignore_ascii_case("charset=utf-8") {
        return Err(invalid("Content-Type has a parameter other than charset=utf-8"));
    }
    [Encoding::Form, Encoding::Json]
        .into_iter()
        .find(|encoding| encoding.media_type().eq_ignore_ascii_case(essence.trim()))
        .ok_or_else(|| invalid("Content-Type is neither JSON nor a form"))
}

fn fixed_headers(way: &Way, request: &Incoming) -> Result<(), Refusal> {
    for (name, wanted) in way.headers {
        if request.single(*name).map_err(invalid)? != Some(*wanted) {
            return Err(invalid(format!("the header {name} is not `{wanted}`")));
        }
    }
    if way.basic == Basic::Forbidden && request.headers.contains_key(AUTHORIZATION) {
        return Err(invalid("an Authorization header is not allowed with this body"));
    }
    Ok(())
}

pub(crate) fn parameters(encoding: Encoding, request: &Incoming) -> Result<Parameters, Refusal> {
    let body = std::str::from_utf8(&request.body).map_err(|_| invalid("the body is not UTF-8"))?;
    match encoding {
        Encoding::Form => decode::form(body),
        Encoding::Json => decode::json(body),
    }
    .map_err(invalid)
}

/// The parameters that a request may have.
pub(crate) struct Names<'a> {
    pub(crate) required: &'a [&'static str],
    pub(crate) optional: &'a [&'static str],
    /// How a client that does not say who it is gets refused.
    pub(crate) unauthenticated: Kind,
}

/// Exactly the documented parameters, each once, none empty.
pub(crate) fn allowed(names: &Names<'_>, parameters: &Parameters) -> Result<(), Refusal> {
    for (index, (name, value)) in parameters.iter().enumerate() {
        if !names.required.iter().chain(names.optional).any(|known| known == name) {
            let hint = match (names.unauthenticated, name.as_str()) {
                (
                    Kind::InvalidClientByBasic | Kind::InvalidClientByBearer,
                    "client_id" | "client_secret",
                ) => ": the client authenticates in the Authorization header",
                _ => "",
            };
            return Err(invalid(format!("the parameter `{name}` is not allowed{hint}")));
        }
        if parameters.iter().take(index).any(|(earlier, _)| earlier == name) {
            return Err(invalid(format!("the parameter `{name}` is there twice")));
        }
        if value.is_empty() {
            return Err(invalid(format!("the parameter `{name}` is empty; leave it out")));
        }
    }
    match names.required.iter().find(|name| value(parameters, name).is_none()) {
        Some(name @ (&"client_id" | &"client_secret")) => {
            Err(Refusal::new(names.unauthenticated, format!("the parameter `{name}` is missing")))
        }
        Some(name) => Err(invalid(format!("the parameter `{name}` is missing"))),
        None => Ok(()),
    }
}

/// How wrong credentials are refused: RFC 6749 §5.2 wants a challenge where the header plays a
/// part.
const fn challenge(way: &Way) -> Kind {
    match way.basic {
        Basic::Forbidden => Kind::InvalidClient,
        Basic::Bare | Basic::FormEncoded => Kind::InvalidClientByBasic,
    }
}

fn client_credentials(parameters: &Parameters) -> Result<(), Refusal> {
    match value(parameters, "grant_type") {
        Some(grant) if grant != "client_credentials" => {
            Err(Refusal::new(Kind::UnsupportedGrantType, "grant_type is not client_credentials"))
        }
        _ => Ok(()),
    }
}

/// RFC 6749 §3.3.
pub(crate) fn scope_words(parameters: &Parameters) -> Result<(), Refusal> {
    let scope_token = |token: &str| {
        !token.is_empty()
            && token.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    };
    match value(parameters, "scope") {
        Some(scope) if !scope.split(' ').all(scope_token) => Err(Refusal::new(
            Kind::InvalidScope,
            "scope is not a list of words with one space between",
        )),
        _ => Ok(()),
    }
}

pub(crate) fn value<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    parameters.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
}

/// What says, beside the client, which token is asked for.
pub(crate) fn key(client_id: &str, parameters: &Parameters) -> String {
    const WHO: [&str; 9] = [
        "client_id",
        "client_secret",
        "channelSecret",
        "client_assertion",
        "refresh_token",
        "password",
        "assertion",
        "subject_token",
        "actor_token",
    ];
    let mut asked: Vec<_> = parameters
        .iter()
        .filter(|(name, _)| !WHO.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    asked.sort();
    format!("{client_id}\n{}", asked.join("\n"))
}

/// Credentials as they came.
pub(crate) struct Presented {
    pub(crate) id: String,
    pub(crate) secret: String,
    /// The refusal that wrong ones get.
    pub(crate) kind: Kind,
    pub(crate) basic: Basic,
}

fn presented(
    way: &Way,
    request: &Incoming,
    parameters: &Parameters,
    segment: &str,
) -> Result<Presented, Refusal> {
    let text = |name| value(parameters, name).unwrap_or_default().to_owned();
    let in_body = |id: String, secret: String| Presented {
        id,
        secret,
        kind: challenge(way),
        basic: way.basic,
    };
    match (way.basic, way.body) {
        (_, BodyCredentials::Channel) => Ok(in_body(segment.to_owned(), text("channelSecret"))),
        (Basic::Forbidden, _) => Ok(in_body(text("client_id"), text("client_secret"))),
        (_, BodyCredentials::Absent) => in_header(way.basic, request),
        (_, BodyCredentials::Client) => {
            let header = in_header(way.basic, request)?;
            if header.id != text("client_id") || header.secret != text("client_secret") {
                let reason =
                    format!("header and body carry different credentials{}", bare_hint(&header));
                return Err(Refusal::new(Kind::InvalidClientByBasic, reason));
            }
            Ok(header)
        }
    }
}

pub(crate) fn in_header(basic: Basic, request: &Incoming) -> Result<Presented, Refusal> {
    let refuse = |reason: &str| Refusal::new(Kind::InvalidClientByBasic, reason);
    let header = request
        .single(&AUTHORIZATION)
        .map_err(invalid)?
        .ok_or_else(|| refuse("the Authorization header is missing"))?;
    let encoded = header
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Basic"))
        .map(|(_, encoded)| encoded)
        .ok_or_else(|| refuse("the Authorization header is not of the scheme Basic"))?;
    let pair = BASE64_STANDARD
        .decode(encoded)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| refuse("the Basic credentials are not base64 of UTF-8"))?;
    let (id, secret) =
        pair.split_once(':').ok_or_else(|| refuse("the Basic credentials have no colon"))?;
    let plain = |text: &str| match basic {
        Basic::FormEncoded => decode::form_text(text).map_err(|why| {
            refuse(&format!(
                "the Basic credentials are not form-urlencoded (RFC 6749 §2.3.1): {why}"
            ))
        }),
        Basic::Bare | Basic::Forbidden => Ok(text.to_owned()),
    };
    Ok(Presented {
        id: plain(id)?,
        secret: plain(secret)?,
        kind: Kind::InvalidClientByBasic,
        basic,
    })
}

/// Most mistakes with bare credentials are the encoding that RFC 6749 asks for and these systems do
/// not read.
fn bare_hint(presented: &Presented) -> &'static str {
    let looks_encoded =
        presented.secret.contains('%') && decode::form_text(&presented.secret).is_ok();
    if presented.basic == Basic::Bare && looks_encoded {
        "; the header looks form-urlencoded, this system wants `id:secret` bare"
    } else {
        ""
    }
}

pub(crate) fn authenticate(presented: &Presented, clients: &[Client]) -> Result<(), Refusal> {
    let mut of_this_id = clients.iter().filter(|client| client.id == presented.id).peekable();
    let reason = if of_this_id.peek().is_none() {
        format!("no client has this identifier{}", bare_hint(presented))
    } else if of_this_id.any(|client| client.secret == presented.secret) {
        return Ok(());
    } else if presented.secret.ends_with(['\n', '\r', ' ']) {
        "the secret is wrong: it ends in white space".to_owned()
    } else {
        format!("the secret is wrong{}", bare_hint(presented))
    };
    Err(Refusal::new(presented.kind, reason))
}
