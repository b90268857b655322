//! Why a request was refused, and how each system puts it.

use hyper::StatusCode;
use hyper::header::{ALLOW, WWW_AUTHENTICATE};
use serde_json::json;

use super::Answer;
use crate::reply::Reply;

/// A request was wrong; `reason` says in words what about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    pub(crate) reason: String,
}

/// The class of a refusal, which decides status and error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidRequest,
    /// The credentials are wrong or missing.
    InvalidClient,
    /// The same, and the client used (or should have used) the Authorization header.
    InvalidClientByBasic,
    /// The same with a bearer token.
    InvalidClientByBearer,
    /// What the grant rests on is not good (any more).
    InvalidGrant,
    UnsupportedGrantType,
    InvalidScope,
    /// What has to be a POST is none.
    WrongMethod,
    /// What has to be a GET is none.
    NotGet,
    NoSuchPath,
    TooLarge,
}

impl Refusal {
    pub(crate) fn new(kind: Kind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }

    pub(crate) fn no_such_path() -> Self {
        Self::new(Kind::NoSuchPath, "no system answers at this path")
    }

    pub(crate) fn too_large() -> Self {
        Self::new(Kind::TooLarge, "the body is larger than any token request")
    }

    /// The answer in the words of the system.
    pub(crate) fn reply(&self, answer: Answer) -> Reply {
        let reply = match answer {
            Answer::Oauth { .. } => self.oauth(),
            Answer::Channel => {
                oracle_error(self.kind.channel_status(), self.kind.code(), &self.reason)
            }
        };
        match self.kind {
            Kind::WrongMethod => reply.with(ALLOW, "POST"),
            Kind::NotGet => reply.with(ALLOW, "GET"),
            Kind::InvalidClientByBasic if matches!(answer, Answer::Oauth { .. }) => {
                reply.with(WWW_AUTHENTICATE, "Basic realm=\"simulator\", charset=\"UTF-8\"")
            }
            Kind::InvalidClientByBearer if matches!(answer, Answer::Oauth { .. }) => {
                reply.with(WWW_AUTHENTICATE, "Bearer realm=\"simulator\", error=\"invalid_token\"")
            }
            _ => reply,
        }
    }

    /// The answer in the words of RFC 6749.
    pub(crate) fn oauth(&self) -> Reply {
        oauth_error(self.kind.oauth_status(), self.kind.code(), &self.reason)
    }
}

/// An error as RFC 6749 §5.2 shapes it.
pub(crate) fn oauth_error(status: StatusCode, code: &str, description: &str) -> Reply {
    Reply::json(status, &json!({"error": code, "error_description": description}))
}

/// An error as Oracle shapes it.
pub(crate) fn oracle_error(status: StatusCode, code: &str, detail: &str) -> Reply {
    Reply::json(
        status,
        &json!({
            "type": "http://www.w3.org/Protocols/rfc2616/rfc2616-sec10.html#sec10.4",
            "title": status.canonical_reason().unwrap_or_default(),
            "status": status.as_str(),
            "detail": detail,
            "o:errorCode": code,
        }),
    )
}

impl Kind {
    const fn code(self) -> &'static str {
        match self {
            Self::InvalidClient | Self::InvalidClientByBasic | Self::InvalidClientByBearer => {
                "invalid_client"
            }
            Self::InvalidGrant => "invalid_grant",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidRequest
            | Self::WrongMethod
            | Self::NotGet
            | Self::NoSuchPath
            | Self::TooLarge => "invalid_request",
        }
    }

    const fn oauth_status(self) -> StatusCode {
        match self {
            Self::InvalidClient | Self::InvalidClientByBasic | Self::InvalidClientByBearer => {
                StatusCode::UNAUTHORIZED
            }
            Self::WrongMethod | Self::NotGet => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoSuchPath => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::InvalidRequest
            | Self::InvalidGrant
            | Self::UnsupportedGrantType
            | Self::InvalidScope => StatusCode::BAD_REQUEST,
        }
    }

    /// Oracle documents 400, 403 and 500 and nothing else.
    const fn channel_status(self) -> StatusCode {
        match self {
            Self::InvalidClient | Self::InvalidClientByBasic => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
