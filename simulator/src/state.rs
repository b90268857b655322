//! What all connections share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::error::Unspecified;

use crate::System;
use crate::behaviour::Behaviour;
use crate::clock::Clock;
use crate::credentials::{Client, Credentials};
use crate::endpoint::Endpoint;
use crate::log::Log;
use crate::options::Options;
use crate::policy::Policy;
use crate::systems::{Grant, Origin};
use crate::tokens::{Terms, TokenRecord, Tokens};

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) clock: Clock,
    pub(crate) log: Log,
    tokens: Mutex<Tokens>,
    settings: Mutex<Settings>,
    /// The certificate of the authority, when the listener speaks TLS.
    pub(crate) ca_pem: Option<String>,
}

#[derive(Debug)]
struct Settings {
    behaviours: BTreeMap<System, Behaviour>,
    beside: BTreeMap<Endpoint, Behaviour>,
    credentials: Credentials,
    policy: Arc<Policy>,
}

/// What holds for one request.
pub(crate) struct Turn {
    /// Its faults are those that still apply.
    pub(crate) behaviour: Behaviour,
    pub(crate) clients: Vec<Client>,
    pub(crate) policy: Arc<Policy>,
}

impl Settings {
    fn turn(&self, system: System, behaviour: Behaviour) -> Turn {
        Turn {
            behaviour,
            clients: self.credentials.of(system).to_vec(),
            policy: Arc::clone(&self.policy),
        }
    }
}

/// What holds of this behaviour for the next request.
fn current(behaviour: &mut Behaviour) -> Behaviour {
    if let Some(next) = behaviour.lifetimes.pop_front() {
        behaviour.lifetime = Some(next);
        behaviour.lifetimes.push_back(next);
    }
    let mut current = behaviour.clone();
    match &mut behaviour.times {
        Some(0) => current.faults.clear(),
        Some(left) => *left -= 1,
        None => {}
    }
    current
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    pub(crate) fn new(options: Options, ca_pem: Option<String>) -> Self {
        Self {
            clock: Clock { offset: options.clock_offset },
            log: Log::default(),
            tokens: Mutex::default(),
            settings: Mutex::new(Settings {
                behaviours: options.behaviours,
                beside: BTreeMap::new(),
                credentials: options.credentials,
                policy: Arc::new(options.policy),
            }),
            ca_pem,
        }
    }

    /// Takes the next turn of a system; this is what counts limited faults down.
    pub(crate) fn turn(&self, system: System) -> Turn {
        let mut settings = lock(&self.settings);
        let behaviour = current(settings.behaviours.entry(system).or_default());
        settings.turn(system, behaviour)
    }

    /// The same for an endpoint beside that of the tokens; the clients are those of `oauth2`.
    pub(crate) fn turn_beside(&self, endpoint: Endpoint) -> Turn {
        let mut settings = lock(&self.settings);
        let behaviour = current(settings.beside.entry(endpoint).or_default());
        settings.turn(System::Oauth2, behaviour)
    }

    pub(crate) fn behaviour_beside(&self, endpoint: Endpoint) -> Behaviour {
        lock(&self.settings).beside.get(&endpoint).cloned().unwrap_or_default()
    }

    pub(crate) fn set_behaviour_beside(&self, endpoint: Endpoint, behaviour: Behaviour) {
        lock(&self.settings).beside.insert(endpoint, behaviour);
    }

    pub(crate) fn policy(&self) -> Arc<Policy> {
        Arc::clone(&lock(&self.settings).policy)
    }

    pub(crate) fn set_policy(&self, policy: Policy) {
        lock(&self.settings).policy = Arc::new(policy);
    }

    pub(crate) fn behaviour(&self, system: System) -> Behaviour {
        lock(&self.settings).behaviours.get(&system).cloned().unwrap_or_default()
    }

    pub(crate) fn set_behaviour(&self, system: System, behaviour: Behaviour) {
        lock(&self.settings).behaviours.insert(system, behaviour);
    }

    pub(crate) fn set_clients(&self, system: System, clients: Vec<Client>) {
        lock(&self.settings).credentials.set(system, clients);
    }

    pub(crate) fn add_client(&self, system: System, client: Client) {
        lock(&self.settings).credentials.add(system, client);
    }

    pub(crate) fn remove_client(&self, system: System, client: &Client) -> bool {
        lock(&self.settings).credentials.remove(system, client)
    }

    pub(crate) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        lock(&self.tokens)
    }

    /// Gives a client of `oauth2` a token that it did not ask for.
    pub(crate) fn give(
        &self,
        client_id: &str,
        lifetime: i64,
    ) -> Result<(String, TokenRecord), Unspecified> {
        let terms =
            Terms { system: System::Oauth2, now: self.clock.now(), lifetime, same_until: None };
        let grant = Grant {
            client_id: client_id.to_owned(),
            scope: None,
            key: client_id.to_owned(),
            origin: Origin::default(),
        };
        let issue = self.tokens().issue(&terms, &grant)?;
        Ok((issue.token, issue.record))
    }

    /// Revokes a token as its provider's owner would; says whether there is such a token.
    pub(crate) fn revoke(&self, serial: u64) -> bool {
        self.tokens().revoke(serial, self.clock.now())
    }

    pub(crate) fn introspect(&self, token: &str) -> Option<TokenRecord> {
        self.tokens().find(token).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;

    #[test]
    fn lifetimes_are_given_in_turn() {
        let state = State::new(Options::default(), None);
        state.set_behaviour(System::Oauth2, Behaviour::living_in_turn([8, 9]));
        let life = || state.turn(System::Oauth2).behaviour.lifetime;
        assert_eq!([life(), life(), life()], [Some(8), Some(9), Some(8)]);
    }

    #[test]
    fn limited_faults_end_and_the_lifetime_stays() {
        let state = State::new(Options::default(), None);
        state.set_behaviour(System::Oracle, Behaviour::living(8).with(Fault::Hang).for_next(2));
        let faults = || state.turn(System::Oracle).behaviour.faults.len();
        assert_eq!([faults(), faults(), faults(), faults()], [1, 1, 0, 0]);
        assert_eq!(state.turn(System::Oracle).behaviour.lifetime, Some(8));
        assert!(state.turn(System::Oauth2).behaviour.faults.is_empty());
    }
}
