//! What is kept of a run: each request and answer, redacted as soon as it is seen.

use std::sync::{Mutex, PoisonError};

use chrono::TimeDelta;
use url::Url;

use crate::act::{Exchange, Witness};
use crate::error::Error;
use crate::oauth::{Answer, Life, ShownAnswer, ShownRequest, ShownToken, shown_url};

/// One thing that happened.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// An issuer was asked for its metadata.
    Discovery {
        /// Where.
        url: String,
        /// The status, or why there was none.
        answer: Result<u16, String>,
    },
    /// A token was asked for.
    Try(Box<Try>),
}

/// A token was asked for.
#[derive(Clone, Debug)]
pub(super) struct Try {
    /// The key of the credentials Secret whose secret was sent, where there are several.
    pub(super) secret_key: Option<String>,
    /// By how much the time that it was made by is ahead of our clock.
    pub(super) skew: TimeDelta,
    /// What was sent; `None` where no request could be made.
    pub(super) request: Option<ShownRequest>,
    /// What came back.
    pub(super) answer: Option<ShownAnswer>,
    /// By how much the provider's clock is ahead of ours.
    pub(super) clock_skew: Option<TimeDelta>,
    /// What it was understood to hold, or that it failed.
    pub(super) token: Option<Understood>,
}

/// What an answer was understood to hold.
#[derive(Clone, Debug)]
pub(super) struct Understood {
    pub(super) token: ShownToken,
    pub(super) token_type: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) life: Life,
    pub(super) warnings: Vec<String>,
}

/// Keeps what it sees.
#[derive(Debug, Default)]
pub(super) struct Trace(Mutex<Vec<Step>>);

impl Trace {
    /// What was seen since the last call.
    pub(super) fn take(&self) -> Vec<Step> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, step: Step) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }
}

impl Witness for Trace {
    fn discovery(&self, url: &Url, answer: Result<&Answer, &Error>) {
        let answer = answer.map(|answer| answer.status).map_err(ToString::to_string);
        self.keep(Step::Discovery { url: shown_url(url), answer });
    }

    fn exchange(&self, seen: &Exchange<'_>) {
        let (endpoint, asking) = (&seen.materials.endpoint, &seen.materials.asking);
        let (supplies, issued) = (seen.supplies, seen.issued.ok());
        self.keep(Step::Try(Box::new(Try {
            secret_key: supplies.secret_key.clone(),
            skew: seen.skew,
            // Where no request could be made, the error says why.
            request: endpoint.show(asking, (supplies, seen.occasion)).ok(),
            answer: seen.answer.map(|answer| endpoint.show_answer(answer, (supplies, issued))),
            clock_skew: seen.answer.and_then(Answer::clock_skew),
            token: issued.map(|issued| Understood {
                token: ShownToken::of(issued, supplies),
                token_type: issued.token_type.clone(),
                scopes: issued.scopes.clone(),
                life: issued.life,
                warnings: issued.warnings.clone(),
            }),
        })));
    }
}
