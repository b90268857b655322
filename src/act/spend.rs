//! Using up a credential that each use renews: never twice at once, never before it is known that
//! the answer can be kept. What is noted, and when, is decided in `decide/rotation.rs`.

use std::time::Duration;

use chrono::TimeDelta;
use secrecy::SecretString;
use tracing::{Instrument, info};

use super::accounts::Pass;
use super::ask::{Asked, Terms};
use super::renewal::{Conclusion, Former, Kept, ROUNDS, Writing, generation, restless, seed};
use super::supply::Supplied;
use super::{Edge, Engine};
use crate::api::Intent;
use crate::decide::{
    Award, Bid, Origin, SecretKey, class_of_silence, loss_remark, send_by, silence_remark,
};
use crate::error::{Class, Error, Reason};
use crate::oauth::Renewed;
use crate::spans::step;
use crate::watch::Materials;

/// No answer is larger; so what is kept of one has room, if this has.
const ROOM: usize = 64 * 1024;

/// Who asks, and with what.
#[derive(Clone, Copy)]
pub(super) struct Spender<'a> {
    /// The token that it is for: `NAMESPACE/NAME`.
    pub(super) token: &'a str,
    pub(super) materials: &'a Materials,
    /// The credentials that are used up; `None` where none are.
    pub(super) credentials: Option<&'a SecretKey>,
    /// What lets us ask the provider.
    pub(super) pass: Option<&'a Pass>,
}

/// What came of asking once.
enum Ended {
    /// What it came to.
    Told(Asked),
    /// It was refused, and something newer is there to be asked with.
    Overtaken(Asked),
}

impl<E: Edge> Engine<E> {
    /// Asks as [`Engine::ask`] does. Where that uses up what it is made from, it is our turn and the
    /// answer can be kept, and is. An error says that nothing was asked.
    pub(super) async fn spend(
        &self,
        spender: Spender<'_>,
        supplied: &mut Supplied,
        first: Option<&str>,
    ) -> Result<Asked, Error> {
        let materials = spender.materials;
        let Some(credentials) = spender.credentials else {
            let terms = Terms { first, pass: spender.pass, send_by: None };
            return Ok(self.ask(materials, &mut supplied.supplies, terms).await);
        };
        // What the issuer tells is found out before: under an intent there is no time for it.
        if let Err(error) = self.occasion(materials, TimeDelta::zero()).await {
            return Ok(Asked { issued: Some(Err(error)), ..Asked::default() });
        }
        let mut is_second = false;
        loop {
            let turn = self.turn((spender, credentials), supplied);
            let intent = turn.instrument(step("note intent")).await?;
            if !self.may_begin() {
                self.release(credentials, intent).await;
                return Ok(Asked::default());
            }
            let asked = match self.clock.now() <= send_by(&intent) {
                true => {
                    let terms =
                        Terms { first, pass: spender.pass, send_by: Some(send_by(&intent)) };
                    self.ask(materials, &mut supplied.supplies, terms).await
                }
                false => Asked { issued: Some(Err(too_late(credentials))), ..Asked::default() },
            };
            let ended = self.end((spender, credentials), (supplied, intent), asked).await;
            match ended {
                Ended::Told(asked) => return Ok(asked),
                Ended::Overtaken(asked) if is_second => {
                    return Ok(Asked { issued: Some(Err(restless(credentials))), ..asked });
                }
                Ended::Overtaken(_) if self.may_ask_again(spender.pass).await => is_second = true,
                Ended::Overtaken(asked) => {
                    return Ok(Asked { issued: Some(Err(newer(credentials))), ..asked });
                }
            }
        }
    }

    /// Waits for nobody: notes that it is our turn, if it is, and that the answer can be kept.
    async fn turn(
        &self,
        (spender, credentials): (Spender<'_>, &SecretKey),
        supplied: &mut Supplied,
    ) -> Result<Intent, Error> {
        let seed = seed(&supplied.supplies.credentials, &self.digester);
        for _ in 0..ROUNDS {
            let found = supplied.kept.take();
            let origin = found.as_ref().map_or(Origin::Credentials, |kept| kept.origin(&seed));
            let spends = generation(&seed, &supplied.supplies.renewed, &self.digester);
            let open = found.as_ref().and_then(|kept| kept.intent.clone());
            self.award((spender, credentials), &spends, open.as_ref())?;
            let found = found.unwrap_or_else(|| Kept { seed: seed.clone(), ..Kept::default() });
            let kept = match origin {
                // By today's digest key.
                Origin::Kept => Kept { seed: seed.clone(), ..found },
                Origin::Former | Origin::Credentials => found,
            };
            if let Some(ready) = self.prepare(credentials, kept).await? {
                // The time to send begins with the note, however long it took to get ready for it.
                let intent = self.award((spender, credentials), &spends, open.as_ref())?;
                let noted = Kept { intent: Some(intent.clone()), ..ready };
                if self.edge.keep(credentials, &noted, Writing::Real).await?.is_some() {
                    tell_taken_over(credentials, (open.as_ref(), &intent));
                    return Ok(intent);
                }
            }
            supplied.kept = self.edge.renewed(credentials).await?;
            supplied.supplies.renewed = go_on(supplied.kept.as_ref(), &seed);
        }
        Err(restless(credentials))
    }

    /// What is to be noted, where it is our turn now.
    fn award(
        &self,
        (spender, credentials): (Spender<'_>, &SecretKey),
        spends: &str,
        open: Option<&Intent>,
    ) -> Result<Intent, Error> {
        let now = self.clock.now();
        let bid = Bid {
            holder: &self.renewals.holder,
            token: spender.token,
            spends,
            now,
            timeout: delta(self.transport.longest()),
        };
        match bid.turn(open) {
            Award::Spend(intent) => Ok(intent),
            Award::Wait { until } => Err(in_use(open, (credentials, until - now))),
        }
    }

    /// Finds out whether what may come of an intent can be written. `None` where what is kept has
    /// changed meanwhile.
    async fn prepare(&self, credentials: &SecretKey, kept: Kept) -> Result<Option<Kept>, Error> {
        // The store is made first: that something can be made does not mean that it can be changed.
        let version = match &kept.version {
            Some(version) => Some(version.clone()),
            None => self.edge.keep(credentials, &kept, Writing::Real).await?,
        };
        let Some(version) = version else { return Ok(None) };
        let kept = Kept { version: Some(version), ..kept };
        let large = Renewed { refresh_token: Some(placeholder()), ..kept.renewed.clone() };
        let answered = Kept { renewed: large, ..kept.clone() };
        let can_be = self.edge.keep(credentials, &answered, Writing::Rehearsed).await?.is_some();
        Ok(can_be.then_some(kept))
    }

    /// What an answer means, or that it did not come.
    async fn end(
        &self,
        (spender, credentials): (Spender<'_>, &SecretKey),
        (supplied, intent): (&mut Supplied, Intent),
        asked: Asked,
    ) -> Ended {
        // The process ends: nobody knows.
        let Some(issued) = &asked.issued else { return Ended::Told(asked) };
        let error = match issued {
            Err(error) if asked.renewed.is_empty() => error.clone(),
            _ => return Ended::Told(self.answered(credentials, (supplied, intent), asked).await),
        };
        let error = if error.class() == Class::Ambiguous {
            self.unanswered(spender.materials, &intent, error)
        } else if refuses(spender.materials, &error) {
            if self.has_newer(credentials, supplied, &intent).await {
                return Ended::Overtaken(asked);
            }
            let key = if spender.materials.endpoint.needs().current {
                "access_token"
            } else {
                "refresh_token"
            };
            let told = error.with_remark(&loss_remark(&intent, (key, &credentials.to_string())));
            self.release(credentials, intent).await;
            told
        } else {
            self.release(credentials, intent).await;
            error
        };
        Ended::Told(Asked { issued: Some(Err(error)), ..asked })
    }

    /// The answer is kept before anything else is done with it.
    async fn answered(
        &self,
        credentials: &SecretKey,
        (supplied, intent): (&Supplied, Intent),
        asked: Asked,
    ) -> Asked {
        let former = supplied.supplies.renewed.clone();
        let renewed = Renewed {
            refresh_token: asked.renewed.refresh_token.clone().or(former.refresh_token),
            access_token: asked.renewed.access_token.clone().or(former.access_token),
        };
        let seed = seed(&supplied.supplies.credentials, &self.digester);
        let news = Some(Former { seed, renewed });
        let conclude = self.conclude(credentials, Conclusion { intent, news });
        match conclude.instrument(step("keep refresh token")).await {
            Ok(()) => asked,
            Err(error) => Asked { issued: Some(Err(error)), ..asked },
        }
    }

    fn unanswered(&self, materials: &Materials, intent: &Intent, error: Error) -> Error {
        let reuse = materials.endpoint.refresh_token_reuse().map(delta);
        let class = class_of_silence(intent, reuse, self.clock.now());
        let error = error.with_class(class);
        match class {
            Class::Ambiguous => error.with_remark(&silence_remark(intent)),
            _ => error,
        }
    }

    /// Whether another process, or a person, has written something newer than what was refused.
    async fn has_newer(
        &self,
        credentials: &SecretKey,
        supplied: &mut Supplied,
        intent: &Intent,
    ) -> bool {
        let Ok(Some(kept)) = self.edge.renewed(credentials).await else { return false };
        let seed = seed(&supplied.supplies.credentials, &self.digester);
        let renewed = kept.go_on(&seed);
        let is_newer = generation(&seed, &renewed, &self.digester) != intent.spends;
        if is_newer {
            info!(%credentials, "refused, but somebody has kept a newer one meanwhile");
            supplied.kept = Some(kept);
            supplied.supplies.renewed = renewed;
        }
        is_newer
    }

    /// Nothing was used up. Where an earlier answer is missing, that remains so.
    async fn release(&self, credentials: &SecretKey, intent: Intent) {
        if intent.unanswered == 0 {
            // It says itself what went wrong, and is remembered.
            let _ = self.conclude(credentials, Conclusion { intent, news: None }).await;
        }
    }
}

/// From where credentials of this seed go on.
pub(super) fn go_on(kept: Option<&Kept>, seed: &str) -> Renewed {
    kept.map(|kept| kept.go_on(seed)).unwrap_or_default()
}

fn tell_taken_over(credentials: &SecretKey, (open, ours): (Option<&Intent>, &Intent)) {
    let same = open.filter(|open| ours.unanswered > 0 && open.holder != ours.holder);
    if let Some(Intent { holder, .. }) = same {
        info!(%credentials, former = holder, "taking over from a process that is gone");
    }
}

/// Whether what was to be used up is refused.
fn refuses(materials: &Materials, error: &Error) -> bool {
    let current = materials.endpoint.needs().current && error.blames_client();
    error.class() == Class::Permanent && (error.refuses_grant() || current)
}

fn placeholder() -> SecretString {
    "-".repeat(ROOM).into()
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

fn in_use(open: Option<&Intent>, (credentials, wait): (&SecretKey, TimeDelta)) -> Error {
    let holder = open.map_or("", |open| &open.holder);
    let message = format!(
        "another process ({holder}) is using up what is renewed of Secret {credentials}: it is waited \
         for"
    );
    Error::new(Reason::RefreshTokenInUse, message).with_retry_after(wait.to_std().ok())
}

fn newer(credentials: &SecretKey) -> Error {
    let message = format!(
        "what is renewed of Secret {credentials} was refused, and a newer one is there: it is asked with \
         as soon as the provider may be asked again"
    );
    Error::new(Reason::ProviderThrottled, message)
}

fn too_late(credentials: &SecretKey) -> Error {
    let message = format!(
        "nothing was asked: to note what is about to be used up of Secret {credentials} took too long"
    );
    Error::new(Reason::WriteFailed, message)
}
