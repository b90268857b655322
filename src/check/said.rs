//! What providers say in their own words, and what they mean by it. A line of data each.

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Topic {
    UnknownClient,
    WrongSecret,
    ExpiredSecret,
    Method,
    Clock,
    Audience,
    KeyId,
    Signature,
    Subject,
    Scope,
    Grant,
    Parameter,
    Encoding,
    Throttled,
}

/// Words (in lower case) that are to be found in a code or message, all of them, and what they mean.
/// The first line that fits counts most.
const SAID: &[(&[&str], Topic)] = &[
    // Microsoft Entra ID numbers what it says.
    (&["aadsts7000215"], Topic::WrongSecret),
    (&["aadsts7000222"], Topic::ExpiredSecret),
    (&["aadsts700016"], Topic::UnknownClient),
    (&["aadsts700027"], Topic::Signature),
    (&["aadsts700021"], Topic::Subject),
    (&["aadsts50013"], Topic::Signature),
    (&["aadsts70011"], Topic::Scope),
    (&["aadsts1002012"], Topic::Scope),
    (&["audience"], Topic::Audience),
    (&["aud "], Topic::Audience),
    (&["aud claim"], Topic::Audience),
    (&["kid"], Topic::KeyId),
    (&["key id"], Topic::KeyId),
    (&["no matching key"], Topic::KeyId),
    (&["signature"], Topic::Signature),
    (&["jwt", "expired"], Topic::Clock),
    (&["assertion", "expired"], Topic::Clock),
    (&["lies ahead"], Topic::Clock),
    (&["in the future"], Topic::Clock),
    (&["not yet valid"], Topic::Clock),
    (&["iat of"], Topic::Clock),
    (&["nbf of"], Topic::Clock),
    (&["sub of"], Topic::Subject),
    (&["iss is"], Topic::Subject),
    (&["issuer"], Topic::Subject),
    (&["secret", "expired"], Topic::ExpiredSecret),
    (&["authorization header"], Topic::Method),
    (&["authentication method"], Topic::Method),
    (&["client_secret", "missing"], Topic::Method),
    (&["client_id", "missing"], Topic::Method),
    (&["client_secret", "not allowed"], Topic::Method),
    (&["client_id", "not allowed"], Topic::Method),
    (&["no client"], Topic::UnknownClient),
    (&["unknown client"], Topic::UnknownClient),
    (&["client not found"], Topic::UnknownClient),
    (&["client does not exist"], Topic::UnknownClient),
    (&["invalid client_id"], Topic::UnknownClient),
    (&["invalid client id"], Topic::UnknownClient),
    (&["secret"], Topic::WrongSecret),
    (&["scope"], Topic::Scope),
    (&["grant type"], Topic::Grant),
    (&["grant_type"], Topic::Grant),
    (&["content-type"], Topic::Encoding),
    (&["media type"], Topic::Encoding),
    (&["missing"], Topic::Parameter),
    (&["not allowed"], Topic::Parameter),
    (&["too many"], Topic::Throttled),
    (&["rate limit"], Topic::Throttled),
];

/// What a provider's words mean, the likeliest first.
pub(super) fn topics(words: &str) -> impl Iterator<Item = Topic> {
    let fits = |(all, _): &&(&[&str], Topic)| all.iter().all(|word| words.contains(word));
    SAID.iter().filter(fits).map(|(_, topic)| *topic).take(2)
}
