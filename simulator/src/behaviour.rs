//! How a system behaves: lifetimes and faults, settable while it runs.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How one system answers from now on. The default is the documented behaviour, without a fault.
///
/// As JSON: `{"lifetime": 8, "expiresIn": "string", "faults": [{"fault": "status", "status": 500}],
/// "times": 3}`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Behaviour {
    /// Seconds that a token lives; may be 0, negative or huge. `None`: what the system documents.
    pub lifetime: Option<i64>,
    /// Where there are any: lifetimes that are given one after the other, over and over, instead.
    pub lifetimes: VecDeque<i64>,
    /// How the lifetime is written in the answer.
    pub expires_in: ExpiresIn,
    /// What goes wrong. All apply at once; of two that replace the answer the later one counts.
    pub faults: Vec<Fault>,
    /// Requests for which `faults` apply, then only the rest of this behaviour does. `None`: for
    /// ever.
    pub times: Option<u32>,
}

impl Behaviour {
    /// Tokens of this many seconds.
    pub fn living(seconds: i64) -> Self {
        Self { lifetime: Some(seconds), ..Self::default() }
    }

    /// Tokens of these many seconds, one after the other, over and over.
    pub fn living_in_turn(seconds: impl IntoIterator<Item = i64>) -> Self {
        Self { lifetimes: seconds.into_iter().collect(), ..Self::default() }
    }

    /// The documented behaviour but for this fault.
    pub fn failing(fault: Fault) -> Self {
        Self::default().with(fault)
    }

    /// The documented behaviour but for the way in which the lifetime is written.
    pub fn rendering(expires_in: ExpiresIn) -> Self {
        Self { expires_in, ..Self::default() }
    }

    /// The same behaviour and one more fault.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// The same behaviour, its faults limited to the next requests.
    #[must_use]
    pub fn for_next(mut self, requests: u32) -> Self {
        self.times = Some(requests);
        self
    }
}

/// How the lifetime is written.
///
/// For Oracle the lifetime is `expiration.value`: the three numeric kinds all give RFC 3339 text,
/// `Missing` leaves `expiration` out (the token's `exp` claim stays), the others put their value
/// into `expiration.value`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExpiresIn {
    /// `3600`
    #[default]
    Number,
    /// `"3600"`
    String,
    /// `3600.0`
    Float,
    /// Left out.
    Missing,
    /// `null`
    Null,
    /// `{"seconds": 3600}`
    Object,
    /// `true`
    Boolean,
    /// `"soon"`
    Word,
    /// This value, whatever it is.
    Verbatim(Value),
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "fault",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Fault {
    /// The request is read and never answered.
    Hang,
    /// The answer comes whole but late. The token is issued before the wait, so it is older than it
    /// seems.
    Delay {
        /// Milliseconds until the answer.
        milliseconds: u64,
    },
    /// The head of the answer comes at once, its body one byte at a time.
    SlowBody {
        /// Milliseconds before each byte.
        milliseconds: u64,
    },
    /// A status and an error in the system's own shape.
    Status {
        /// The status.
        status: u16,
        /// The error code; none: an empty body.
        #[serde(default)]
        error: Option<String>,
        /// The description.
        #[serde(default)]
        description: Option<String>,
    },
    /// Too many requests, or another status with a `Retry-After`.
    Throttled {
        /// The status.
        #[serde(default = "too_many_requests")]
        status: u16,
        /// The header.
        #[serde(default)]
        retry_after: RetryAfter,
    },
    /// A sign-in page with status 200.
    Html,
    /// Status 200 (Oracle: 201) and no body.
    Empty,
    /// Exactly this answer.
    Verbatim {
        /// The status.
        status: u16,
        /// `Content-Type`.
        content_type: String,
        /// The body.
        body: String,
    },
    /// A success whose members have the wrong JSON types; the token is a number.
    WrongTypes,
    /// A success whose token is an empty string.
    EmptyToken,
    /// A right answer with a member of this size in front of the others, in chunks, without a
    /// length.
    HugeBody {
        /// Bytes of padding.
        #[serde(default = "ten_megabytes")]
        bytes: usize,
    },
    /// A redirect.
    Redirect {
        /// The status.
        #[serde(default = "found")]
        status: u16,
        /// The target; by default a page of this simulator that records that it was reached.
        #[serde(default = "redirected")]
        location: String,
    },
    /// The connection ends before any byte of the answer.
    Drop,
    /// The connection ends in the middle of the body.
    DropMidBody,
    /// The token of the last request with the same parameters is given again until no more than
    /// this remains of it.
    SameToken {
        /// Seconds.
        until_remaining: i64,
    },
    /// The header `Date` is wrong by this much (positive: ahead).
    DateSkew {
        /// Seconds.
        seconds: i64,
    },
    /// There is no header `Date`.
    NoDate,
}

impl Fault {
    /// Status 500 with `server_error`.
    pub fn internal_error() -> Self {
        Self::error(500, "server_error")
    }

    /// A status and an error code.
    pub fn error(status: u16, code: impl Into<String>) -> Self {
        Self::Status { status, error: Some(code.into()), description: None }
    }

    /// 429 with this header.
    pub fn throttled(retry_after: RetryAfter) -> Self {
        Self::Throttled { status: too_many_requests(), retry_after }
    }

    /// A right answer that is 10 MB long.
    pub fn huge_body() -> Self {
        Self::HugeBody { bytes: ten_megabytes() }
    }

    /// 302 to the page that records that it was reached.
    pub fn redirect() -> Self {
        Self::Redirect { status: found(), location: redirected() }
    }

    /// The name in the log, the same as in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hang => "hang",
            Self::Delay { .. } => "delay",
            Self::SlowBody { .. } => "slowBody",
            Self::Status { .. } => "status",
            Self::Throttled { .. } => "throttled",
            Self::Html => "html",
            Self::Empty => "empty",
            Self::Verbatim { .. } => "verbatim",
            Self::WrongTypes => "wrongTypes",
            Self::EmptyToken => "emptyToken",
            Self::HugeBody { .. } => "hugeBody",
            Self::Redirect { .. } => "redirect",
            Self::Drop => "drop",
            Self::DropMidBody => "dropMidBody",
            Self::SameToken { .. } => "sameToken",
            Self::DateSkew { .. } => "dateSkew",
            Self::NoDate => "noDate",
        }
    }
}

/// What `Retry-After` says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RetryAfter {
    /// The header is left out.
    #[default]
    Absent,
    /// So many seconds.
    Seconds(u64),
    /// The HTTP date that lies so many seconds ahead (or behind).
    Date(i64),
    /// This text.
    Verbatim(String),
}

const fn too_many_requests() -> u16 {
    429
}

const fn found() -> u16 {
    302
}

const fn ten_megabytes() -> usize {
    10 * 1024 * 1024
}

fn redirected() -> String {
    crate::control::REDIRECTED.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_camel_case_with_defaults() {
        let behaviour: Behaviour = serde_json::from_str(
            r#"{"lifetime": 8, "expiresIn": "string", "times": 2, "faults": [
                {"fault": "throttled", "retryAfter": {"seconds": 5}}, {"fault": "slowBody", "milliseconds": 3},
                {"fault": "redirect"}, {"fault": "sameToken", "untilRemaining": 4}, {"fault": "hugeBody"}]}"#,
        )
        .unwrap();
        assert_eq!(behaviour.expires_in, ExpiresIn::String);
        assert_eq!(behaviour.faults[0], Fault::throttled(RetryAfter::Seconds(5)));
        assert_eq!(behaviour.faults[2], Fault::redirect());
        assert_eq!(behaviour.faults[4], Fault::huge_body());
        assert_eq!(serde_json::from_str::<Behaviour>("{}").unwrap(), Behaviour::default());
    }

    #[test]
    fn a_misspelt_member_is_an_error() {
        for text in [
            r#"{"lifetme": 8}"#,
            r#"{"faults": [{"fault": "hnag"}]}"#,
            r#"{"faults": [{"fault": "delay", "ms": 1}]}"#,
        ] {
            assert!(serde_json::from_str::<Behaviour>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_name_is_the_one_in_json() {
        for fault in [
            Fault::Hang,
            Fault::huge_body(),
            Fault::SameToken { until_remaining: 1 },
            Fault::NoDate,
        ] {
            let json = serde_json::to_value(&fault).unwrap();
            assert_eq!(json["fault"], fault.name());
        }
    }
}
