//! One process of tokenward: it starts, may crash at any await point, and is started again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use kube::{Client, Config};
use tokenward::act::Tools;
use tokenward::clock::Clock;
use tokenward::controller::{self, Instruments, Place};
use tokenward::oauth::{AddressPolicy, Digester, Timeouts, Transport, TransportSettings};
use tokenward::runtime::{Access, Candidacy, Chance, Lead, cluster_key};
use tokenward::watch::{Lists, ProviderPolicy, Scope, WatchSettings};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api_server::Link;
use crate::dice::Dice;
use crate::provider;
use crate::sabotage::Sabotage;
use crate::weather::Passage;
use crate::world::World;

/// The operator's own namespace.
pub const OWN_NAMESPACE: &str = "tokenward";
/// The whole of a token request, as `--request-timeout` has it.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// One process.
#[derive(Debug)]
pub struct Process {
    /// The how many in its world.
    pub number: u32,
    /// When it began.
    pub started: Duration,
    /// By how much its clock is ahead.
    pub skew: TimeDelta,
    /// Whether it has crashed: nothing that it does has any effect.
    dead: AtomicBool,
    /// Whether it crashes at one of its next steps.
    doomed: Mutex<Option<u64>>,
    fallen: Notify,
    dice: Mutex<Dice>,
}

impl Process {
    /// One that is not running yet.
    pub fn new(world: &World, number: u32, skew: TimeDelta) -> Self {
        Self {
            number,
            started: world.now(),
            skew,
            dead: AtomicBool::new(false),
            doomed: Mutex::default(),
            fallen: Notify::new(),
            dice: Mutex::new(Dice::of(world.plan.seed, &format!("process {number}"))),
        }
    }

    /// It runs.
    pub fn start(self: &Arc<Self>, world: &Arc<World>) -> JoinHandle<()> {
        let (process, world) = (Arc::clone(self), Arc::clone(world));
        tokio::spawn(process.live(world))
    }

    async fn live(self: Arc<Self>, world: Arc<World>) {
        let clock = self.clock(&world);
        let link = Link { world: Arc::clone(&world), process: Arc::clone(&self) };
        let client = Client::new(link, OWN_NAMESPACE);
        let anonymous = Config::new("https://api.example".parse().expect("a URL"));
        // As a container that fails is started again.
        let key = loop {
            match cluster_key(&client, OWN_NAMESPACE).await {
                Ok(key) => break key,
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        };
        let carrier = provider::Link { world: Arc::clone(&world), process: Arc::clone(&self) };
        let settings = TransportSettings {
            allow_http: false,
            addresses: AddressPolicy::default(),
            timeouts: Timeouts { connect: Duration::from_secs(5), total: REQUEST_TIMEOUT },
        };
        let transport = Transport::new(settings, clock.clone()).carried_by(Arc::new(carrier));
        let dice = Mutex::new(Dice::of(world.plan.seed, &format!("chance {}", self.number)));
        let tools = Tools {
            transport: Arc::new(transport),
            digester: Arc::new(Digester::new(&key)),
            clock,
            chance: Chance::of(move |bytes| {
                dice.lock().expect("no panic").fill(bytes);
                true
            }),
            stopping: CancellationToken::new(),
            lead: Lead::unopposed(),
        };
        let watch = WatchSettings {
            scopes: vec![Scope::All],
            cluster_kinds: true,
            cluster_resource_namespace: OWN_NAMESPACE.to_owned(),
            providers: ProviderPolicy::default(),
            lists: Lists::default(),
        };
        let instruments = Instruments::new(&tools.clock);
        let access = Access::of(client, anonymous);
        let place = Place { access, watch, candidacy: Candidacy::Unopposed };
        controller::run(place, tools, instruments).await;
    }

    /// Timers are the world's own, so they keep pace with this for ever; yet every hour it is
    /// looked.
    fn clock(&self, world: &Arc<World>) -> Clock {
        let (world, skew) = (Arc::clone(world), self.skew);
        let started = self.started;
        // A timer does not run faster than the world does: it is looked often.
        let fast = world.plan.sabotage == Some(Sabotage::FastClock);
        let trusted = if fast { Duration::from_secs(1) } else { Duration::from_hours(1) };
        Clock::of(
            move || {
                let told = match world.plan.sabotage {
                    Some(Sabotage::SlowClock) => started + (world.now() - started) / 3,
                    Some(Sabotage::FastClock) => started + (world.now() - started) * 100,
                    _ => world.now(),
                };
                world.utc(told) + skew
            },
            trusted,
        )
    }

    /// Whether it still runs.
    pub fn lives(&self) -> bool {
        !self.dead.load(Ordering::Relaxed)
    }

    /// It crashes here and now.
    pub fn crash(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.fallen.notify_one();
    }

    /// It will crash at the so manieth step from now.
    pub fn doom(&self, steps: u64) {
        *self.doomed.lock().expect("no panic") = Some(steps);
    }

    /// Until it has crashed.
    pub async fn fallen(&self) {
        self.fallen.notified().await;
    }

    /// A step on its way to somewhere or back. Whoever has crashed takes none.
    pub async fn pass(&self, world: &World, step: &str) {
        if self.lives() {
            let mut doomed = self.doomed.lock().expect("no panic");
            match *doomed {
                Some(0) => {
                    *doomed = None;
                    world.note(&format!("{} crashes as it {step}", self.number));
                    self.crash();
                }
                Some(steps) => *doomed = Some(steps - 1),
                None => {}
            }
        }
        if !self.lives() {
            std::future::pending::<()>().await;
        }
    }

    /// What becomes of a request to the API server.
    pub fn api_fate(&self, world: &World) -> Passage {
        let mut dice = self.dice.lock().expect("no panic");
        let leg = (Duration::from_millis(1), Duration::from_millis(15));
        let trouble = world.plan.api.fate(world.now(), &mut dice);
        Passage { there: dice.time(leg.0, leg.1), back: dice.time(leg.0, leg.1), trouble }
    }

    /// How late a watch tells something.
    pub fn watch_delay(&self) -> Duration {
        let mut dice = self.dice.lock().expect("no panic");
        dice.time(Duration::ZERO, Duration::from_millis(40))
    }

    /// How long a leg of the way to a provider takes.
    pub fn provider_leg(&self, longest: Duration) -> Duration {
        let mut dice = self.dice.lock().expect("no panic");
        dice.time(Duration::from_millis(5), longest)
    }

    /// Draws for it.
    pub fn draw(&self, of: impl FnOnce(&mut Dice) -> bool) -> bool {
        of(&mut self.dice.lock().expect("no panic"))
    }
}
