//! Seeing what is asked and answered, for a person who tries things out.

use chrono::TimeDelta;
use url::Url;

use crate::error::Error;
use crate::oauth::{Answer, Issued, Occasion, Supplies};
use crate::watch::Materials;

/// Sees what is asked and answered, secrets among it: what it keeps, it redacts first.
pub trait Witness: Send + Sync {
    /// An issuer was asked for its metadata.
    fn discovery(&self, url: &Url, answer: Result<&Answer, &Error>);

    /// A token was asked for.
    fn exchange(&self, exchange: &Exchange<'_>);

    /// This provider was asked for a token, and its answer was not waited for.
    fn given_up(&self, _provider: &str) {}
}

/// One request for a token, and what came of it.
pub struct Exchange<'a> {
    /// What it was made from.
    pub materials: &'a Materials,
    /// The values that it was made with.
    pub supplies: &'a Supplies,
    /// When, and where to.
    pub occasion: &'a Occasion,
    /// By how much the time that it was made by is ahead of our clock.
    pub skew: TimeDelta,
    /// How long it took.
    pub took: TimeDelta,
    /// The answer, where there was one.
    pub answer: Option<&'a Answer>,
    /// What it was understood to mean.
    pub issued: Result<&'a Issued, &'a Error>,
}
