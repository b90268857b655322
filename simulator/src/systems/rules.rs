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

/// What a request that followed the rules asked for.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) client_id: String,
    pub(crate) scope: Option<String>,
    /// Everything but the secret: two requests with the same subject may be given the same token.
    pub(crate) subject: String,
}

/// Holds a request against the profile; `segment` is the variable part of its path.
pub(crate) fn examine(
    profile: &Profile,
    request: &Incoming,
    segment: &str,
    clients: &[Client],
) -> Result<Grant, Refusal> {
    if request.method != Method::POST {
        return Err(Refusal::new(
            Kind::WrongMethod,
            format!("the method is {}, not POST", request.method),
        ));
    }
    if request.query.is_some() {
        return Err(invalid("a token request has no query; parameters belong in the body"));
    }
    let way = choose(profile, request)?;
    fixed_headers(way, request)?;
    let parameters = parameters(way, request)?;
    allowed(way, &parameters)?;
    values(&parameters)?;
    let client_id = authenticate(&presented(way, request, &parameters, segment)?, clients)?;
    Ok(Grant {
        scope: value(&parameters, "scope").map(str::to_owned),
        subject: subject(&client_id, &parameters),
        client_id,
    })
}

fn invalid(reason: impl Into<String>) -> Refusal {
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

fn content_type(request: &Incoming) -> Result<Encoding, Refusal> {
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

fn parameters(way: &Way, request: &Incoming) -> Result<Parameters, Refusal> {
    let body = std::str::from_utf8(&request.body).map_err(|_| invalid("the body is not UTF-8"))?;
    match way.encoding {
        Encoding::Form => decode::form(body),
        Encoding::Json => decode::json(body),
    }
    .map_err(invalid)
}

/// Exactly the documented parameters, each once, none empty.
fn allowed(way: &Way, parameters: &Parameters) -> Result<(), Refusal> {
    for (index, (name, value)) in parameters.iter().enumerate() {
        if !way.required.iter().chain(way.optional).any(|known| known == name) {
            let hint = match (way.basic, name.as_str()) {
                (Basic::Bare | Basic::FormEncoded, "client_id" | "client_secret") => {
                    ": the client authenticates in the Authorization header"
                }
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
    match way.required.iter().find(|name| value(parameters, name).is_none()) {
        Some(name @ (&"client_id" | &"client_secret")) => {
            Err(Refusal::new(unauthenticated(way), format!("the parameter `{name}` is missing")))
        }
        Some(name) => Err(invalid(format!("the parameter `{name}` is missing"))),
        None => Ok(()),
    }
}

/// How wrong credentials are refused: RFC 6749 §5.2 wants a challenge where the header plays a
/// part.
const fn unauthenticated(way: &Way) -> Kind {
    match way.basic {
        Basic::Forbidden => Kind::InvalidClient,
        Basic::Bare | Basic::FormEncoded => Kind::InvalidClientByBasic,
    }
}

/// The parameters whose values the RFC restricts.
fn values(parameters: &Parameters) -> Result<(), Refusal> {
    if value(parameters, "grant_type").is_some_and(|grant| grant != "client_credentials") {
        return Err(Refusal::new(
            Kind::UnsupportedGrantType,
            "grant_type is not client_credentials",
        ));
    }
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

fn value<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a str> {
    parameters.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
}

fn subject(client_id: &str, parameters: &Parameters) -> String {
    let mut asked: Vec<_> = parameters
        .iter()
        .filter(|(name, _)| {
            !matches!(name.as_str(), "client_secret" | "channelSecret" | "client_id")
        })
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    asked.sort();
    format!("{client_id}\n{}", asked.join("\n"))
}

/// Credentials as they came.
struct Presented {
    id: String,
    secret: String,
    /// The refusal that wrong ones get.
    kind: Kind,
    basic: Basic,
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
        kind: unauthenticated(way),
        basic: way.basic,
    };
    match (way.basic, way.body) {
        (_, BodyCredentials::Channel) => Ok(in_body(segment.to_owned(), text("channelSecret"))),
        (Basic::Forbidden, _) => Ok(in_body(text("client_id"), text("client_secret"))),
        (_, BodyCredentials::Absent) => in_header(way, request),
        (_, BodyCredentials::Client) => {
            let header = in_header(way, request)?;
            if header.id != text("client_id") || header.secret != text("client_secret") {
                let reason =
                    format!("header and body carry different credentials{}", bare_hint(&header));
                return Err(Refusal::new(Kind::InvalidClientByBasic, reason));
            }
            Ok(header)
        }
    }
}

fn in_header(way: &Way, request: &Incoming) -> Result<Presented, Refusal> {
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
    let plain = |text: &str| match way.basic {
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
        basic: way.basic,
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

fn authenticate(presented: &Presented, clients: &[Client]) -> Result<String, Refusal> {
    let mut of_this_id = clients.iter().filter(|client| client.id == presented.id).peekable();
    let reason = if of_this_id.peek().is_none() {
        format!("no client has this identifier{}", bare_hint(presented))
    } else if of_this_id.any(|client| client.secret == presented.secret) {
        return Ok(presented.id.clone());
    } else if presented.secret.ends_with(['\n', '\r', ' ']) {
        "the secret is wrong: it ends in white space".to_owned()
    } else {
        format!("the secret is wrong{}", bare_hint(presented))
    };
    Err(Refusal::new(presented.kind, reason))
}
