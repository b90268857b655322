//! Credentials that a provider renews with each answer: refresh tokens that rotate, and tokens that
//! renew themselves. They are kept beside the credentials that they came from, before the access
//! token is published: lost, they cannot be had again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use super::{Edge, Engine};
use crate::decide::SecretKey;
use crate::error::Error;
use crate::oauth::{Credentials, Digester, Renewed};

/// How often it is tried to keep what was renewed, before the attempt is given up.
const TRIES: u32 = 4;
/// Before the second try; twice as long before each later one.
const PAUSE: Duration = Duration::from_millis(250);

/// What was renewed, as it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Digest of the credentials that it began with: where a person replaces those, it is void.
    pub seed: String,
    /// The values.
    pub renewed: Renewed,
}

/// What could not be kept so far. It lives as long as the process.
#[derive(Debug, Default)]
pub(super) struct Renewals(Mutex<HashMap<SecretKey, Kept>>);

impl Renewals {
    pub(super) fn unsaved(&self, credentials: &SecretKey) -> Option<Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(credentials).cloned()
    }

    fn note(&self, credentials: &SecretKey, kept: Option<Kept>) {
        let mut unsaved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept {
            Some(kept) => drop(unsaved.insert(credentials.clone(), kept)),
            None => drop(unsaved.remove(credentials)),
        }
    }
}

impl<E: Edge> Engine<E> {
    /// Keeps what an answer renewed. Where that fails it is remembered, and the attempt has failed:
    /// the next one goes on from it.
    pub(super) async fn keep(&self, credentials: &SecretKey, kept: Kept) -> Result<(), Error> {
        let mut pause = PAUSE;
        let mut tries = 1;
        loop {
            match self.edge.keep(credentials, &kept).await {
                Ok(()) => {
                    self.renewals.note(credentials, None);
                    return Ok(());
                }
                Err(error) if tries < TRIES => {
                    warn!(%credentials, %error, "what the provider renewed is to be kept once more");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    tries += 1;
                }
                Err(error) => {
                    self.renewals.note(credentials, Some(kept));
                    return Err(error);
                }
            }
        }
    }
}

/// Digest of what is renewed, as the credentials Secret has it.
pub(super) fn seed(credentials: &Credentials, digester: &Digester) -> String {
    let digest = |key: &str| credentials.get(key).map(|value| digester.credential(value));
    let [refresh, access] = ["refresh_token", "access_token"].map(|key| digest(key).ok());
    format!("{}/{}", refresh.unwrap_or_default(), access.unwrap_or_default())
}

/// Whether credentials that were renewed are still those of now, by their seeds. Digests that were
/// made with another key say nothing: what was renewed is not given up for that, for what it began
/// with is used up.
pub(super) fn is_same_seed(kept: &str, now: &str) -> bool {
    let key_id = |digest: &str| digest.split_once('.').map(|(id, _)| id.to_owned());
    let same = |(kept, now): (&str, &str)| match (key_id(kept), key_id(now)) {
        (Some(a), Some(b)) if a != b => true,
        _ => kept == now,
    };
    kept.split('/').count() == now.split('/').count()
        && kept.split('/').zip(now.split('/')).all(same)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::is_same_seed;

    #[rstest]
    #[case::the_same("k.a/", "k.a/", true)]
    #[case::replaced("k.a/", "k.b/", false)]
    #[case::the_other_replaced("k.a/k.c", "k.a/k.d", false)]
    #[case::another_key("k.a/", "l.b/", true)]
    #[case::taken_away("k.a/", "/", false)]
    #[case::added("k.a/", "k.a/l.b", false)]
    #[case::unreadable("", "k.a/", false)]
    fn seeds(#[case] kept: &str, #[case] now: &str, #[case] same: bool) {
        assert_eq!(is_same_seed(kept, now), same);
    }
}
