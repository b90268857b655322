//! What is known of a failure, as data: all that advice is given by.

use chrono::TimeDelta;

use super::trace::{Step, Try};
use crate::api::{ClientAuthentication, Grant};
use crate::error::{Class, Error, Reason};
use crate::oauth::{Content, Endpoint};

/// What is known of a failure.
#[derive(Clone, Debug)]
pub(super) struct Symptoms {
    pub(super) reason: Reason,
    pub(super) class: Class,
    /// What the error says.
    pub(super) message: String,
    /// Of the last answer, where there was one.
    pub(super) status: Option<u16>,
    pub(super) content: Option<Content>,
    /// The error code of the answer, in lower case.
    pub(super) code: String,
    /// The words of the answer, in lower case.
    pub(super) said: String,
    /// The scheme of `WWW-Authenticate`, in lower case.
    pub(super) challenge: String,
    /// The host of a redirect.
    pub(super) redirect: Option<String>,
    /// Where tokens and expiries seem to lie.
    pub(super) tokens: Vec<String>,
    pub(super) expiries: Vec<(String, &'static str)>,
    /// Where the request went, without its query.
    pub(super) url: String,
    pub(super) methods: Vec<ClientAuthentication>,
    pub(super) grant: Grant,
    /// Header and claims of what was signed here: whether there is a `kid`, and for whom it is.
    pub(super) key_id: bool,
    pub(super) audience: Option<String>,
    pub(super) signs: bool,
    pub(super) scopes: bool,
    /// By how much the provider's clock is ahead of ours.
    pub(super) clock_skew: Option<TimeDelta>,
    /// Of the credentials: what ends in a newline.
    pub(super) remark: Option<String>,
    /// How many secrets were tried.
    pub(super) secrets: usize,
}

impl Symptoms {
    /// Without any request: the error is all that is known.
    pub(super) fn of(error: &Error) -> Self {
        Self {
            reason: error.reason(),
            class: error.class(),
            message: error.message().to_owned(),
            status: None,
            content: None,
            code: String::new(),
            said: String::new(),
            challenge: String::new(),
            redirect: None,
            tokens: Vec::new(),
            expiries: Vec::new(),
            url: String::new(),
            methods: Vec::new(),
            grant: Grant::None,
            key_id: false,
            audience: None,
            signs: false,
            scopes: false,
            clock_skew: None,
            remark: None,
            secrets: 0,
        }
    }

    /// The same with what the document says.
    pub(super) fn asking(mut self, endpoint: &Endpoint) -> Self {
        self.methods = endpoint.client_authentication().to_vec();
        self.grant = endpoint.grant();
        self.signs = endpoint.signs();
        self
    }

    /// The same with what was seen.
    pub(super) fn seeing(mut self, steps: &[Step]) -> Self {
        let tries: Vec<&Try> = steps
            .iter()
            .filter_map(|step| match step {
                Step::Try(one) => Some(&**one),
                Step::Discovery { .. } => None,
            })
            .collect();
        let mut keys: Vec<_> = tries.iter().filter_map(|one| one.secret_key.as_ref()).collect();
        keys.dedup();
        self.secrets = keys.len();
        let Some(last) = tries.last() else { return self };
        self.clock_skew = last.clock_skew;
        if let Some(request) = &last.request {
            let line = request.line.as_deref().unwrap_or_default();
            let url = line.split_once(' ').map_or("", |(_, url)| url);
            url.split('?').next().unwrap_or_default().clone_into(&mut self.url);
            self.scopes = request.parameters.iter().any(|(name, _)| name == "scope");
            if let Some(jwt) = request.assertions.first() {
                self.key_id = jwt.header.contains_key("kid");
                self.audience = jwt.claims.get("aud").map(ToString::to_string);
            }
        }
        if let Some(answer) = &last.answer {
            self.status = Some(answer.status);
            self.content = Some(answer.content);
            self.code = answer.code.clone().unwrap_or_default().to_ascii_lowercase();
            self.said = answer.message.clone().unwrap_or_default().to_lowercase();
            let challenge = answer.headers.iter().find(|(name, _)| *name == "www-authenticate");
            self.challenge = challenge.map_or(String::new(), |(_, value)| value.to_lowercase());
            self.redirect.clone_from(&answer.redirect);
            self.tokens.clone_from(&answer.tokens);
            self.expiries.clone_from(&answer.expiries);
        }
        self
    }

    pub(super) fn uses(&self, method: ClientAuthentication) -> bool {
        self.methods.contains(&method)
    }

    /// Whether the client proves itself with a secret that is sent.
    pub(super) fn sends_secret(&self) -> bool {
        self.uses(ClientAuthentication::ClientSecretBasic)
            || self.uses(ClientAuthentication::ClientSecretPost)
    }
}
