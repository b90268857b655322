//! Whether the process is ready for its work, as data: one gate for each thing that it waits for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Gates by name, and why those are closed that are. Clones are the same gates.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

impl Readiness {
    fn gates(&self) -> MutexGuard<'_, BTreeMap<&'static str, Option<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is waited for, and why. Nothing secret: whoever reaches the port reads it.
    pub fn close(&self, gate: &'static str, why: impl Into<String>) {
        self.gates().insert(gate, Some(why.into()));
    }

    /// It is there.
    pub fn open(&self, gate: &'static str) {
        self.gates().insert(gate, None);
    }

    /// Whether nothing is waited for.
    pub fn is_ready(&self) -> bool {
        self.gates().values().all(Option::is_none)
    }

    /// Each gate on a line.
    pub fn told(&self) -> String {
        let mut told = String::new();
        for (gate, closed) in &*self.gates() {
            let closed = closed.as_deref().map(|why| format!(": {why}"));
            let mark = if closed.is_some() { '-' } else { '+' };
            // Writing to a String cannot fail.
            let _ = writeln!(told, "[{mark}] {gate}{}", closed.unwrap_or_default());
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
        readiness.open("leader");
        readiness.close("caches", "OAuthClientToken is not known to the API server");
        assert!(!readiness.is_ready());
        let told = "[-] caches: OAuthClientToken is not known to the API server\n[+] leader\n";
        assert_eq!(readiness.told(), told);
        readiness.clone().open("caches");
        assert!(readiness.is_ready());
    }
}
