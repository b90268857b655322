//! Templates that say anything, filled in with anything.

use arbitrary::{Arbitrary, Unstructured};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokenward::error::{Error, Reason};
use tokenward::oauth::{Asking, Supplies};

use super::shared;

/// A template and what stands in it, for one document.
#[derive(Arbitrary, Debug)]
struct Case<'a> {
    host: &'a str,
    url: Option<&'a str>,
    path: Vec<Piece<'a>>,
    header: Vec<Piece<'a>>,
    parameter: Vec<Piece<'a>>,
    variable: &'a str,
    spec: &'a str,
    credential: &'a str,
    token: &'a str,
    encoding: Encoding,
}

#[derive(Arbitrary, Debug)]
enum Encoding {
    Form,
    Json,
    Query,
}

#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    Text(&'a str),
    Variable,
    Parameter,
    Credential,
    Token,
}

impl Piece<'_> {
    fn template(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Variable => "{{ v }}",
            Self::Parameter => "{{ parameters.p }}",
            Self::Credential => "{{credentials.c}}",
            Self::Token => "{{  tokens.t }}",
        }
    }
}

/// What errors say of a value.
const SAYS: &str = "Secret web/client: key \"c\" is empty | is not UTF-8 text | request.headers.x-a: \
    {{ credentials.c }} holds a line break or another control character | request.url: \
    {{ credentials.c }} is empty where the path needs a segment | request.url: \
    {{ credentials.c }} makes a path segment . or .. | \"; known: c, private_key";

/// Makes a document of templates, and a request and a JWT of that.
pub fn run(data: &[u8]) {
    let Ok(case) = Case::arbitrary(&mut Unstructured::new(data)) else { return };
    case.ask();
    case.sign();
}

fn template(pieces: &[Piece<'_>]) -> String {
    pieces.iter().map(Piece::template).collect()
}

impl Case<'_> {
    fn document(&self, more: Value) -> Value {
        let mut document = json!({
            "clientAuthentication": ["none"], "variables": {"host": self.host, "v": self.variable},
            // Each name is used, so that none is refused as unknown.
            "response": {"outputs": {"names": {"value": "{{ v }}{{ host }}"}}},
        });
        if let (Some(document), Value::Object(more)) = (document.as_object_mut(), more) {
            document.extend(more);
        }
        document
    }

    fn values(&self, endpoint: &tokenward::oauth::Endpoint) -> (Asking, Supplies) {
        let asking = shared::asking(endpoint);
        let parameters = asking.parameters.keys().map(|name| (name.clone(), self.spec.to_owned()));
        let asking = Asking { parameters: parameters.collect(), ..asking };
        let mut values: Vec<(&str, &[u8])> = vec![("c", self.credential.as_bytes())];
        values.push(("private_key", shared::SECRET.as_bytes()));
        let tokens = [("t".to_owned(), SecretString::from(self.token))].into();
        let credentials = shared::credentials(values);
        (asking, Supplies { credentials, tokens, ..Supplies::default() })
    }

    /// No value and no literal leads a request anywhere else.
    fn ask(&self) {
        let whole = format!("https://{{{{ host }}}}/p/{}", template(&self.path));
        let document = self.document(json!({"grant": "none", "request": {
            "url": self.url.unwrap_or(&whole),
            "encoding": format!("{:?}", self.encoding).to_lowercase(),
            "headers": {"X-A": template(&self.header)},
            "parameters": {"p": template(&self.parameter), "l": [template(&self.header), 1]},
        }}));
        let Ok(document) = serde_json::from_value(document) else { return };
        let endpoint = match shared::compile(&document) {
            Ok(endpoint) => endpoint,
            Err(error) => return assert_eq!(error.reason(), Reason::InvalidProvider, "{error}"),
        };
        let (asking, supplies) = self.values(&endpoint);
        let origin = endpoint.origin().unwrap_or_else(|| panic!("goes nowhere")).origin();
        assert!(origin.is_tuple());
        if self.url.is_none() {
            let expected = url::Url::parse(&format!("https://{}/", self.host));
            assert_eq!(Ok(&origin), expected.map(|url| url.origin()).as_ref());
        }
        match endpoint.request(&asking, &supplies, &shared::occasion()) {
            Ok(request) => assert_eq!(shared::origin(&request), origin.ascii_serialization()),
            Err(error) => self.check(&error),
        }
    }

    fn check(&self, error: &Error) {
        let reasons = [
            Reason::InvalidProvider,
            Reason::InvalidSpec,
            Reason::InvalidCredentials,
            Reason::CredentialsKeyMissing,
        ];
        assert!(reasons.contains(&error.reason()), "{error:?}");
        // The document's own text may be quoted.
        let pieces = [&self.path, &self.header, &self.parameter].map(|pieces| template(pieces));
        let texts = [self.url.unwrap_or_default(), self.host, self.variable, SAYS];
        let quoted = texts.concat() + &pieces.concat();
        if self.credential.len() >= 12 && !quoted.contains(self.credential) {
            assert!(!error.message().contains(self.credential), "{error}");
        }
    }

    /// Values are taken as they are, never as templates again.
    fn sign(&self) {
        let document = self.document(json!({"grant": "local", "assertion": {
            "algorithm": "HS256", "audience": "a", "key": "{{ credentials.private_key }}",
            "claims": {"iss": "i", "sub": "s", "x": template(&self.parameter)},
        }}));
        let Ok(document) = serde_json::from_value(document) else { return };
        let Ok(endpoint) = shared::compile(&document) else { return };
        let (asking, supplies) = self.values(&endpoint);
        let issued = match endpoint.sign(&asking, (&supplies, &shared::occasion())) {
            Ok(issued) => issued,
            Err(error) => return self.check(&error),
        };
        let jwt = issued.access_token.expose_secret();
        let claims = jwt.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims: Value = serde_json::from_slice(&claims.unwrap_or_default()).unwrap_or_default();
        if let Some(expected) = self.rendered(&self.parameter) {
            let expected = (!expected.is_empty()).then_some(Value::String(expected));
            assert_eq!(claims.get("x"), expected.as_ref());
        }
    }

    /// What it comes to; `None` where its literals may hold names of their own.
    fn rendered(&self, pieces: &[Piece<'_>]) -> Option<String> {
        let texts = pieces.iter().map(|piece| match piece {
            Piece::Text(text) => (!text.contains(['{', '}'])).then_some(*text),
            Piece::Variable => Some(self.variable),
            Piece::Parameter => Some(self.spec),
            Piece::Credential => Some(self.credential),
            Piece::Token => Some(self.token),
        });
        texts.collect()
    }
}
