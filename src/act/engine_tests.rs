//! What one term leaves to the next one of the same process.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret, SecretBox, SecretString};

use super::super::renewal::Conclusion;
use super::super::{Former, Kept, Restart, TargetWrite, Version, Writing};
use super::*;
use crate::api::annotations::Owner;
use crate::api::{Intent, OAuthClientToken, ServiceAccountRef};
use crate::decide::{FinalizerChange, Restarts, SecretKey};
use crate::oauth::{AddressPolicy, Credentials, Renewed, Timeouts, TransportSettings};
use crate::render::Data;

/// Keeps what is renewed, and does nothing else.
#[derive(Clone, Default)]
struct Store {
    kept: Arc<Mutex<Option<Kept>>>,
}

impl Edge for Store {
    async fn renewed(&self, _: &SecretKey) -> Result<Option<Kept>, Error> {
        Ok(self.kept.lock().unwrap().clone())
    }

    async fn keep(&self, _: &SecretKey, kept: &Kept, _: Writing) -> Result<Option<String>, Error> {
        *self.kept.lock().unwrap() = Some(kept.clone());
        Ok(Some("1".to_owned()))
    }

    async fn credentials(&self, _: &SecretKey) -> Result<Credentials, Error> {
        unreachable!()
    }

    async fn service_account_token(
        &self,
        _: &str,
        _: &ServiceAccountRef,
    ) -> Result<SecretString, Error> {
        unreachable!()
    }

    async fn accounts(&self) -> Result<(Version, Option<Vec<u8>>), Error> {
        unreachable!()
    }

    async fn keep_accounts(&self, _: &Version, _: &[u8]) -> Result<Option<Version>, Error> {
        unreachable!()
    }

    async fn change_finalizer(
        &self,
        _: &OAuthClientToken,
        _: FinalizerChange,
    ) -> Result<(), Error> {
        unreachable!()
    }

    async fn restart(&self, _: Restart<'_>) -> Result<Restarts, Error> {
        unreachable!()
    }

    async fn nudge(&self, _: &SecretKey, _: DateTime<Utc>) -> Result<(), Error> {
        unreachable!()
    }

    async fn inspect(&self, _: &SecretKey) -> Result<BTreeSet<String>, Error> {
        unreachable!()
    }

    async fn write(&self, _: TargetWrite) -> Result<(), Error> {
        unreachable!()
    }

    async fn read(&self, _: &SecretKey, _: &Owner) -> Result<Option<Data>, Error> {
        unreachable!()
    }

    async fn leave(&self, _: &SecretKey, _: &Owner) -> Result<(), Error> {
        unreachable!()
    }
}

/// A process of several terms.
struct Process {
    store: Store,
    tools: Tools,
    renewals: Arc<Renewals>,
}

impl Process {
    fn new() -> Self {
        let timeouts = Timeouts { connect: Duration::from_secs(1), total: Duration::from_secs(1) };
        let addresses = AddressPolicy::default();
        let settings = TransportSettings { allow_http: false, addresses, timeouts };
        let (clock, chance) = (Clock::system(), Chance::system());
        let tools = Tools {
            transport: Arc::new(Transport::new(settings, clock.clone())),
            digester: Arc::new(Digester::new(&SecretBox::new(Box::new([1; 32])))),
            clock,
            chance,
            stopping: CancellationToken::new(),
            lead: Lead::unopposed(),
        };
        let renewals = Arc::new(Renewals::new(&tools.chance));
        Self { store: Store::default(), tools, renewals }
    }

    fn term(&self) -> (CancellationToken, Engine<Store>) {
        let over = self.tools.stopping.child_token();
        let engine = Engine::new(self.store.clone(), self.tools.clone());
        (over.clone(), engine.for_a_term(over, Arc::clone(&self.renewals)))
    }
}

/// An answer that renewed something.
fn answer() -> Conclusion {
    let (at, seed) = (DateTime::UNIX_EPOCH, "seed/".to_owned());
    let intent = Intent {
        holder: "one".into(),
        token: "web/shop".into(),
        spends: seed.clone(),
        since: at,
        at,
        until: at + TimeDelta::seconds(30),
        unanswered: 0,
    };
    let renewed = Renewed { refresh_token: Some("next".into()), access_token: None };
    Conclusion { intent, news: Some(Former { seed, renewed }) }
}

#[tokio::test]
async fn what_one_term_could_not_keep_is_kept_before_the_next_one_asks() {
    let process = Process::new();
    let credentials = SecretKey { namespace: "web".into(), name: "c".into() };
    let (_, former) = process.term();
    former.renewals.note(&credentials, &answer());
    let (_, next) = process.term();
    next.catch_up(&credentials).await.unwrap();
    let kept = process.store.kept.lock().unwrap().clone().unwrap();
    assert_eq!(kept.renewed.refresh_token.unwrap().expose_secret(), "next");
    assert!(former.catch_up_with_all().await, "there is nothing left of it");
    assert_eq!(former.renewals.holder, next.renewals.holder, "who notes intents is the process");
}

#[test]
fn the_end_of_a_process_is_not_that_of_a_term() {
    let process = Process::new();
    let (over, engine) = process.term();
    over.cancel();
    assert!(!engine.may_begin());
    assert!(!engine.stopping.is_cancelled(), "answers are waited for as on any other day");
    process.tools.stopping.cancel();
    assert!(engine.stopping.is_cancelled(), "from now on for a while only");
}
