//! Whether the process is ready for its work, as data: one gate for each thing that it waits for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Gates by name. Clones are the same gates.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Gates>>);

type Gates = BTreeMap<&'static str, Gate>;

#[derive(Debug)]
struct Gate {
    is_open: bool,
    /// Why it is closed, or what a person should know all the same.
    told: String,
}

impl Readiness {
    fn gates(&self) -> MutexGuard<'_, Gates> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is waited for, and why. Nothing secret: whoever reaches the port reads it.
    pub fn close(&self, gate: &'static str, why: impl Into<String>) {
        self.gates().insert(gate, Gate { is_open: false, told: why.into() });
    }

    /// It is there.
    pub fn open(&self, gate: &'static str) {
        self.open_with(gate, "");
    }

    /// It is there, and this is to be told of it.
    pub fn open_with(&self, gate: &'static str, told: impl Into<String>) {
        self.gates().insert(gate, Gate { is_open: true, told: told.into() });
    }

    /// Whether there is such a gate.
    pub fn has(&self, gate: &'static str) -> bool {
        self.gates().contains_key(gate)
    }

    /// Whether nothing is waited for.
    pub fn is_ready(&self) -> bool {
        self.gates().values().all(|gate| gate.is_open)
    }

    /// Each gate on a line.
    pub fn told(&self) -> String {
        let mut told = String::new();
        for (name, gate) in &*self.gates() {
            let mark = if gate.is_open { '+' } else { '-' };
            let colon = if gate.told.is_empty() { "" } else { ": " };
            // Writing to a String cannot fail.
            let _ = writeln!(told, "[{mark}] {name}{colon}{}", gate.told);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_closed_gate_is_enough_and_is_told() {
        let readiness = Readiness::default();
        readiness.open_with("leader", "standby");
        readiness.close("caches", "OAuthClientToken is not known to the API server");
        assert!(!readiness.is_ready());
        let told =
            "[-] caches: OAuthClientToken is not known to the API server\n[+] leader: standby\n";
        assert_eq!(readiness.told(), told);
        readiness.clone().open("caches");
        assert!(readiness.is_ready());
    }
}
