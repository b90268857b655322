//! One world from beginning to end, in a thread of its own.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::dice::Dice;
use crate::entropy;
use crate::judge::{Judge, Verdict};
use crate::mischief::consent;
use crate::plan::{Mishap, Plan, Size};
use crate::process::Process;
use crate::world::World;

/// What became of a world.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// How large it was.
    pub size: Size,
    /// What was found.
    pub verdict: Verdict,
    /// Everything that happened, as one number.
    pub trace: u64,
    /// In so many steps.
    pub steps: u64,
    /// Processes that were started.
    pub processes: u32,
    /// How long it took us.
    pub took: Duration,
}

/// Lets a plan come true.
pub fn run(plan: Plan) -> Report {
    let world = std::thread::Builder::new().name(format!("seed {}", plan.seed)).spawn(move || {
        entropy::load(plan.seed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(live(plan))
    });
    world.expect("a thread").join().expect("the simulation itself holds")
}

/// Lets many plans come true, on all cores; `each` is told as they end.
pub fn run_all(seeds: Range<u64>, size: Size, each: impl Fn(Report) + Sync) {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        while let Some(seed) = Some(next.fetch_add(1, Relaxed)).filter(|seed| *seed < seeds.end) {
            each(run(Plan::of(seed, size)));
        }
    };
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
}

async fn live(plan: Plan) -> Report {
    let began = Instant::now();
    let plan = Arc::new(plan);
    let world = World::new(Arc::clone(&plan));
    let chores = [
        tokio::spawn(mischief(Arc::clone(&world))),
        tokio::spawn(ends(Arc::clone(&world))),
        tokio::spawn(garbage(Arc::clone(&world))),
        tokio::spawn(bookmarks(Arc::clone(&world))),
        tokio::spawn(events(Arc::clone(&world))),
        tokio::spawn(consents(Arc::clone(&world))),
    ];
    let mut supervisor = Supervisor::new(Arc::clone(&world));
    supervisor.live().await;
    for chore in chores {
        chore.abort();
    }
    let (trace, steps) = world.trace();
    Report {
        seed: plan.seed,
        size: plan.size,
        verdict: world.judge(|judge, _| judge.verdict.clone()),
        trace,
        steps,
        processes: supervisor.started,
        took: began.elapsed(),
    }
}

/// Starts processes, and again when they end.
struct Supervisor {
    world: Arc<World>,
    dice: Dice,
    started: u32,
}

struct Running {
    process: Arc<Process>,
    task: JoinHandle<()>,
}

impl Supervisor {
    fn new(world: Arc<World>) -> Self {
        let dice = Dice::of(world.plan.seed, "supervisor");
        Self { world, dice, started: 0 }
    }

    async fn live(&mut self) {
        let plan = Arc::clone(&self.world.plan);
        let mut running = self.start();
        for (at, mishap) in &plan.mishaps {
            running = self.keep_until(*at, running).await;
            match mishap {
                Mishap::Crash => running.process.crash(),
                Mishap::Doom(steps) => running.process.doom(*steps),
                Mishap::Overlap(length) => {
                    let next = self.start();
                    running = self.keep_until(*at + *length, running).await;
                    self.end(&running);
                    running = next;
                }
            }
        }
        let running = self.keep_until(plan.size.span, running).await;
        self.end(&running);
    }

    /// Until then; whoever falls meanwhile is replaced.
    async fn keep_until(&mut self, at: Duration, mut running: Running) -> Running {
        let left = |world: &World| at.saturating_sub(world.now());
        loop {
            tokio::select! {
                biased;
                () = running.process.fallen() => {}
                () = sleep(left(&self.world)) => return running,
            }
            self.end(&running);
            sleep(self.dice.time(Duration::from_secs(2), Duration::from_secs(30))).await;
            running = self.start();
        }
    }

    fn start(&mut self) -> Running {
        self.started += 1;
        // Clocks differ by less than the schedule allows for.
        let skew = i64::try_from(self.dice.between(0, 8001)).expect("small") - 4000;
        let process = Process::new(&self.world, self.started, TimeDelta::milliseconds(skew));
        self.world.note(&format!("{} starts", self.started));
        self.world.judge(|judge, now| judge.lives(self.started, true, now));
        let process = Arc::new(process);
        Running { task: process.start(&self.world), process }
    }

    fn end(&self, running: &Running) {
        let number = running.process.number;
        self.world.note(&format!("{number} ends"));
        running.process.crash();
        running.task.abort();
        self.world.judge(|judge, now| judge.lives(number, false, now));
    }
}

async fn mischief(world: Arc<World>) {
    let plan = Arc::clone(&world.plan);
    for (at, mischief) in &plan.mischief {
        sleep(at.saturating_sub(world.now())).await;
        mischief.happen(&world);
    }
}

/// Looks at each target at the very moment at which its token ends.
async fn ends(world: Arc<World>) {
    loop {
        let next = world.judge(|judge, _| judge.next_end()).unwrap_or(Duration::MAX);
        tokio::select! {
            biased;
            () = world.written.notified() => continue,
            () = sleep(next.saturating_sub(world.now())) => {}
        }
        for token in world.judge(Judge::ending) {
            let target = world.get(&Plan::target(token));
            world.judge(|judge, now| judge.check_end(token, target.as_deref(), now));
        }
    }
}

async fn garbage(world: Arc<World>) {
    loop {
        world.deleted.notified().await;
        sleep(Duration::from_secs(2)).await;
        world.collect_garbage();
    }
}

async fn bookmarks(world: Arc<World>) {
    loop {
        sleep(Duration::from_mins(5)).await;
        world.bookmark();
    }
}

/// The API server forgets events after an hour; this one after one or two.
async fn events(world: Arc<World>) {
    loop {
        sleep(Duration::from_hours(1)).await;
        world.forget_events();
    }
}

/// A person finds out in a while that a grant is lost.
async fn consents(world: Arc<World>) {
    loop {
        sleep(Duration::from_mins(5)).await;
        for (token, consents) in world.judge(|judge, _| judge.take_lost()) {
            consent(&world, token, consents);
        }
    }
}
