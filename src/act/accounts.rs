//! Who may ask a provider, and when: the policy of `decide`, carried out. One mechanism for the
//! places at an origin, the limits of an account, its silence and its circuit breaker; what it is
//! made to remember lies with [`super::book`].

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;

use super::book::Book;
use crate::clock::Clock;
use crate::decide::{Account, Caller, Health, HeldBack, Lane, Memory, Next, Turn, Turns, Urgency};
use crate::error::{Error, Reason};

/// Nobody waits longer for a place without a word in the status.
const PATIENCE: TimeDelta = TimeDelta::minutes(2);
/// Until it is tried again to get one.
const PAUSE: TimeDelta = TimeDelta::seconds(1);
/// What is over is looked for this often.
const TIDY: TimeDelta = TimeDelta::minutes(1);

/// Every account that this process knows of, by origin.
pub(super) struct Accounts {
    pub(super) clock: Clock,
    since: DateTime<Utc>,
    state: Mutex<State>,
    pub(super) book: Book,
}

#[derive(Default)]
struct State {
    origins: HashMap<String, Origin>,
    /// What former processes made this one remember, for accounts that are not known yet.
    remembered: BTreeMap<String, Memory>,
    tidied_at: DateTime<Utc>,
}

#[derive(Default)]
struct Origin {
    turns: Turns<Waiting>,
    accounts: BTreeMap<String, Account>,
    /// When somebody may go who has to wait for a moment.
    timer: Option<DateTime<Utc>>,
}

struct Waiting {
    application: Arc<Application>,
    told: oneshot::Sender<Result<Pass, HeldBack>>,
}

impl Waiting {
    /// Whether it has not given up.
    fn waits(&self) -> bool {
        !self.told.is_closed()
    }
}

/// How things stand at an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Scheme, host and port.
    pub origin: String,
    /// Those who wait for their turn.
    pub waiting: u32,
    /// Requests under way.
    pub under_way: u32,
    /// Accounts whose circuit breaker is open.
    pub circuits_open: u32,
    /// What is left of each limit, and of how many, of the account that has least: by the length of
    /// its window.
    pub left: BTreeMap<String, (u32, u32)>,
}

/// Who wants to ask whom.
#[derive(Clone, Debug)]
pub(super) struct Application {
    /// Scheme, host and port.
    pub(super) origin: String,
    pub(super) lane: Lane,
    pub(super) caller: Caller,
}

/// A place at an origin. Dropped, it is free for the next.
pub(super) struct Pass {
    accounts: Arc<Accounts>,
    pub(super) application: Arc<Application>,
    began: DateTime<Utc>,
    probe: bool,
    /// Whether it is known what came of it.
    told: Mutex<bool>,
}

impl Accounts {
    pub(super) fn new(clock: Clock) -> Self {
        Self { since: clock.now(), clock, state: Mutex::default(), book: Book::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on an account, which is made where there is none.
    pub(super) fn with<T>(
        &self,
        application: &Application,
        act: impl FnOnce(&mut Account, DateTime<Utc>) -> T,
    ) -> T {
        let now = self.clock.now();
        let mut state = self.state();
        let State { origins, remembered, .. } = &mut *state;
        let origin = origins.entry(application.origin.clone()).or_default();
        let name = &application.lane.account;
        act(account(&mut origin.accounts, name, (remembered, self.since, now)), now)
    }

    /// Takes over what was written down.
    pub(super) fn recall(&self, remembered: BTreeMap<String, Memory>) {
        let now = self.clock.now();
        let mut state = self.state();
        for (name, account) in state.origins.values_mut().flat_map(|origin| &mut origin.accounts) {
            account.recall(remembered.get(name).unwrap_or(&Memory::default()), now);
        }
        state.remembered = remembered;
    }

    /// How things stand at every origin.
    pub(super) fn load(&self) -> Vec<Load> {
        let now = self.clock.now();
        let mut state = self.state();
        let load = state.origins.iter_mut().map(|(origin, Origin { turns, accounts, .. })| {
            turns.retain(Waiting::waits);
            let (waiting, under_way) = turns.size();
            let circuits_open = accounts.values().map(|account| u32::from(account.is_open())).sum();
            let mut left: BTreeMap<String, (u32, u32)> = BTreeMap::new();
            for (window, requests) in accounts.values().flat_map(|account| account.left(now)) {
                let least = left.entry(window).or_insert(requests);
                *least = requests.min(*least);
            }
            Load { origin: origin.clone(), waiting, under_way, circuits_open, left }
        });
        load.collect()
    }

    /// How many wait for the same.
    pub(super) fn waiting(&self, application: &Application) -> u32 {
        let state = self.state();
        let origin = state.origins.get(&application.origin);
        origin.map_or(0, |origin| origin.turns.waiting(&application.lane))
    }

    /// What a token was told, as long as it holds.
    pub(super) fn holds_back(&self, application: &Application) -> Option<HeldBack> {
        let state = self.state();
        let account =
            state.origins.get(&application.origin)?.accounts.get(&application.lane.account)?;
        account.holds_back(&application.caller.token, self.clock.now())
    }

    /// Waits for a place.
    pub(super) async fn enter(
        self: &Arc<Self>,
        application: Arc<Application>,
    ) -> Result<Pass, HeldBack> {
        let (told, tell) = oneshot::channel();
        let urgency = application.caller.urgency;
        let waiting = Waiting { application: Arc::clone(&application), told };
        let lane = application.lane.clone();
        let turns = |origin: &mut Origin| origin.turns.enter(lane, urgency, waiting);
        turns(self.state().origins.entry(application.origin.clone()).or_default());
        self.serve(&application.origin);
        let patience = patience(urgency, self.clock.now());
        // Who gives up leaves its place to the next when its turn comes.
        match tokio::time::timeout(patience, tell).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(self.busy(&application)),
        }
    }

    fn busy(&self, application: &Application) -> HeldBack {
        let held_back = busy(self.clock.now());
        self.with(application, |account, _| account.hold(&application.caller, held_back.clone()));
        held_back
    }

    /// Serves those who wait at an origin, as many as may go.
    fn serve(self: &Arc<Self>, origin: &str) {
        // A pass that nobody takes is dropped, which serves the next: not under the lock.
        let mut untaken = Vec::new();
        let mut state = self.state();
        let State { origins, remembered, .. } = &mut *state;
        let Some(served) = origins.get_mut(origin) else { return };
        let later = loop {
            let now = self.clock.now();
            let Origin { turns, accounts, .. } = served;
            let next = turns.next(|lane, waiting| {
                // Who has given up takes no place from those who still wait.
                if !waiting.waits() {
                    return Turn::HeldBack(busy(now));
                }
                account(accounts, &lane.account, (remembered, self.since, now))
                    .judge(&waiting.application.caller, now)
            });
            match next {
                Next::Nothing(later) => break later,
                Next::Dismiss(waiting, held_back) => drop(waiting.told.send(Err(held_back))),
                Next::Serve(lane, Waiting { application, told }) => {
                    let account = account(accounts, &lane.account, (remembered, self.since, now));
                    let probe = account.begin(&application.caller, now);
                    let pass = self.pass(application, (now, probe));
                    untaken.extend(told.send(Ok(pass)).err());
                }
            }
        };
        if let Some(later) = later.filter(|later| served.timer.is_none_or(|timer| *later < timer)) {
            served.timer = Some(later);
            self.serve_at(later, origin.to_owned());
        }
        drop(state);
        drop(untaken);
    }

    fn pass(
        self: &Arc<Self>,
        application: Arc<Application>,
        (began, probe): (DateTime<Utc>, bool),
    ) -> Pass {
        Pass { accounts: Arc::clone(self), application, began, probe, told: Mutex::new(false) }
    }

    fn serve_at(self: &Arc<Self>, at: DateTime<Utc>, origin: String) {
        let wait = (at - self.clock.now()).to_std().unwrap_or_default();
        let accounts = Arc::clone(self);
        // Without a runtime the process is ending.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // Timers count in milliseconds, and must not come too early.
            tokio::time::sleep(wait + Duration::from_millis(1)).await;
            if let Some(origin) = accounts.state().origins.get_mut(&origin) {
                origin.timer = None;
            }
            accounts.serve(&origin);
        });
    }

    /// Forgets what is over.
    fn tidy(&self, state: &mut State) {
        let now = self.clock.now();
        if now - state.tidied_at < TIDY {
            return;
        }
        state.tidied_at = now;
        state.origins.retain(|_, origin| {
            origin.turns.retain(Waiting::waits);
            let idle = origin.turns.is_idle() && origin.timer.is_none();
            origin.accounts.retain(|_, account| account.tidy(now) || !idle);
            !idle || !origin.accounts.is_empty()
        });
    }
}

fn account<'a>(
    accounts: &'a mut BTreeMap<String, Account>,
    name: &str,
    (remembered, since, now): (&BTreeMap<String, Memory>, DateTime<Utc>, DateTime<Utc>),
) -> &'a mut Account {
    accounts.entry(name.to_owned()).or_insert_with(|| {
        let mut account = Account::new(since);
        if let Some(memory) = remembered.get(name) {
            account.recall(memory, now);
        }
        account
    })
}

/// A status must tell of an expiry when it comes.
fn patience(urgency: Urgency, now: DateTime<Utc>) -> Duration {
    let patience = match urgency {
        Urgency::First => PATIENCE,
        Urgency::Refresh(expires_at) => PATIENCE.min(expires_at - now),
    };
    patience.to_std().unwrap_or_default()
}

impl Pass {
    /// It was counted, but nothing was asked.
    pub(super) fn give_back(&self) {
        let caller = &self.application.caller;
        self.accounts.with(&self.application, |account, _| account.give_back(caller));
    }

    /// Whether the request may be made for which this place was given; it is counted.
    pub(super) fn spend(&self) -> bool {
        let Self { application, began, .. } = self;
        self.accounts
            .with(application, |account, now| account.spend(&application.caller, *began, now))
    }

    /// Whether one more may follow.
    pub(super) fn begin_again(&self) -> bool {
        let caller = &self.application.caller;
        self.accounts.with(&self.application, |account, now| account.begin_again(caller, now))
    }

    /// What came of it. Tells until when the provider is to be left alone, where that is news.
    pub(super) fn answered(
        &self,
        health: Health,
        silence: Option<TimeDelta>,
    ) -> Option<DateTime<Utc>> {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = true;
        let caller = &self.application.caller;
        self.accounts.with(&self.application, |account, now| {
            account.learn(caller, (self.probe, health), now);
            let until = now + silence?;
            account.silence_until(until).then_some(until)
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !*self.told.lock().unwrap_or_else(PoisonError::into_inner) {
            self.answered(Health::Unknown, None);
        }
        let mut state = self.accounts.state();
        if let Some(origin) = state.origins.get_mut(&self.application.origin) {
            origin.turns.release(&self.application.lane.namespace);
        }
        self.accounts.tidy(&mut state);
        drop(state);
        self.accounts.serve(&self.application.origin);
    }
}

fn busy(now: DateTime<Utc>) -> HeldBack {
    let message = "more tokens wait for the provider than it is asked for at once";
    HeldBack { until: now + PAUSE, error: Error::new(Reason::ProviderBusy, message) }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::FutureExt;

    use super::*;
    use crate::decide::Quota;

    fn application(token: &str) -> Arc<Application> {
        let quotas = vec![Quota { window: TimeDelta::seconds(1), requests: 9 }];
        let namespace = "web".to_owned();
        let lane = Lane { account: "account".to_owned(), namespace: namespace.clone() };
        let urgency = Urgency::First;
        let caller = Caller { token: token.to_owned(), namespace, urgency, quotas };
        Arc::new(Application { origin: "https://id.example".to_owned(), lane, caller })
    }

    #[tokio::test]
    async fn who_gave_up_takes_no_place_from_those_who_wait() {
        let accounts = Arc::new(Accounts::new(Clock::system()));
        let mut passes = Vec::new();
        for n in 0..8 {
            passes.extend(accounts.enter(application(&n.to_string())).await.ok());
        }
        assert_eq!(passes.len(), 8, "as many as an origin has places");
        for gone in ["a", "b", "c"] {
            assert!(accounts.enter(application(gone)).now_or_never().is_none());
        }
        let mut waiting = pin!(accounts.enter(application("d")));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(passes.pop());
        // The ninth request of nine.
        assert!(waiting.now_or_never().is_some_and(|entered| entered.is_ok()));
    }
}
