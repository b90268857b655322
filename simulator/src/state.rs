//! What all connections share.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::System;
use crate::behaviour::Behaviour;
use crate::clock::Clock;
use crate::credentials::{Client, Credentials};
use crate::log::Log;
use crate::options::Options;
use crate::tokens::{TokenRecord, Tokens};

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
    credentials: Credentials,
}

/// What holds for one request.
pub(crate) struct Turn {
    /// Its faults are those that still apply.
    pub(crate) behaviour: Behaviour,
    pub(crate) clients: Vec<Client>,
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
                credentials: options.credentials,
            }),
            ca_pem,
        }
    }

    /// Takes the next turn of a system; this is what counts limited faults down.
    pub(crate) fn turn(&self, system: System) -> Turn {
        let mut settings = lock(&self.settings);
        let behaviour = settings.behaviours.entry(system).or_default();
        let mut current = behaviour.clone();
        match &mut behaviour.times {
            Some(0) => current.faults.clear(),
            Some(left) => *left -= 1,
            None => {}
        }
        Turn { behaviour: current, clients: settings.credentials.of(system).to_vec() }
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

    pub(crate) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        lock(&self.tokens)
    }

    pub(crate) fn introspect(&self, token: &str) -> Option<TokenRecord> {
        self.tokens().find(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fault;

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
