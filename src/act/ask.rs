//! Asking for a token: once, and again only where the answer itself says what to do otherwise.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use tracing::{debug, info, warn};

use super::accounts::Pass;
use super::supply::secret_keys;
use super::witness::Exchange;
use super::{Edge, Engine};
use crate::decide::Health;
use crate::error::{Class, Error, Reason};
use crate::oauth::{Answer, CANNOT_REVOKE, Issued, Issuer, Metadata, Occasion, Renewed, Supplies};
use crate::watch::Materials;

/// Once the engine is stopping, how long an answer is still waited for. What is left of the
/// 30 s that a pod has by default is for writing it.
const GRACE: Duration = Duration::from_secs(10);

/// A clock of ours that is off by less is not to blame for a refused assertion.
const SKEW: TimeDelta = TimeDelta::seconds(20);
/// A person is told of clocks that differ by more.
const WORTH_TELLING: TimeDelta = TimeDelta::seconds(30);
/// No clock of ours is off by more: a provider that says so gets no assertion for another day.
const FARTHEST_SKEW: TimeDelta = TimeDelta::hours(1);

/// What was asked with, and what came of it.
#[derive(Default)]
pub(super) struct Asked {
    /// Just before the last request was made and sent, if one was: what had to be noted before may
    /// have taken long.
    pub(super) at: Option<DateTime<Utc>>,
    /// `None` once the engine is stopping.
    pub(super) issued: Option<Result<Issued, Error>>,
    /// What the answer renews, be it readable otherwise or not.
    pub(super) renewed: Renewed,
    /// The key of the credentials Secret whose secret was sent last, where there are several.
    pub(super) secret_key: Option<String>,
    /// What the last answer tells of the provider.
    pub(super) health: Health,
    /// By how much the provider's clock is ahead of ours, where its answer told the time.
    pub(super) skew: Option<TimeDelta>,
}

impl Asked {
    /// What a person should know of the clocks.
    pub(super) fn clock_remark(&self) -> Option<String> {
        let skew = self.skew.filter(|skew| skew.abs() > WORTH_TELLING)?;
        let ahead = if skew > TimeDelta::zero() { "ahead of" } else { "behind" };
        let seconds = skew.num_seconds().abs();
        Some(format!("the provider's clock is {seconds} s {ahead} ours: see that ours is right"))
    }
}

/// How to ask.
#[derive(Clone, Copy, Default)]
pub(super) struct Terms<'a> {
    /// The key of the client's secret to try first, where there are several.
    pub(super) first: Option<&'a str>,
    /// After that nothing more is sent.
    pub(super) send_by: Option<DateTime<Utc>>,
    /// What lets us ask the provider; `None` where nobody has to.
    pub(super) pass: Option<&'a Pass>,
}

/// What differs from one try to the next.
struct Try {
    /// Keys of secrets that were not tried yet, the next one last.
    keys: Vec<String>,
    /// By how much our clock is behind the provider's.
    skew: TimeDelta,
}

impl<E: Edge> Engine<E> {
    /// Asks for a token. A secret that is refused makes way for the next one, and an assertion that
    /// is refused while our clock is off is signed once more by the provider's.
    pub(super) async fn ask(
        &self,
        materials: &Materials,
        supplies: &mut Supplies,
        terms: Terms<'_>,
    ) -> Asked {
        let mut keys = secrets_in_order(secret_keys(materials), supplies, terms.first);
        supplies.secret_key = keys.pop();
        let mut next = Try { keys, skew: TimeDelta::zero() };
        let mut skew = None;
        loop {
            let (mut renewed, mut health) = (Renewed::default(), Health::Unknown);
            let at = Some(self.clock.now());
            let issued = match self.once(materials, supplies, next.skew).await {
                Some((issued, answer)) => {
                    skew = answer.as_ref().and_then(Answer::clock_skew).or(skew);
                    let answered = answer.as_ref().map(|answer| materials.endpoint.renewed(answer));
                    renewed = answered.unwrap_or_default();
                    health = health_of(issued.as_ref().err(), answer.as_ref());
                    if let Err(error) = &issued
                        && terms.send_by.is_none_or(|last| self.clock.now() <= last)
                        && self.try_again(
                            &mut next,
                            (materials, supplies),
                            (error, answer.as_ref()),
                        )
                        && self.may_ask_again(terms.pass).await
                    {
                        continue;
                    }
                    Some(issued)
                }
                None => None,
            };
            let secret_key = supplies.secret_key.take();
            return Asked { at, issued, renewed, secret_key, health, skew };
        }
    }

    /// Whether there is something to do otherwise, and does it.
    fn try_again(
        &self,
        next: &mut Try,
        (materials, supplies): (&Materials, &mut Supplies),
        (error, answer): (&Error, Option<&Answer>),
    ) -> bool {
        if !self.may_begin() || error.class() != Class::Permanent {
            return false;
        }
        let skew = answer.filter(|_| materials.endpoint.signs()).and_then(Answer::clock_skew);
        if let Some(skew) = skew.filter(|skew| next.skew.is_zero() && is_believable(*skew)) {
            info!(seconds = skew.num_seconds(), "the provider's clock differs: asking by its time");
            next.skew = skew;
            return true;
        }
        let Some(key) = next.keys.pop_if(|_| error.blames_client()) else { return false };
        info!(key, "the client's secret was refused: trying the next one");
        supplies.secret_key = Some(key);
        true
    }

    /// One request and its answer. `None` where that is not waited for.
    async fn once(
        &self,
        materials: &Materials,
        supplies: &Supplies,
        skew: TimeDelta,
    ) -> Option<(Result<Issued, Error>, Option<Answer>)> {
        let occasion = match self.occasion(materials, skew).await {
            Ok(occasion) => occasion,
            Err(error) => return Some((Err(error), None)),
        };
        let began = self.clock.now();
        let exchanged = self.exchange(materials, supplies, &occasion).await;
        let Some((issued, answer)) = exchanged else {
            self.witness.iter().for_each(|witness| witness.given_up(&materials.provider));
            return None;
        };
        if let Some(witness) = &self.witness {
            let answer = answer.as_ref();
            witness.exchange(&Exchange {
                materials,
                supplies,
                occasion: &occasion,
                skew,
                took: self.clock.now() - began,
                answer,
                issued: issued.as_ref(),
            });
        }
        Some((issued, answer))
    }

    /// `None` where something was sent, and the answer is not waited for.
    async fn exchange(
        &self,
        materials: &Materials,
        supplies: &Supplies,
        occasion: &Occasion,
    ) -> Option<(Result<Issued, Error>, Option<Answer>)> {
        let (endpoint, asking) = (&materials.endpoint, &materials.asking);
        if endpoint.is_local() {
            return Some((endpoint.sign(asking, (supplies, occasion)), None));
        }
        let request = match endpoint.request(asking, supplies, occasion) {
            Ok(request) => request,
            Err(error) => return Some((Err(error), None)),
        };
        // Whatever was waited for until now took its time: this is the last moment to tell.
        if !self.leads() {
            return Some((Err(deposed()), None));
        }
        let answer = tokio::select! {
            answer = self.transport.send(request) => answer,
            () = self.grace_is_over() => {
                warn!("ending without the provider's answer");
                return None;
            }
            // The next leader asks anew, which does no harm where nothing is used up. What is used
            // up is noted, and it waits.
            () = self.lead.ended(), if !endpoint.renews() => {
                warn!("another process may lead: the provider's answer is not waited for");
                return None;
            }
        };
        Some(match answer {
            Ok(answer) => {
                let issued = endpoint.read(&answer, asking, supplies);
                // Not found there, or not by that client.
                let refused =
                    issued.is_err() && (400..500).contains(&answer.status) && answer.status != 429;
                if let Some(issuer) = endpoint.discovery().filter(|_| refused) {
                    self.discovery.doubt(issuer).await;
                }
                let used_up = uses_up(materials, Some(&answer));
                (issued.map_err(|error| ambiguous(error, used_up)), Some(answer))
            }
            Err(error) => {
                let used_up = uses_up(materials, None) && error.is_unanswered();
                (Err(ambiguous(error, used_up)), None)
            }
        })
    }

    /// Time, chance and, where it is needed, what the issuer tells.
    pub(super) async fn occasion(
        &self,
        materials: &Materials,
        skew: TimeDelta,
    ) -> Result<Occasion, Error> {
        let metadata = match materials.endpoint.discovery() {
            Some(issuer) => Some(self.metadata(issuer).await?),
            None => None,
        };
        let entropy = self.chance.bytes().ok_or_else(|| {
            Error::new(Reason::InvalidCredentials, "no randomness").with_class(Class::Transient)
        })?;
        Ok(Occasion { now: self.clock.now() + skew, entropy, metadata })
    }

    async fn metadata(&self, issuer: &Issuer) -> Result<Arc<Metadata>, Error> {
        self.discovery.metadata(issuer, self.witness.as_deref()).await
    }

    async fn grace_is_over(&self) {
        // Who only does not lead any more lives on: a request has an end of its own.
        self.stopping.cancelled().await;
        tokio::time::sleep(GRACE).await;
    }

    /// Sends the request that revokes a token, and says what came of it in words without it.
    pub(super) async fn revoke(
        &self,
        materials: &Materials,
        (supplies, token): (&Supplies, &SecretString),
    ) -> Result<(), Error> {
        if !self.leads() {
            return Err(deposed());
        }
        let mut occasion = self.occasion(materials, TimeDelta::zero()).await?;
        if let (None, Some(issuer)) =
            (&occasion.metadata, materials.endpoint.revocation_discovery())
        {
            occasion.metadata = Some(self.metadata(issuer).await?);
        }
        let request =
            materials.endpoint.revocation(token, &materials.asking, (supplies, &occasion))?;
        let Some(request) = request else {
            return Err(Error::new(Reason::InvalidProvider, CANNOT_REVOKE));
        };
        let answer = self.transport.send(request).await?;
        match answer.status {
            200..300 => Ok(()),
            status => {
                let message = format!("the revocation endpoint answered HTTP {status}");
                Err(Error::new(Reason::ProviderError, message))
            }
        }
    }
}

/// Nobody is told: the next leader writes the status.
pub(super) fn deposed() -> Error {
    let message = "nothing was begun: this process does not lead any more";
    Error::new(Reason::ProviderBusy, message)
}

/// Whether a difference of clocks explains a refusal, and may be given in to.
fn is_believable(skew: TimeDelta) -> bool {
    (SKEW..=FARTHEST_SKEW).contains(&skew.abs())
}

/// The keys of secrets to try, the first one last: the one that worked before, then the others in
/// their order, of those that are there.
pub(super) fn secrets_in_order(
    keys: &[String],
    supplies: &Supplies,
    first: Option<&str>,
) -> Vec<String> {
    let mut present: Vec<String> =
        keys.iter().filter(|key| supplies.credentials.has(key)).cloned().collect();
    if present.is_empty() {
        // Its absence is what a person is told of.
        present.extend(keys.first().cloned());
    }
    if let Some(index) = present.iter().position(|key| Some(key.as_str()) == first) {
        let key = present.remove(index);
        present.insert(0, key);
    }
    present.reverse();
    present
}

/// Whether a request may have used up what it was made from: a provider that refuses one has not.
fn uses_up(materials: &Materials, answer: Option<&Answer>) -> bool {
    materials.endpoint.renews() && answer.is_none_or(|answer| !(300..500).contains(&answer.status))
}

/// What an answer, or its absence, tells of the provider.
fn health_of(error: Option<&Error>, answer: Option<&Answer>) -> Health {
    let down = |error: &Error| {
        let passing = matches!(error.class(), Class::Transient | Class::Ambiguous);
        let unable = answer.is_none_or(|answer| answer.status >= 500 || answer.status == 408);
        let of_provider = matches!(
            error.reason(),
            Reason::ProviderUnreachable | Reason::ProviderTimeout | Reason::ProviderError
        );
        passing && unable && of_provider
    };
    match answer {
        _ if error.is_some_and(down) => Health::Down,
        Some(_) => Health::Up,
        None => Health::Unknown,
    }
}

/// A request that uses up what it is made from may have done so although nobody saw its answer.
fn ambiguous(error: Error, used_up: bool) -> Error {
    match used_up && error.class() == Class::Transient {
        true => {
            debug!("whether the provider has renewed what was sent is not known");
            error.with_class(Class::Ambiguous)
        }
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none(0, false)]
    #[case::little(19, false)]
    #[case::ahead(20, true)]
    #[case::behind(-600, true)]
    #[case::an_hour(3600, true)]
    #[case::more(3601, false)]
    // A hostile Date may be the last that a calendar holds.
    #[case::the_end_of_time(8_210_000_000_000, false)]
    fn only_a_small_difference_of_clocks_is_given_in_to(#[case] seconds: i64, #[case] taken: bool) {
        assert_eq!(is_believable(TimeDelta::seconds(seconds)), taken);
    }
}
