//! Faults turned into a plan for one answer.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use hyper::header::{LOCATION, RETRY_AFTER};

use crate::answer;
use crate::behaviour::{Fault, RetryAfter};
use crate::clock::{after, http_date};
use crate::reply::Reply;
use crate::systems::{Answer, oauth_error, oracle_error};

/// What the faults of a request make of its answer.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) delivery: Delivery,
    pub(crate) same_until: Option<i64>,
    pub(crate) instead: Option<Instead>,
    /// Bytes put in front of a success.
    pub(crate) padding: usize,
    /// The fault that takes the place of the answer or spoils it.
    pub(crate) spoiler: Option<&'static str>,
}

/// What is answered in place of a success, or of anything.
#[derive(Debug)]
pub(crate) struct Instead {
    pub(crate) reply: Reply,
    /// Whether a wrong request gets it, too (or is refused as ever).
    pub(crate) reach: Reach,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    EveryRequest,
    RightRequests,
}

/// How an answer goes over the wire.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) delay: Duration,
    pub(crate) manner: Manner,
    pub(crate) date: DateHeader,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Whole,
    Hang,
    Drop,
    DropMidBody,
    BytePer(Duration),
    Chunked,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateHeader {
    #[default]
    Right,
    Skewed(i64),
    Absent,
}

/// What a fault needs to know of the request.
#[derive(Clone, Copy)]
pub(crate) struct Scene {
    pub(crate) answer: Answer,
    pub(crate) now: DateTime<Utc>,
}

impl Plan {
    pub(crate) fn new(faults: &[Fault], scene: Scene) -> Self {
        let mut plan = Self::default();
        for fault in faults {
            plan.add(fault, scene);
        }
        plan
    }

    fn add(&mut self, fault: &Fault, scene: Scene) {
        match fault {
            Fault::Delay { milliseconds } => {
                self.delivery.delay = Duration::from_millis(*milliseconds);
            }
            Fault::SlowBody { milliseconds } => {
                self.delivery.manner = Manner::BytePer(Duration::from_millis(*milliseconds));
            }
            Fault::SameToken { until_remaining } => self.same_until = Some(*until_remaining),
            Fault::DateSkew { seconds } => self.delivery.date = DateHeader::Skewed(*seconds),
            Fault::NoDate => self.delivery.date = DateHeader::Absent,
            _ => {
                self.spoiler = Some(fault.name());
                self.spoil(fault, scene);
            }
        }
    }

    fn spoil(&mut self, fault: &Fault, scene: Scene) {
        // The last one counts, so nothing of an earlier one may stay.
        self.instead = None;
        self.padding = 0;
        if !matches!(self.delivery.manner, Manner::BytePer(_)) {
            self.delivery.manner = Manner::Whole;
        }
        match fault {
            Fault::Hang => self.delivery.manner = Manner::Hang,
            Fault::Drop => self.delivery.manner = Manner::Drop,
            Fault::DropMidBody => self.delivery.manner = Manner::DropMidBody,
            Fault::HugeBody { bytes } => {
                self.padding = *bytes;
                self.delivery.manner = Manner::Chunked;
            }
            Fault::WrongTypes => {
                self.replace(Reach::RightRequests, answer::wrong_types(scene.answer));
            }
            Fault::EmptyToken => {
                self.replace(Reach::RightRequests, answer::empty_token(scene.answer));
            }
            other => {
                self.instead =
                    reply(other, scene).map(|reply| Instead { reply, reach: Reach::EveryRequest });
            }
        }
    }

    fn replace(&mut self, reach: Reach, reply: Reply) {
        self.instead = Some(Instead { reply, reach });
    }
}

/// The answer of a fault that has one of its own.
fn reply(fault: &Fault, scene: Scene) -> Option<Reply> {
    match fault {
        Fault::Status { status, error, description } => {
            let status = code(*status);
            let description = description.as_deref().unwrap_or("a fault of the simulator");
            Some(match (error, scene.answer) {
                (None, _) => Reply::empty(status),
                (Some(error), Answer::Oauth { .. }) => oauth_error(status, error, description),
                (Some(error), Answer::Channel) => oracle_error(status, error, description),
            })
        }
        Fault::Throttled { status, retry_after } => {
            let reply = Reply::text(code(*status), "text/plain", "slow down\n");
            Some(match retry_after {
                RetryAfter::Absent => reply,
                RetryAfter::Seconds(seconds) => reply.with(RETRY_AFTER, seconds.to_string()),
                RetryAfter::Date(seconds) => {
                    reply.with(RETRY_AFTER, http_date(after(scene.now, *seconds)))
                }
                RetryAfter::Verbatim(text) => reply.with(RETRY_AFTER, text),
            })
        }
        Fault::Html => Some(Reply::text(
            StatusCode::OK,
            "text/html; charset=utf-8",
            "<!DOCTYPE html><html><title>Sign in</title><body><form action=\"/login\"></form></body></html>\n",
        )),
        Fault::Empty => Some(Reply::empty(answer::status(scene.answer))),
        Fault::Verbatim { status, content_type, body } => {
            Some(Reply::text(code(*status), content_type, body.clone()))
        }
        Fault::Redirect { status, location } => {
            Some(Reply::empty(code(*status)).with(LOCATION, location))
        }
        _ => None,
    }
}

/// A number that is no status of an answer (say 99, or 101, which would not be one) becomes 500.
fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
