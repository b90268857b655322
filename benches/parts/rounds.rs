//! The reconciliation that finds nothing to do, all in: a timer of the controller's queue, the
//! caches, the snapshot, the decision, the comparison of the status, and the next timer.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use kube::Config;
use tokenward::act::Tools;
use tokenward::clock::Clock;
use tokenward::controller::{self, Instruments, Place};
use tokenward::oauth::{AddressPolicy, Timeouts, Transport, TransportSettings};
use tokenward::runtime::{Access, Candidacy, Chance, Lead};
use tokenward::watch::{Lists, ProviderPolicy, Scope, WatchSettings};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{cluster, token};

/// After so long each token is looked at again: so soon that with the tokens that there are, the
/// controller is always at it.
const AGAIN: Duration = Duration::from_millis(10);

/// A controller at work on tokens that want nothing, on one thread.
pub struct Rounds {
    runtime: Runtime,
    tokens: u64,
    counted: Arc<Counted>,
    requests: Arc<AtomicU64>,
}

/// Each decision draws a number once, which tells how many there were.
#[derive(Default)]
struct Counted {
    done: AtomicU64,
    goal: AtomicU64,
    reached: Notify,
}

impl Counted {
    fn one_more(&self) {
        if self.done.fetch_add(1, Relaxed) + 1 == self.goal.load(Relaxed) {
            self.reached.notify_one();
        }
    }
}

impl Rounds {
    /// One with so many tokens, each of which is known to be good and has a status that says so.
    pub fn of(tokens: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        let entered = runtime.enter();
        let (client, requests) = cluster::client(tokens);
        drop(entered);
        let counted = Arc::new(Counted::default());
        runtime.spawn(controller(client, Arc::clone(&counted)));
        let rounds = Self { runtime, tokens: tokens as u64, counted, requests };
        // Until a while has passed in which nothing was left to be read or told.
        loop {
            let before = rounds.requests();
            rounds.run(2 * rounds.tokens);
            if rounds.requests() == before {
                return rounds;
            }
        }
    }

    /// Lets about so many more come to pass; tells how many did.
    pub fn run(&self, rounds: u64) -> u64 {
        let before = self.counted.done.load(Relaxed);
        self.counted.goal.store(before + rounds, Relaxed);
        self.runtime.block_on(self.counted.reached.notified());
        self.counted.done.load(Relaxed) - before
    }

    /// How often the API server has been asked.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }
}

fn controller(client: kube::Client, counted: Arc<Counted>) -> impl Future<Output = ()> {
    let clock = Clock::of(token::now, AGAIN);
    let settings = TransportSettings {
        allow_http: false,
        addresses: AddressPolicy::default(),
        timeouts: Timeouts { connect: Duration::from_secs(5), total: Duration::from_secs(20) },
    };
    let tools = Tools {
        transport: Arc::new(Transport::new(settings, clock.clone())),
        digester: Arc::new(token::digester()),
        chance: Chance::of(move |bytes| {
            bytes.fill(0x80);
            counted.one_more();
            true
        }),
        clock,
        stopping: CancellationToken::new(),
        lead: Lead::unopposed(),
    };
    let watch = WatchSettings {
        scopes: vec![Scope::All],
        cluster_kinds: true,
        cluster_resource_namespace: "tokenward".to_owned(),
        providers: ProviderPolicy::default(),
        lists: Lists::default(),
    };
    let instruments = Instruments::new(&tools.clock);
    let anonymous = Config::new("https://api.example".parse().unwrap());
    let access = Access::of(client, anonymous);
    let place = Place { access, watch, candidacy: Candidacy::Unopposed };
    Box::pin(controller::run(place, tools, instruments))
}
