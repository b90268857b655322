//! What one system fixes, as data: its path, its ways of asking, its answer.

/// Everything that makes a system that system.
pub(crate) struct Profile {
    /// The path; a segment in braces stands for any one non-empty segment.
    pub(crate) template: &'static str,
    /// The same path with the braces filled in, for callers that have no opinion.
    pub(crate) example: &'static str,
    /// Each documented way of asking. A request has to follow one of them to the letter. None: the
    /// system has an examination of its own.
    pub(crate) ways: &'static [Way],
    /// The shape of the answer.
    pub(crate) answer: Answer,
    /// Seconds a token lives unless a behaviour says otherwise.
    pub(crate) lifetime: i64,
    /// Identifier and secret of the client that exists from the start.
    pub(crate) client: (&'static str, &'static str),
}

/// One documented way of asking for a token.
pub(crate) struct Way {
    pub(crate) encoding: Encoding,
    pub(crate) required: &'static [&'static str],
    pub(crate) optional: &'static [&'static str],
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) basic: Basic,
    pub(crate) body: BodyCredentials,
}

/// How parameters lie in the body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Form,
    Json,
}

impl Encoding {
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Json => "application/json",
        }
    }
}

/// Whether, and how, the client authenticates with HTTP Basic.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basic {
    /// An Authorization header is refused.
    Forbidden,
    /// `id:secret` as they are.
    Bare,
    /// Both form-urlencoded first, as RFC 6749 §2.3.1 has it.
    FormEncoded,
}

/// What in the body says who is asking.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyCredentials {
    Absent,
    /// `client_id` and `client_secret`.
    Client,
    /// `channelSecret`; the identifier is a segment of the path.
    Channel,
}

/// The shape of a success.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// RFC 6749 §5.1 and, for errors, §5.2.
    Oauth { token_type: &'static str, scope: ScopeAnswer },
    /// Oracle's channel token and error shapes.
    Channel,
}

/// What the member `scope` of an answer says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScopeAnswer {
    Never,
    /// This, whatever was asked.
    Fixed(&'static str),
    /// What was asked, when something was.
    Echoed,
}
