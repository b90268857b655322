//! The likeliest mends of a failure. Pure: symptoms in, words out, the likeliest first. It advises,
//! and tries nothing itself.

use super::advice::{encoding, grant, method, on, scope, signature, some, wrong_secret};
use super::said::{Topic, topics};
use super::symptoms::Symptoms;
use crate::api::{ClientAuthentication, Grant};
use crate::error::{Class, Reason};
use crate::oauth::Content;

/// A clock that is off by less is seldom to blame.
const SKEW_SECONDS: i64 = 20;
/// More advice than this is none.
const MOST: usize = 3;

type Rule = fn(&Symptoms) -> Option<String>;

/// In the order of how sure they are.
const RULES: &[Rule] = &[
    before_the_request,
    unreachable,
    discovery,
    redirect,
    newline,
    clock,
    challenge,
    said,
    no_token,
    no_expiry,
    not_found,
    page,
    by_code,
    by_status,
    last_resort,
];

/// What to do about a failure, the likeliest first; never empty.
pub(super) fn mends(symptoms: &Symptoms) -> Vec<String> {
    let mut mends: Vec<String> = Vec::new();
    for mend in RULES.iter().filter_map(|rule| rule(symptoms)) {
        if !mends.contains(&mend) {
            mends.push(mend);
        }
    }
    // What is always right helps only who has nothing else.
    if mends.len() > 1 {
        mends.pop();
    }
    mends.truncate(MOST);
    mends
}

/// What was found out here, and says itself what is wrong.
fn before_the_request(it: &Symptoms) -> Option<String> {
    if it.status.is_some() {
        return None;
    }
    let has = |text: &str| it.message.contains(text);
    match it.reason {
        Reason::EgressDenied if has("plain http") => some!(
            "begin request.url with https://; only for a test on your own machine, add --allow-http",
        ),
        Reason::EgressDenied => some!(
            "check the host: a token endpoint seldom lies at such an address. If this one does, \
             add --egress-allow-cidr here and to the controller",
        ),
        Reason::InvalidCredentials if has("certificate of another key") => some!(
            "put the certificate and the private key of one pair into the Secret; `openssl x509 \
             -noout -pubkey -in tls.crt` and `openssl pkey -pubout -in KEY` must print the same",
        ),
        Reason::InvalidCredentials if has("do not belong together") => some!(
            "put tls.crt and tls.key of one pair into the Secret; `openssl x509 -noout -pubkey \
             -in tls.crt` and `openssl pkey -pubout -in tls.key` must print the same",
        ),
        Reason::InvalidCredentials
        | Reason::CredentialsKeyMissing
        | Reason::CredentialsNotFound
        | Reason::CredentialsNotSpecified => {
            some!("mend the credentials Secret as the message says")
        }
        Reason::InvalidProvider
        | Reason::InvalidSpec
        | Reason::TargetNotRendered
        | Reason::ProviderNotFound => {
            some!("mend the manifest as the message says")
        }
        Reason::ParentNotReady => some!("mend the token that this one is made from first"),
        _ => None,
    }
}

fn unreachable(it: &Symptoms) -> Option<String> {
    let has = |text: &str| it.message.contains(text);
    match it.reason {
        Reason::ProviderUnreachable if has("DNS") => some!(
            "check the host name in request.url and in the variables that it is made of; if it is \
             right, this machine's DNS does not know it",
        ),
        Reason::ProviderUnreachable if has("UnknownIssuer") => some!(
            "the provider's certificate comes from a CA that nobody here knows: put that CA's \
             certificate (PEM) into caBundle",
        ),
        Reason::ProviderUnreachable if has("NotValidForName") => {
            some!("the certificate is for another host name: use that name in request.url",)
        }
        Reason::ProviderUnreachable if has("Expired") => {
            some!("the provider's certificate has expired, or this machine's clock is wrong")
        }
        Reason::ProviderUnreachable if has("InvalidContentType") => {
            some!("the port does not speak TLS: check the port, or the scheme")
        }
        Reason::ProviderUnreachable if has("refused") => some!(
            "nothing listens at that host and port: check both in request.url and its variables",
        ),
        Reason::ProviderUnreachable => {
            some!("check host and port; a firewall or a proxy may end the connection")
        }
        Reason::ProviderTimeout => some!(
            "nothing answers there: check host and port, and what firewalls and NetworkPolicies \
             let through",
        ),
        _ => None,
    }
}

fn discovery(it: &Symptoms) -> Option<String> {
    match it.reason {
        Reason::DiscoveryFailed if it.message.contains("clientAuthentication") => {
            some!("set clientAuthentication to one of those that the issuer takes")
        }
        Reason::DiscoveryFailed => some!(
            "set issuer to exactly what the provider calls itself, with its path; or leave \
             discovery out and set request.url",
        ),
        _ => None,
    }
}

fn redirect(it: &Symptoms) -> Option<String> {
    let moved = it.status.is_some_and(|status| (300..400).contains(&status));
    let to = it.redirect.as_ref().map(|host| format!(" (it leads to {host})"));
    moved.then(|| {
        format!(
            "set request.url to the address that the redirect leads to{}: credentials are never \
             sent on. Often it is https for http, a slash too many or few, or another region",
            to.unwrap_or_default()
        )
    })
}

fn newline(it: &Symptoms) -> Option<String> {
    let refused = it.status.is_some_and(|status| status >= 400);
    let remark = it.remark.as_ref().filter(|_| refused)?;
    Some(format!("store it without: {remark} (`printf %s` writes none, `echo` does)"))
}

fn clock(it: &Symptoms) -> Option<String> {
    let seconds = it.clock_skew?.num_seconds();
    let off = it.signs && seconds.abs() > SKEW_SECONDS && it.class == Class::Permanent;
    off.then(|| clock_words(seconds))
}

/// What is off, and by how much.
pub(super) fn clock_words(seconds: i64) -> String {
    let how = if seconds > 0 { "behind" } else { "ahead of" };
    format!(
        "set this machine's clock: it is {} s {how} the provider's, and what is signed here \
         counts by it",
        seconds.abs()
    )
}

/// RFC 6749 section 5.2: the scheme that the client ought to use.
fn challenge(it: &Symptoms) -> Option<String> {
    let wants = it.challenge == "basic" && !it.uses(ClientAuthentication::ClientSecretBasic);
    wants.then(|| method(it))
}

fn said(it: &Symptoms) -> Option<String> {
    if it.status.is_none_or(|status| status < 400) && it.code.is_empty() {
        return None;
    }
    topics(&format!("{} {}", it.code, it.said)).find_map(|topic| on(topic, it))
}

/// An answer that was taken for a success and holds no token.
fn no_token(it: &Symptoms) -> Option<String> {
    let at = it.tokens.first().filter(|_| it.message.contains("holds no token"))?;
    Some(format!("set response.token to [{at}]: what lies there looks like a token"))
}

fn no_expiry(it: &Symptoms) -> Option<String> {
    if it.reason != Reason::InvalidResponse || !it.message.contains("expir") {
        return None;
    }
    match it.expiries.first() {
        Some((at, kind)) => Some(expiry_words(at, kind)),
        None => some!(
            "set response.expiry.default to the life that the provider documents, or kind jwt if \
             the token is a JWT with exp",
        ),
    }
}

/// Where an expiry seems to lie.
pub(super) fn expiry_words(at: &str, kind: &str) -> String {
    format!("set response.expiry to {{kind: {kind}, at: [{at}]}}: what lies there looks like one")
}

fn not_found(it: &Symptoms) -> Option<String> {
    let url = &it.url;
    match it.status? {
        404 | 410 => Some(format!(
            "nothing is at {url}: check the path of request.url and the variables in it"
        )),
        405 => Some(format!(
            "{url} takes no such request: check the path of request.url, and request.method"
        )),
        _ => None,
    }
}

fn page(it: &Symptoms) -> Option<String> {
    (it.content? == Content::Html).then(|| {
        format!(
            "{} answers with a page for people, so it is no token endpoint: check the path of \
             request.url, and whether a proxy or a sign-in page stands before it",
            it.url
        )
    })
}

fn by_code(it: &Symptoms) -> Option<String> {
    match it.code.as_str() {
        "invalid_client" if it.signs => Some(signature(it)),
        "invalid_client" => Some(wrong_secret(it)),
        "unauthorized_client" | "unsupported_grant_type" => grant(it),
        "invalid_scope" => Some(scope(it)),
        "invalid_target" => some!("check the parameter audience or resource"),
        "invalid_grant" => invalid_grant(it),
        "access_denied" | "consent_required" | "interaction_required" => {
            some!("let an administrator of the provider consent to this client")
        }
        "invalid_request" => on(Topic::Parameter, it),
        _ => None,
    }
}

fn invalid_grant(it: &Symptoms) -> Option<String> {
    match it.grant {
        Grant::RefreshToken => some!(
            "the refresh token was used, revoked or has expired: let a person sign in once more \
             and store the new one",
        ),
        Grant::Password => some!("the user's name or password is wrong, or the user is locked"),
        Grant::TokenExchange => some!(
            "the provider does not take the subject token: check that it is unexpired and meant \
             for this provider",
        ),
        _ if it.signs => Some(signature(it)),
        _ => None,
    }
}

fn by_status(it: &Symptoms) -> Option<String> {
    match it.status? {
        429 => on(Topic::Throttled, it),
        415 | 406 => Some(encoding()),
        401 if it.sends_secret() => Some(method(it)),
        403 => some!("the client is known and may not do this: check its rights at the provider"),
        500.. => some!("the provider has a trouble of its own: try again later"),
        _ => None,
    }
}

fn last_resort(_: &Symptoms) -> Option<String> {
    some!("compare the request above with the provider's documentation")
}

#[cfg(test)]
#[path = "mend_tests.rs"]
mod tests;
