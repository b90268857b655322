//! The token endpoint's URL: where a value may stand in it, and how it is encoded there.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::template::{Name, Part, Template, invalid};
use crate::error::Error;

/// RFC 3986 section 2.3: everything but the unreserved characters is encoded.
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A URL whose origin is fixed and whose path and query may still hold names.
#[derive(Clone, Debug)]
pub(super) struct UrlTemplate {
    /// With every variable filled in.
    template: Template,
    /// Scheme, host and port.
    origin: Url,
    /// Whether a variable reaches scheme, host or port.
    origin_varies: bool,
}

/// Where in a URL the text so far ends.
enum Position {
    Start,
    Authority,
    Path,
    Query,
}

impl UrlTemplate {
    /// Fills in the variables and fixes the origin. Fails where a value would change the URL's
    /// shape or where anything but literals and variables reaches scheme, host or port.
    pub(super) fn compile<'a>(
        template: &'a Template,
        variable: impl Fn(&'a str) -> &'a str,
    ) -> Result<Self, Error> {
        let mut parts: Vec<Part> = Vec::new();
        let mut so_far = String::new();
        let mut origin_varies = false;
        for part in &template.parts {
            let in_origin = matches!(position(&so_far), Position::Start | Position::Authority);
            let text = match part {
                Part::Literal(literal) => literal.clone(),
                Part::Name(Name::Variable(name)) => {
                    origin_varies |= in_origin;
                    place(name, variable(name), &position(&so_far))?
                }
                Part::Name(name) => {
                    if in_origin {
                        return Err(invalid(format!(
                            "request.url: scheme, host and port come from literals and variables \
                             only, not from {{{{ {name} }}}}"
                        )));
                    }
                    so_far.push('x');
                    parts.push(part.clone());
                    continue;
                }
            };
            so_far.push_str(&text);
            parts.push(Part::Literal(text));
        }
        Ok(Self { template: Template { parts }, origin: check(&so_far)?, origin_varies })
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> &Url {
        &self.origin
    }

    /// Whether a variable reaches scheme, host or port.
    pub(super) fn origin_varies(&self) -> bool {
        self.origin_varies
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.template.names()
    }

    /// The URL with every name filled in and percent-encoded.
    pub(super) fn render<'a>(
        &'a self,
        mut value: impl FnMut(&'a Name) -> &'a str,
    ) -> Result<Url, Error> {
        let mut text = String::new();
        for part in &self.template.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Name(name) => {
                    let value = value(name);
                    if value.is_empty() && matches!(position(&text), Position::Path) {
                        let what = "is empty where the path needs a segment";
                        return Err(name.refuse("request.url", what));
                    }
                    text.extend(utf8_percent_encode(value, &UNRESERVED));
                }
            }
        }
        match (check(&text), self.names().next()) {
            (Ok(url), _) if url.origin() == self.origin.origin() => Ok(url),
            // It was good with other values, so these are to blame.
            (_, Some(name)) => Err(name.refuse("request.url", "makes a path segment . or ..")),
            (checked, None) => checked,
        }
    }
}

fn position(text: &str) -> Position {
    let Some((_, rest)) = text.split_once("://") else {
        return if text.is_empty() { Position::Start } else { Position::Authority };
    };
    if rest.contains(['?', '#']) {
        Position::Query
    } else if rest.contains('/') {
        Position::Path
    } else {
        Position::Authority
    }
}

fn place(name: &str, value: &str, position: &Position) -> Result<String, Error> {
    match position {
        Position::Start => check(value)
            .map(|_| value.to_owned())
            .map_err(|error| invalid(format!("variable {name:?}: {}", error.message()))),
        Position::Authority if is_authority(value) => Ok(value.to_owned()),
        Position::Authority => Err(invalid(format!(
            "variable {name:?} stands for a host: letters, digits, - and . with an optional :port, \
             or an IPv6 address in []"
        ))),
        Position::Path if value.is_empty() => {
            Err(invalid(format!("variable {name:?} is empty where the path needs a segment")))
        }
        Position::Path | Position::Query => Ok(utf8_percent_encode(value, &UNRESERVED).to_string()),
    }
}

/// Whether a value can be (a part of) a host with an optional port.
pub(super) fn is_authority(value: &str) -> bool {
    let (host, port) = match value.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (value, None),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let ipv6 = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
    let name = !host.is_empty()
        && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
    port_fits && (ipv6 || name)
}

/// Reads an absolute http URL. The text is judged before it is parsed, for parsers quietly resolve
/// `..`, turn `\` into `/` and drop tabs.
fn check(text: &str) -> Result<Url, Error> {
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '\\' | '#')) {
        return Err(invalid("request.url holds white space, a control character, \\ or #"));
    }
    // Parsers find a host behind one slash or none, or behind three.
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http")
        || rest.starts_with('/')
    {
        return Err(invalid("request.url is not an absolute URL that begins with https://"));
    }
    let path = rest.split('?').next().unwrap_or_default();
    if path.split('/').skip(1).any(is_dot_segment) {
        return Err(invalid("request.url: a path segment . or .. is refused"));
    }
    let url = Url::parse(text)
        .map_err(|error| invalid(format!("request.url is not an absolute URL: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("request.url holds a user name; credentials belong in a Secret"));
    }
    Ok(url)
}

fn is_dot_segment(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn compile(text: &str, value: &str) -> Result<UrlTemplate, Error> {
        let template = Template::parse(text, "request.url").unwrap();
        UrlTemplate::compile(&template, |_| value)
    }

    #[rstest]
    #[case("{{ authority }}", "https://a.example/t?x=1", "https://a.example/t?x=1")]
    #[case("{{ issuer }}/token", "https://a.example/realm", "https://a.example/realm/token")]
    #[case("https://{{ host }}/t", "a.example:8443", "https://a.example:8443/t")]
    #[case("https://{{ host }}/t", "[2001:db8::1]:1", "https://[2001:db8::1]:1/t")]
    #[case("https://{{ sub }}.a.example/t", "b", "https://b.a.example/t")]
    #[case(
        "https://a.example/{{ id }}/t",
        "a/b c?d#e%2f",
        "https://a.example/a%2Fb%20c%3Fd%23e%252f/t"
    )]
    #[case("https://a.example/t?q={{ q }}", "a&b=c", "https://a.example/t?q=a%26b%3Dc")]
    fn variables_are_placed(#[case] text: &str, #[case] value: &str, #[case] url: &str) {
        assert_eq!(compile(text, value).unwrap().render(|_| "").unwrap().as_str(), url);
    }

    #[rstest]
    #[case("https://{{ host }}/t", "a.example/evil")]
    #[case("https://{{ host }}/t", "a@evil.example")]
    #[case("https://{{ host }}/t", "evil.example#")]
    #[case("https://{{ host }}/t", "evil.example?")]
    #[case("https://{{ host }}/t", "evil.example\\")]
    #[case("https://{{ host }}/t", "evil.example:443:1")]
    #[case("https://{{ host }}/t", "")]
    #[case("https://{{ host }}/t", "e\nvil.example")]
    #[case("https://a.example/{{ id }}/t", "..")]
    #[case("https://a.example/{{ id }}/t", ".")]
    #[case("https://a.example/{{ id }}/t", "")]
    #[case("https://a.example/.{{ id }}/t", ".")]
    #[case("{{ url }}", "https://a.example/x/../t")]
    #[case("{{ url }}", "https://a.example/x/%2E%2e/t")]
    #[case("{{ url }}", "https://user:pw@a.example/t")]
    #[case("{{ url }}", "ftp://a.example/t")]
    #[case("{{ url }}", "/t")]
    #[case("{{ url }}", "https://a.example\\@evil.example/")]
    #[case("{{ url }}", "https:a.example/../t")]
    #[case("{{ url }}", "https:/a.example/t")]
    #[case("{{ url }}", "https:///a.example/t")]
    #[case("https:///{{ host }}/t", "evil.example")]
    #[case("https:{{ host }}/t", "evil.example")]
    fn a_value_that_would_bend_the_url_is_refused(#[case] text: &str, #[case] value: &str) {
        let error = compile(text, value).unwrap_err();
        assert_eq!(error.reason(), crate::error::Reason::InvalidProvider, "{error}");
    }

    #[rstest]
    #[case("{{ parameters.url }}")]
    #[case("https://{{ parameters.host }}/t")]
    #[case("https://a.example:{{ credentials.port }}/t")]
    #[case("http{{ parameters.s }}://a.example/t")]
    fn the_origin_takes_no_parameter_and_no_credential(#[case] text: &str) {
        let error = compile(text, "").unwrap_err();
        assert!(error.message().contains("literals and variables only"), "{error}");
    }

    #[rstest]
    #[case("a/../b", "https://a.example/a%2F..%2Fb/t")]
    #[case("@evil.example", "https://a.example/%40evil.example/t")]
    #[case("%2e%2e", "https://a.example/%252e%252e/t")]
    fn a_parameter_in_a_path_is_one_segment(#[case] value: &str, #[case] url: &str) {
        let template = compile("https://a.example/{{ parameters.id }}/t", "").unwrap();
        assert_eq!(template.render(|_| value).unwrap().as_str(), url);
    }

    #[rstest]
    #[case("..")]
    #[case(".")]
    #[case("")]
    fn a_parameter_that_is_no_segment_is_refused(#[case] value: &str) {
        let template = compile("https://a.example/{{ parameters.id }}/t", "").unwrap();
        let error = template.render(|_| value).unwrap_err();
        assert_eq!(error.reason(), crate::error::Reason::InvalidSpec, "{error}");
        let template = compile("https://a.example/{{ credentials.id }}/t", "").unwrap();
        let error = template.render(|_| value).unwrap_err();
        assert_eq!(error.reason(), crate::error::Reason::InvalidCredentials, "{error}");
    }

    #[test]
    fn a_slash_too_many_opens_no_way_into_the_host() {
        assert!(compile("https:///{{ parameters.host }}/t", "").is_err());
    }
}
