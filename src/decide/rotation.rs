//! Whose turn it is to use up a credential that each use renews, from which one to go on, and what
//! an answer means that nobody has seen. The reasons are in `docs/adr/0019-rotation.md`.

use chrono::{DateTime, TimeDelta, Utc};

use super::schedule::after;
use crate::api::Intent;
use crate::api::annotations::format_time;
use crate::error::Class;

/// From the note of an intent until the last request under it is sent.
const SENDING: TimeDelta = TimeDelta::seconds(5);
/// From an answer until it is kept.
const KEEPING: TimeDelta = TimeDelta::seconds(10);
/// Clocks of two machines differ by less.
const SKEW: TimeDelta = TimeDelta::seconds(10);
/// Nobody waits for an answer for longer: an intent that says so was not written by us.
const LONGEST: TimeDelta = TimeDelta::minutes(15);

/// Somebody wants to use up what is there.
#[derive(Clone, Copy, Debug)]
pub struct Bid<'a> {
    /// The process.
    pub holder: &'a str,
    /// The token that it is for.
    pub token: &'a str,
    /// Digest of what would be used up.
    pub spends: &'a str,
    /// Now.
    pub now: DateTime<Utc>,
    /// How long a request may take.
    pub timeout: TimeDelta,
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Award {
    /// Ours, once this is noted.
    Spend(Intent),
    /// Another process is at it, and may be until then.
    Wait {
        /// It has given up or is gone by then.
        until: DateTime<Utc>,
    },
}

impl Bid<'_> {
    /// Whose turn it is, given the intent that is noted, if there is one. One that was for another
    /// credential stands in nobody's way. One of our own, or of a process that is gone, is an
    /// answer that nobody has seen.
    pub fn turn(&self, open: Option<&Intent>) -> Award {
        let open = open.filter(|open| is_same(&open.spends, self.spends));
        if let Some(other) = open.filter(|open| open.holder != self.holder && self.is_at_it(open)) {
            return Award::Wait { until: after(other.until, SKEW) };
        }
        Award::Spend(Intent {
            holder: self.holder.to_owned(),
            token: self.token.to_owned(),
            spends: self.spends.to_owned(),
            since: open.map_or(self.now, |open| open.since),
            at: self.now,
            until: after(self.now, SENDING + self.timeout + KEEPING),
            unanswered: open.map_or(0, |open| open.unanswered.saturating_add(1)),
        })
    }

    fn is_at_it(&self, open: &Intent) -> bool {
        let believable = open.at <= after(self.now, SKEW) && open.until <= after(open.at, LONGEST);
        believable && self.now < after(open.until, SKEW)
    }
}

/// Until when a request may be sent under an intent.
pub fn send_by(intent: &Intent) -> DateTime<Utc> {
    after(intent.at, SENDING)
}

/// What an answer that did not come means. Where the provider takes the same credential again for a
/// while, in case its answer was lost, it is sent again like any other; elsewhere once, and then it
/// is told and sent seldom.
pub fn class_of_silence(intent: &Intent, reuse: Option<TimeDelta>, now: DateTime<Utc>) -> Class {
    let forgiven = reuse.is_some_and(|reuse| now < after(intent.since, reuse));
    match forgiven || intent.unanswered == 0 {
        true => Class::Transient,
        false => Class::Ambiguous,
    }
}

/// What is told then.
pub fn silence_remark(intent: &Intent) -> String {
    let since = format_time(intent.since);
    format!(
        "whether the request used up what it was made from is not known: the same was sent {} times \
         since {since}, and no answer came",
        intent.unanswered.saturating_add(1)
    )
}

/// Why a credential is lost that the provider refuses, and what would be right.
pub fn loss_remark(intent: &Intent, (key, secret): (&str, &str)) -> String {
    let since = format_time(intent.since);
    let cause = match intent.unanswered {
        0 => format!("the {key} was revoked, has expired, or somebody else has used it"),
        _ => format!(
            "the {key} is most likely used up: it was sent at {since}, and the process ended or the \
             connection broke between the provider's answer and our storing it"
        ),
    };
    format!("{cause}; sign in again and put the new {key} into Secret {secret}")
}

/// What becomes of an answer that is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It takes the place of what is there, and its intent goes.
    Conclude,
    /// It takes the place of what is there; the intent that is noted is another's.
    Yield,
    /// Something newer is there already.
    Superseded,
}

/// What becomes of an answer that came under the intent `ours`, where `noted` is the intent that is
/// there now and `current` the digest of what is kept there.
pub fn keeping(ours: &Intent, noted: Option<&Intent>, current: &str) -> Keeping {
    let is_ours = |noted: &Intent| noted.holder == ours.holder && noted.at == ours.at;
    match noted {
        Some(noted) if is_ours(noted) => Keeping::Conclude,
        _ if is_same(current, &ours.spends) => Keeping::Yield,
        _ => Keeping::Superseded,
    }
}

/// From what to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// What is kept came of the credentials as they are.
    Kept,
    /// What was kept before came of them: they were replaced, and put back.
    Former,
    /// The credentials are new.
    Credentials,
}

/// From what to go on, given the seeds of what is kept and of what was kept before, and the
/// credentials' own.
pub fn origin(kept: &str, former: Option<&str>, now: &str) -> Origin {
    match former {
        _ if kept == now => Origin::Kept,
        Some(former) if former == now => Origin::Former,
        _ if is_same(kept, now) => Origin::Kept,
        _ => Origin::Credentials,
    }
}

/// Whether two digests may be of the same credentials. Those that were made with another key say
/// nothing: what was renewed is not given up for that, for what it began with is used up.
fn is_same(one: &str, other: &str) -> bool {
    let key_id = |digest: &str| digest.split_once('.').map(|(id, _)| id.to_owned());
    let same = |(one, other): (&str, &str)| match (key_id(one), key_id(other)) {
        (Some(a), Some(b)) if a != b => true,
        _ => one == other,
    };
    one.split('/').count() == other.split('/').count()
        && one.split('/').zip(other.split('/')).all(same)
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
